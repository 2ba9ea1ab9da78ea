"""The settings of a transfer: where the file is, and how to fetch it.

They are plain values; `route_options` makes them from the settings of a route.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from aprp.core.choices import Compare, Http2, Redirects, Same
from aprp.core.http.urls import Url
from aprp.core.recovery.pieces import Proof
from aprp.core.scheduling.messages import Source
from aprp.core.scheduling.settings import SchedulingSettings
from aprp.core.values import dataclass
from aprp.upstream.exchange import Timeouts
from aprp.upstream.http.guard import Reach
from aprp.upstream.tally import SourceTally, uncounted


@dataclass(frozen=True, slots=True)
class FileLocation:
    """One source, and the URL at which it has the file. `http2` None: as the route has it."""

    source: Source
    url: Url
    http2: Http2 | None = None


def locations(urls: Iterable[Url]) -> tuple[FileLocation, ...]:
    """Return the locations of a file from URLs of a client or program, without duplicates."""
    urls = tuple(dict.fromkeys(urls))
    return tuple(
        FileLocation(Source(name, url.place), url)
        for name, url in zip(names_by_origin(urls), urls, strict=True)
    )


def without_query(url: Url) -> str:
    """Return the URL as logs may show it: its query may hold a token."""
    return url.origin + url.path


def names_by_origin(urls: Sequence[Url]) -> list[str]:
    """Return the names of sources that only one transfer knows: their origins.

    Those that share an origin are called by their URLs without the query.
    """
    origins = [url.origin for url in urls]
    return numbered(
        [url.origin if origins.count(url.origin) == 1 else without_query(url) for url in urls]
    )


def numbered(names: Sequence[str]) -> list[str]:
    """Return the names, with a number behind each that is shared."""
    return [
        name if names.count(name) == 1 else f"{name} ({names[: at + 1].count(name)})"
        for at, name in enumerate(names)
    ]


class TransferOptions(NamedTuple):
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

    timeouts: Timeouts = Timeouts(5.0, 10.0, 10.0)
    scheduling: SchedulingSettings = SchedulingSettings()
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
        return self._replace(proof=proof, same=same)
