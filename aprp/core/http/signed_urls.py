"""Signed URLs that expire, optionally bound to one client's address.

- ``hmac``: ``?expires=UNIX&sig=...``. The signature is HMAC-SHA-256 over the expiry time and the
path,
  one per line, and a third line with the client's address if links are bound to it.
- ``md5``: ``?expires=UNIX&md5=...``, as for nginx's secure_link module. The hash is MD5 of expiry
time,
  path, the client's address if links are bound to it, a space and the secret. It is for existing
  links; don't use MD5 for new ones.

Either is in base64url, with or without padding. The two parameters are removed before the request
is forwarded, so that sources never see a signature.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from enum import StrEnum

from aprp.core.http.ranges import number
from aprp.core.values import dataclass


class SignatureForm(StrEnum):
    """The form of the signature in a URL."""

    HMAC = "hmac"
    MD5 = "md5"


class LinkBinding(StrEnum):
    """What a signed URL is bound to."""

    NOTHING = "nothing"
    ADDRESS = "address"


@dataclass(frozen=True, slots=True)
class LinkRules:
    """The rules that a route's signed URLs must satisfy."""

    secret: bytes
    form: SignatureForm = SignatureForm.HMAC
    bound_to: LinkBinding = LinkBinding.NOTHING

    @property
    def parameter(self) -> bytes:
        """The name of the parameter that holds the signature."""
        return b"sig" if self.form is SignatureForm.HMAC else b"md5"


@dataclass(frozen=True, slots=True)
class Link:
    """A URL's query taken apart: what signs it, and what is left for the source."""

    query: bytes
    signature: bytes | None
    expires: bytes | None


class LinkRefused(Exception):
    """Raised for a URL without a valid signature; `expired` if only its time is over."""

    def __init__(self, text: str, expired: bool = False) -> None:
        super().__init__(text)
        self.expired = expired


def take_apart(rules: LinkRules, query: bytes) -> Link:
    """Split the query (with its question mark, or empty)."""
    found: dict[bytes, bytes] = {}
    rest = []
    for item in query[1:].split(b"&") if query else []:
        name, _, value = item.partition(b"=")
        if name in (rules.parameter, b"expires") and name not in found:
            found[name] = value
        else:
            rest.append(item)
    kept = b"?" + b"&".join(rest) if rest else b""
    return Link(kept, found.get(rules.parameter), found.get(b"expires"))


def signature(rules: LinkRules, path: bytes, expires: bytes, client: str) -> bytes:
    """Return the expected signature, in base64url without padding."""
    bound = rules.bound_to is LinkBinding.ADDRESS
    address = client.encode("ascii", "replace") if bound else b""
    if rules.form is SignatureForm.MD5:
        text = expires + path + address + b" " + rules.secret
        digest = hashlib.md5(text, usedforsecurity=False).digest()
    else:
        lines = [expires, path, *([address] if bound else [])]
        digest = hmac.digest(rules.secret, b"\n".join(lines), "sha256")
    return urlsafe_b64encode(digest).rstrip(b"=")


def check_link(rules: LinkRules, path: bytes, query: bytes, client: str, now: float) -> bytes:
    """Return the query to forward to the source. Raise LinkRefused. `now` is Unix time."""
    link = take_apart(rules, query)
    if link.signature is None or link.expires is None:
        name = rules.parameter.decode("ascii")
        raise LinkRefused(f"the URL isn't signed; it needs ?expires=...&{name}=...")
    expected = signature(rules, path, link.expires, client)
    if not hmac.compare_digest(link.signature.rstrip(b"="), expected):
        raise LinkRefused("the URL's signature is wrong")
    expires = number(link.expires)
    if expires is None or expires < now:
        raise LinkRefused("the URL has expired", expired=True)
    return link.query
