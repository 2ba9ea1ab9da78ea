"""What a transfer is told: where the copies are, and by which rules they are fetched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aprp.config import QueryRoute, Route, SourcesRoute, TransferSettings, UpstreamRoute
from aprp.core.choices import Compare, Redirects, Same
from aprp.core.http.urls import Url
from aprp.core.scheduling.messages import Source
from aprp.core.scheduling.settings import SchedulingSettings
from aprp.upstream.exchange import Timeouts
from aprp.upstream.http.guard import Reach
from aprp.upstream.tally import SourceTally, uncounted


@dataclass(frozen=True, slots=True)
class FileLocation:
    """One source, and the URL at which it has the file."""

    source: Source
    url: Url


def locations(urls: Sequence[Url], connections: int = 4) -> tuple[FileLocation, ...]:
    """Copies at these URLs, named by their origins, and by their paths where those are shared."""
    urls = tuple(dict.fromkeys(urls))
    origins = [url.origin for url in urls]
    names = distinct(
        [url.origin if origins.count(url.origin) == 1 else without_query(url) for url in urls]
    )
    return tuple(
        FileLocation(Source(name, url.authority, connections), url)
        for name, url in zip(names, urls, strict=True)
    )


def without_query(url: Url) -> str:
    """The URL as logs may show it: its query may hold a token."""
    return url.origin + url.path


def names_of(route: Route) -> list[str]:
    """Return what the sources of a route are called, in its order; clients' own have no name."""
    if isinstance(route, UpstreamRoute):
        return [without_query(route.upstream)]
    if isinstance(route, SourcesRoute):
        return distinct([without_query(url) for url in urls_of(route)])
    return []


def urls_of(route: SourcesRoute) -> list[Url]:
    """Return the URLs of a route's sources, none twice."""
    return list(dict.fromkeys(source.url for source in route.sources))


def distinct(names: Sequence[str]) -> list[str]:
    """The names, numbered where they are shared."""
    return [
        name if names.count(name) == 1 else f"{name} ({names[: at + 1].count(name)})"
        for at, name in enumerate(names)
    ]


@dataclass(frozen=True, slots=True)
class TransferOptions:
    """The rules of a route, or of a program's own transfer; the defaults are those of a route.

    `headers` go with each request to a source's own origin and nowhere else, `marks` wherever one
    goes; `host` stands in place of its Host field. Where a client names the sources, only hosts
    that `headers_to` (globs) lists get `headers` and `host`. `trust` is as in `Origin`. Without
    `reach`, sources are connected to as they are named, and `redirects: public` is not followed to
    other hosts. `tally_of` gives the tally of the source with that name; `transfer_id` stands in
    the lines of the log.
    """

    timeouts: Timeouts = field(default_factory=lambda: Timeouts(5.0, 10.0, 10.0))
    scheduling: SchedulingSettings = field(default_factory=SchedulingSettings)
    same: Same = Same.MODIFIED
    compare: Compare = Compare.OFF
    redirects: Redirects = Redirects.SAME_HOST
    headers: tuple[tuple[bytes, bytes], ...] = ()
    host: str | None = None
    trust: Any = None
    reach: Reach | None = None
    marks: tuple[tuple[bytes, bytes], ...] = ()
    headers_to: tuple[str, ...] = ("*",)
    tally_of: Callable[[str], SourceTally] = uncounted
    transfer_id: str = ""

    @classmethod
    def of(
        cls, route: TransferSettings, trust: Any = None, reach: Reach | None = None
    ) -> TransferOptions:
        """Those of a route."""
        return cls(
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
        )
