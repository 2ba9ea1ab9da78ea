"""The settings of a transfer as a route of the configuration has them."""

from __future__ import annotations

from typing import Any

from aprp.config import (
    QueryRoute,
    Route,
    SourceSettings,
    SourcesRoute,
    TransferSettings,
    UpstreamRoute,
)
from aprp.core.http.urls import Url
from aprp.core.scheduling.messages import Source
from aprp.core.scheduling.settings import SchedulingSettings
from aprp.upstream.exchange import Timeouts
from aprp.upstream.http.guard import Reach
from aprp.upstream.transfer.options import (
    FileLocation,
    TransferOptions,
    numbered,
    without_query,
)


def location(source: SourceSettings, name: str, url: Url | None = None) -> FileLocation:
    """Return where the source, called `name`, has the file: at `url`, or at its own URL."""
    at = source.location
    spec = Source(name, at.place, source.connections, source.static_delay)
    return FileLocation(spec, url or at, source.http2)


def names_of(route: Route) -> list[str]:
    """Return the names of a route's sources, in its order: their URLs without the query.

    The sources of a `query:` route have none: each client names its own.
    """
    if isinstance(route, UpstreamRoute):
        return [without_query(route.upstream)]
    if isinstance(route, SourcesRoute):
        return numbered([without_query(source.location) for source in sources_of(route)])
    return []


def sources_of(route: SourcesRoute) -> list[SourceSettings]:
    """Return the sources of a route; of those with the same URL, the first."""
    sources: dict[Url, SourceSettings] = {}
    for source in route.sources:
        sources.setdefault(source.location, source)
    return list(sources.values())


def options_of(
    route: TransferSettings, trust: Any = None, reach: Reach | None = None
) -> TransferOptions:
    """Return the options of a route."""
    return TransferOptions(
        Timeouts(route.connect_timeout, route.first_byte_timeout, route.between_bytes_timeout),
        SchedulingSettings(
            route.window,
            route.block_size,
            route.delay,
            route.duplicate,
            route.duplicate_threshold,
            route.resume_for,
        ),
        route.same,
        route.compare,
        route.redirects,
        tuple((n.encode("latin-1"), v.encode("latin-1")) for n, v in route.headers),
        route.host,
        trust,
        reach,
        headers_to=route.headers_to if isinstance(route, QueryRoute) else ("*",),
        http2=route.http2,
        samples=route.samples,
    )
