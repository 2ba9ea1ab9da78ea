"""Where a source's redirect leads, and whether it may be followed there."""

from __future__ import annotations

from urllib.parse import urljoin

from aprp.core.choices import Redirects
from aprp.core.http.fields import Fields
from aprp.core.http.ranges import number
from aprp.core.http.urls import DEFAULT_PORTS, Url
from aprp.core.reasons import Name, Reason

MOST_HOPS = 5
FOREVER = float("inf")
_PERMANENT = frozenset((301, 308))
_FRESH = frozenset((302, 307))


def redirected(rule: Redirects, first: Url, at: Url, location: bytes | None) -> Url | Reason:
    """Return the URL that a redirect from `at` leads to, or why it isn't followed.

    `rule` is the route's: same-host (where `first` is, the source's own URL), public, or off.
    Going from https to http is never followed.
    """
    if rule == Redirects.OFF:
        return _not_followed("redirects, and `redirects: off` doesn't follow")
    if location is None:
        return _not_followed("redirects without a Location")
    try:
        target = _meant(at, location)
    except ValueError as error:
        return _not_followed("redirects to a place that can't be asked", Name(f": it {error}"))
    if at.scheme == "https" and target.scheme != "https":
        return _not_followed("redirects from https to ", Name(target.origin, "another place"))
    if rule == Redirects.SAME_HOST and not same_place(first, target):
        place = Name(target.origin, "another place")
        return _not_followed("redirects to ", place, "; `redirects: public` would follow")
    return target


def _not_followed(*words: str | Name) -> Reason:
    return Reason("http_protocol_error", words)


def remembered_for(status: int, fields: Fields) -> float:
    """Return the seconds for which a redirect may be remembered beyond the transfer that met it.

    301 and 308 hold until their target refuses; explicit freshness (RFC 9111 section 4.2.1) limits
    them, and lets 302 and 307 hold for as long. Everything else is requested again.
    """
    directives = dict(item.partition(b"=")[::2] for item in fields.tokens(b"cache-control"))
    if {b"no-store", b"no-cache"} & directives.keys():
        return 0.0
    fresh = number(directives.get(b"max-age", b""))
    if fresh is not None:
        age = number(fields.get(b"age") or b"0") or 0
        return float(max(0, fresh - age)) if status in _PERMANENT | _FRESH else 0.0
    return FOREVER if status in _PERMANENT else 0.0


def same_place(own: Url, other: Url) -> bool:
    """Whether two URLs have the same host, and the same port or each its scheme's default one.

    So http may lead to https on the same host; another service there is another place.
    """
    if own.host != other.host:
        return False
    return own.port == other.port or all(
        url.port == DEFAULT_PORTS[url.scheme] for url in (own, other)
    )


def _meant(at: Url, location: bytes) -> Url:
    """Resolve a Location. Raise ValueError with a sentence without the host, which the library's
    own would name.
    """
    try:
        joined = urljoin(str(at), location.decode("ascii").partition("#")[0])
    except UnicodeError:
        raise ValueError("isn't ASCII") from None
    except ValueError:
        raise ValueError("has brackets in its host that hold no IPv6 address") from None
    return Url.parse(joined)
