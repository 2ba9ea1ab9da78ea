"""Records a transfer block by block, in the form of sphttp's trace log."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from aprp.library.fetch_request import FetchRequest
from aprp.upstream.transfer.transfer import Transfer

Log = list[tuple[float, int, str]]
"""Entries of (seconds since the start, block number, host)."""


class TraceLog:
    """A trace of one transfer, in blocks of `size` bytes from the start of the file."""

    def __init__(
        self, fetch_request: FetchRequest, size: int, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._urls = {location.source.name: location.url for location in fetch_request.locations}
        self._size = max(1, abs(size))
        self._now = now
        self._began = 0.0
        self._sent: Log = []
        self._received: Log = []
        self._asked_at: dict[str, float] = {}
        self._delays: dict[str, float] = {}
        self._held: Counter[int] = Counter()
        self._complete: Callable[[], int | None] = lambda: None

    def watch(self, transfer: Transfer) -> None:
        """Observe a transfer. Call it before the transfer begins."""
        self._began = self._now()
        self._complete = lambda: None if transfer.facts is None else transfer.facts.complete
        transfer.observe = self._came
        transfer.observe_asked = self._asked

    def logs(self) -> tuple[Log, Log, dict[str, float]]:
        """Return the requests, the complete blocks, and the seconds to the first byte by URL."""
        return list(self._sent), list(self._received), dict(self._delays)

    def _asked(self, source: str, attempt: int, start: int, stop: int) -> None:
        seconds = self._now() - self._began
        self._asked_at.setdefault(source, seconds)
        self._sent.append((seconds, start // self._size, self._urls[source].host))

    def _came(self, source: str, attempt: int, offset: int, count: int, kept: int) -> None:
        seconds = self._now() - self._began
        url = self._urls[source]
        self._delays.setdefault(str(url), seconds - self._asked_at.get(source, 0.0))
        stop = offset + kept
        while offset < stop:
            block = offset // self._size
            edge = min(stop, (block + 1) * self._size)
            self._held[block] += edge - offset
            if self._held[block] == self._length(block):
                self._received.append((seconds, block, url.host))
                del self._held[block]
            offset = edge

    def _length(self, block: int) -> int:
        complete = self._complete()
        whole = (block + 1) * self._size
        return self._size if complete is None else min(whole, complete) - block * self._size
