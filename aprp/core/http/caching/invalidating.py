"""What an unsafe request makes the cache forget (RFC 9111 section 4.4)."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from aprp.core.http.fields import Fields

SAFE = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE"))
"""Methods known to be safe; a method that isn't known counts as unsafe."""


def invalidates(method: bytes, status: int) -> bool:
    """Whether a response to that method changes what is stored: unsafe, and not an error."""
    return method not in SAFE and 200 <= status < 400


def named_targets(url: bytes, answer: Fields) -> tuple[bytes, ...]:
    """Return the targets (path and query) that Location and Content-Location name, of the same
    origin as `url`, the absolute URL that was requested.
    """
    found = []
    for name in (b"location", b"content-location"):
        value = answer.get(name)
        target = None if value is None else _same_origin(url, value)
        if target is not None:
            found.append(target)
    return tuple(found)


def _same_origin(url: bytes, reference: bytes) -> bytes | None:
    """Return the target of a reference relative to `url`; None if it leads to another origin."""
    if not reference.isascii():
        return None
    try:
        base, other = urlsplit(url), urlsplit(urljoin(url, reference))
        same = (base.scheme, base.hostname, _port(base.scheme, base.port)) == (
            other.scheme,
            other.hostname,
            _port(other.scheme, other.port),
        )
    except ValueError:
        return None
    if not same:
        return None
    return (other.path or b"/") + (b"?" + other.query if other.query else b"")


def _port(scheme: bytes, port: int | None) -> int | None:
    return port if port is not None else {b"http": 80, b"https": 443}.get(scheme)
