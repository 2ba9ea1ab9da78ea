"""The key under which a response is stored (RFC 9111 section 2).

Everything that selects the resource and isn't named by Vary is in it: where the request goes, as
whom the route asks, and the scheme and host that the client named, which the origin is told and
may put into its response. A client can't reach the responses of another route, host or resource,
nor put its own among them.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

from aprp.core.http.fields import Pairs
from aprp.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Realm:
    """What the keys of one route have in common: its label, its upstream's origin, and the fields
    that it adds to each request (Host among them).
    """

    label: str
    origin: str
    own: Pairs = ()


_RESOURCE = re.compile(
    rb"""(?:^|[;,])[ \t]*((?:host|proto)[ \t]*=[ \t]*(?:"(?:[^"\\]|\\.)*"|[^;,\s]*))""",
    re.IGNORECASE,
)


def named_by(forwarded: bytes) -> bytes:
    """Return the hosts and schemes that a Forwarded field names (RFC 7239), as one line.

    The addresses in it, which differ by client, are left out.
    """
    return b";".join(_RESOURCE.findall(forwarded)).lower()


def key_of(
    realm: Realm, target: bytes, scheme: bytes, authority: bytes, forwarded: bytes = b""
) -> bytes:
    """Return the key of a resource: lines of text, the upstream's URL first.

    `target` is the path and query as they are sent upstream, byte for byte, without a range in the
    path; `scheme` and `authority` are those of the client's URL, as the upstream is told them,
    and `forwarded` is the Forwarded field of a trusted proxy. None of them can hold a line break.
    """
    lines = (
        realm.origin.encode() + target,
        scheme.lower() + b"://" + authority.lower(),
        realm.label.encode(),
        *((_digest(realm.own),) if realm.own else ()),
        *((b"Forwarded: " + named,) if forwarded and (named := named_by(forwarded)) else ()),
    )
    assert not any(b"\n" in line for line in lines)
    return b"\n".join(lines)


@lru_cache(maxsize=1024)
def _digest(own: Pairs) -> bytes:
    """Return a short digest of the fields, which may hold secrets."""
    digest = hashlib.sha256()
    for name, value in own:
        digest.update(b"%d:%s%d:%s" % (len(name), name.lower(), len(value), value))
    return digest.hexdigest()[:16].encode()
