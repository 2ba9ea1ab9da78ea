"""Which requests come from a site's own pages, and not from those of another site.

A browser sends requests that a page of any site makes, with the user's address and password:

- A page whose name was made to resolve to this server's address (DNS rebinding) may read responses,
  since for the browser they are of its own site. Its name stands in the Host field. Addresses and
  localhost can't be rebound.
- A page of another site may send requests, though it can't read the responses. Origin and
  Sec-Fetch-Site (Fetch Metadata) say which site a request is from. Programs other than browsers
  send neither.
"""

from __future__ import annotations

from collections.abc import Sequence

from aprp.core.http.addresses import host_allowed, parse_address
from aprp.core.http.fields import Fields
from aprp.core.http.targets import BadTarget, check_host, host_of

_SAFE = (b"GET", b"HEAD")
_OWN = (b"same-origin", b"none")
"""Values of Sec-Fetch-Site; none: the user's own doing, such as a bookmark."""


def is_foreign_host(authority: bytes, names: Sequence[str]) -> bool:
    """Return whether a Host field has a name that is neither localhost nor one of the globs."""
    try:
        check_host(authority)
    except BadTarget:
        return True
    host = host_of(authority)
    if host == "localhost" or parse_address(host) is not None:
        return False
    return not host_allowed(host, names)


def is_cross_site(method: bytes, request: Fields) -> bool:
    """Return whether a page of another site sent the request.

    A link that leads here is followed (GET or HEAD), since that only shows the page.
    """
    site = (request.get(b"sec-fetch-site") or b"none").lower()
    navigates = (request.get(b"sec-fetch-mode") or b"").lower() == b"navigate"
    if site not in _OWN and not (navigates and method in _SAFE):
        return True
    origin = request.get(b"origin")
    if origin is None:
        return False
    return origin.lower().partition(b"://")[2] != (request.get(b"host") or b"").lower()
