"""What the daemon loads at its start though the first source that needs it could: what is loaded
while clients are served holds them up, and may be of another release by then."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from aprp.config import QueryRoute, Route, SourcesRoute, UpstreamRoute
from aprp.core.choices import Http2

_TLS_AND_HTTP2 = ("aprp.upstream.http.tls", "aprp.upstream.http.h2_connection")


def load_protocols(routes: Iterable[Route]) -> None:
    """Load TLS to sources and HTTP/2 if a source of these routes may need them."""
    if any(map(may_need_them, routes)):
        for name in _TLS_AND_HTTP2:
            import_module(name)


def may_need_them(route: Route) -> bool:
    """Return whether a source of the route may be reached by TLS or HTTP/2."""
    if route.http2 is Http2.PRIOR_KNOWLEDGE or isinstance(route, QueryRoute):
        return True
    if isinstance(route, UpstreamRoute):
        return route.upstream.scheme == "https"
    assert isinstance(route, SourcesRoute)
    return route.metalink is not None or any(
        source.location.scheme == "https" or source.http2 is Http2.PRIOR_KNOWLEDGE
        for source in route.sources
    )
