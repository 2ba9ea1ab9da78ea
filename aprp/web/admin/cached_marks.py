"""The marks of a response of which some bytes came from the cache, which is one of its sources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aprp.upstream.transfer.trail import Mark
from aprp.web.admin.picture import LONGEST_BLOCK
from aprp.web.from_cache import FromCache

CACHE = "cache"
"""What it is called among the sources."""


def received_of(taken: FromCache, names: Sequence[str]) -> dict[str, int]:
    """Return the bytes that came from each source, the cache last.

    `names` are the sources of the route, in case nothing was fetched.
    """
    received: dict[str, int] = {}
    for transfer in taken.transfers:
        for name in transfer.source_names:
            received[name] = received.get(name, 0) + transfer.received[name]
    return (received or dict.fromkeys(names, 0)) | {CACHE: taken.count}


def marks_of(taken: FromCache) -> list[Mark]:
    """Return the marks of the transfers, and one for each run of bytes from the cache."""
    marks = [mark for run in taken.parts for mark in _of_run(run.start, run.stop)]
    for transfer in taken.transfers:
        driver = transfer.driver
        transfer.trail.settle(() if driver is None else driver.running)
        marks += transfer.trail.marks
    return marks


def _of_run(start: int, stop: int) -> Iterator[Mark]:
    """Yield a run of bytes in parts, none longer than a request may be."""
    while start < stop:
        mark = Mark(CACHE, start, min(stop, start + LONGEST_BLOCK))
        start = mark.at = mark.stop
        mark.live = False
        yield mark
