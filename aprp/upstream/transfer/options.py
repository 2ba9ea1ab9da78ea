"""The settings of a transfer: where the file is, and how to fetch it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from aprp.config import (
    QueryRoute,
    Route,
    SourceSettings,
    SourcesRoute,
    TransferSettings,
    UpstreamRoute,
)
from aprp.core.choices import Compare, Http2, Redirects, Same
from aprp.core.http.urls import Url
from aprp.core.recovery.pieces import Proof
from aprp.core.scheduling.messages import Source
from aprp.core.scheduling.settings import SchedulingSettings
from aprp.upstream.exchange import Timeouts
from aprp.upstream.http.guard import Reach
from aprp.upstream.tally import SourceTally, uncounted


@dataclass(frozen=True, slots=True)
class FileLocation:
    """One source, and the URL at which it has the file. `http2` None: as the route has it."""

    source: Source
    url: Url
    http2: Http2 | None = None


def location(source: SourceSettings, name: str, url: Url | None = None) -> FileLocation:
    """Return where the source, called `name`, has the file: at `url`, or at its own URL."""
    at = source.location
    spec = Source(name, at.place, source.connections, source.static_delay)
    return FileLocation(spec, url or at, source.http2)


def locations(urls: Iterable[Url]) -> tuple[FileLocation, ...]:
    """Return the locations of a file from URLs of a client or program, without duplicates."""
    urls = tuple(dict.fromkeys(urls))
    sources = [SourceSettings(url=url) for url in urls]
    return tuple(map(location, sources, names_by_origin(urls)))


def without_query(url: Url) -> str:
    """Return the URL as logs may show it: its query may hold a token."""
    return url.origin + url.path


def names_by_origin(urls: Sequence[Url]) -> list[str]:
    """Return the names of sources that only one transfer knows: their origins.

    Those that share an origin are called by their URLs without the query.
    """
    origins = [url.origin for url in urls]
    return _numbered(
        [url.origin if origins.count(url.origin) == 1 else without_query(url) for url in urls]
    )


def names_of(route: Route) -> list[str]:
    """Return the names of a route's sources, in its order: their URLs without the query.

    The sources of a `query:` route have none: each client names its own.
    """
    if isinstance(route, UpstreamRoute):
        return [without_query(route.upstream)]
    if isinstance(route, SourcesRoute):
        return _numbered([without_query(source.location) for source in sources_of(route)])
    return []


def sources_of(route: SourcesRoute) -> list[SourceSettings]:
    """Return the sources of a route; of those with the same URL, the first."""
    sources: dict[Url, SourceSettings] = {}
    for source in route.sources:
        sources.setdefault(source.location, source)
    return list(sources.values())


def _numbered(names: Sequence[str]) -> list[str]:
    """Return the names, with a number behind each that is shared."""
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
    the lines of the log. `http2: prior-knowledge` holds for a source's own origin alone.

    With `compare: sample`, `samples` blocks are compared besides the first bytes.

    If the file has a `proof`, its pieces are verified before they leave the transfer, and so is the
    hash of a whole file that is sent from its beginning to its end; see `with_proof`.
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
    http2: Http2 = Http2.AUTO
    proof: Proof | None = None
    samples: int = 8

    def with_proof(self, proof: Proof) -> TransferOptions:
        """Return the options for a file with a proof.

        Where pieces are verified, sources need only have a file of its length.
        """
        same = self.same if proof.pieces is None else Same.LENGTH
        return replace(self, proof=proof, same=same)

    @classmethod
    def of(
        cls, route: TransferSettings, trust: Any = None, reach: Reach | None = None
    ) -> TransferOptions:
        """Return the options of a route."""
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
            http2=route.http2,
            samples=route.samples,
        )
