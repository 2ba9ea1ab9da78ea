"""What a proxy does to fields on their way (RFC 9110 section 7.6), and to Location."""

from __future__ import annotations

import re
from collections.abc import Container
from functools import lru_cache
from urllib.parse import urljoin

from aprp.core.http.fields import Fields, Pairs, split_list
from aprp.core.http.ranges import number
from aprp.core.http.targets import under

HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
NEVER_NOMINATED = frozenset(
    (
        b"age",
        b"cache-control",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-type",
        b"expires",
        b"host",
        b"vary",
        b"via",
    )
)
"""Fields that a Connection field can't take away: framing, meaning, routing and the trace, and by
what rules a response is reused (RFC 9110 section 7.6.1).
"""
VIA = frozenset((b"via",))
NONE: frozenset[bytes] = frozenset()
_FORWARDED = frozenset((b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"))
_CLAIMS = frozenset((b"forwarded", b"x-real-ip"))
_UNTRUSTED = _FORWARDED | _CLAIMS
_NOT_BY_ANOTHER_NAME = HOP_BY_HOP | NEVER_NOMINATED | _FORWARDED | _CLAIMS
PSEUDONYM = b"aprp"
"""What aprp is called in the Via of responses; in that of requests each process has a name."""
_ABSOLUTE = re.compile(rb"(https?)://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
CONDITIONS = frozenset(
    (
        b"if-match",
        b"if-none-match",
        b"if-modified-since",
        b"if-unmodified-since",
        b"if-range",
        b"range",
    )
)


def end_to_end(fields: Fields) -> Fields:
    """Return the fields without those for the next hop only, including nominated ones."""
    return fields.without(_ends_here(fields.by_name.get(b"connection")))


def passed_back(
    fields: Fields, version: bytes, replaced: frozenset[bytes] = NONE, added: Pairs = ()
) -> Fields:
    """Return the fields of a response of that version as they are passed on.

    They have this hop in Via, and `added` in place of those called `replaced`.
    """
    gone = _ends_here(fields.by_name.get(b"connection"), VIA, replaced)
    return fields.replacing(gone, via(fields, version, PSEUDONYM), *added)


@lru_cache(maxsize=64)
def _ends_here(connection: bytes | None, *others: frozenset[bytes]) -> frozenset[bytes]:
    """Return the names of the fields that are for the next hop only, and `others`."""
    named = frozenset(each.lower() for each in split_list(connection or b""))
    return HOP_BY_HOP.union(named - NEVER_NOMINATED, *others)


def without_underscores(fields: Fields, keep: bool = False) -> Fields:
    """Return the fields without those that an upstream may mistake for another field.

    CGI and its heirs read `X_Real_IP` as `X-Real-IP`. With `keep` only those go that would then
    pass for fields that a proxy writes or leaves out itself.
    """
    for name, _ in fields.pairs:
        if b"_" in name:
            break
    else:
        return fields
    return Fields(
        pair
        for pair in fields
        if b"_" not in pair[0]
        or (keep and pair[0].lower().replace(b"_", b"-") not in _NOT_BY_ANOTHER_NAME)
    )


def with_via(fields: Fields, version: bytes, name: bytes = PSEUDONYM) -> Fields:
    """Return the fields with this hop at the end of Via; `version` is that of the message."""
    return fields.replacing(VIA, via(fields, version, name))


def via(fields: Fields, version: bytes, name: bytes) -> tuple[bytes, bytes]:
    """Return the Via field with this hop at its end."""
    hop = b"%s %s" % (version, name)
    earlier = fields.by_name.get(b"via")
    return b"Via", hop if earlier is None else earlier + b", " + hop


def forwarded(
    fields: Fields, peer: bytes, scheme: bytes, host: bytes, *, trusted: bool = False
) -> list[tuple[bytes, bytes]]:
    """Return what this hop tells of the client, in place of what `claims` has.

    The peer is added to X-Forwarded-For. What a `trusted` peer says of the client's scheme and
    host stays, and so do its Forwarded and X-Real-IP; from anyone else they are claims that nobody
    can check, and are dropped.
    """
    earlier = fields.by_name.get(b"x-forwarded-for")
    chain = peer if earlier is None else earlier + b", " + peer
    proto = fields.get(b"x-forwarded-proto") if trusted else None
    named = fields.get(b"x-forwarded-host") if trusted else None
    added = [(b"X-Forwarded-For", chain), (b"X-Forwarded-Proto", proto or scheme)]
    if named or host:
        added.append((b"X-Forwarded-Host", named or host))
    return added


def claims(*, trusted: bool) -> frozenset[bytes]:
    """Return the names of the fields by which a request tells of its client, and that aren't
    passed on."""
    return _FORWARDED if trusted else _UNTRUSTED


def with_own(fields: Fields, own: tuple[tuple[bytes, bytes], ...]) -> Fields:
    """Return the fields with those of the configuration in place of fields with the same names."""
    return fields.without(name.lower() for name, _ in own).adding(*own) if own else fields


def hops_left(fields: Fields) -> int | None:
    """Return Max-Forwards (RFC 9110 section 7.6.2), or None if absent or not a number."""
    value = fields.get(b"max-forwards")
    return None if value is None else number(value)


def with_fewer_hops(fields: Fields) -> Fields:
    """Return the fields of a request as they are sent on, with one hop fewer left to it."""
    hops = hops_left(fields)
    if hops is None:
        return fields
    return with_own(fields, ((b"Max-Forwards", b"%d" % max(0, hops - 1)),))


def rewrite_location(
    value: bytes, origins: Container[bytes], base: bytes, prefix: bytes
) -> bytes | None:
    """Return a Location that points into the upstream as the client must request it; None for
    others.

    `origins` are the `scheme://authority` by which the upstream may call itself, in lower case and
    without a default port; `base` is the path of its URL, `prefix` that of the route.
    """
    path = value
    if (absolute := _ABSOLUTE.fullmatch(value)) is not None:
        scheme, authority = absolute[1].lower(), absolute[2].lower()
        authority = authority.removesuffix(b":80" if scheme == b"http" else b":443")
        if scheme + b"://" + authority not in origins:
            return None
        path = absolute[3] if absolute[3].startswith(b"/") else b"/" + absolute[3]
    elif not path.startswith(b"/") or path.startswith(b"//"):
        return None
    path, rest = _split_path(path)
    under_base = under(base, path)
    return None if under_base is None else (prefix.rstrip(b"/") + under_base or b"/") + rest


def resolve_location(value: bytes, asked: bytes) -> bytes:
    """Turn a Location relative to the requested path into an absolute path."""
    if _ABSOLUTE.fullmatch(value) or not value.isascii():
        return value
    return urljoin(asked, value)


def with_range_in_path(location: bytes, text: bytes) -> bytes:
    """The same range of the file that a Location names."""
    path, rest = _split_path(location)
    return path.rstrip(b"/") + b"/" + text + rest


def _split_path(reference: bytes) -> tuple[bytes, bytes]:
    """The path, and the query and fragment behind it."""
    ends = (at for at in (reference.find(b"?"), reference.find(b"#")) if at >= 0)
    end = min(ends, default=len(reference))
    return reference[:end], reference[end:]
