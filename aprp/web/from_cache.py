"""Which bytes of a response came from the cache, and which transfers fetched the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aprp.core.cache.extents import Extents

if TYPE_CHECKING:
    from aprp.upstream.transfer.transfer import Transfer


class FromCache:
    """The bytes of one response, by their offsets in the file, that weren't fetched for it."""

    def __init__(self) -> None:
        self.count = 0
        self.parts = Extents()
        self.transfers: list[Transfer] = []
        """Those that were begun for the response."""
        self._starts: list[int] = []

    @property
    def start(self) -> int | None:
        """The first byte of the range that is sent, None unless it is a single one."""
        return self._starts[0] if len(self._starts) == 1 else None

    def begin(self, start: int) -> None:
        """Take note of a range that is sent."""
        self._starts.append(start)

    def add(self, at: int, count: int) -> None:
        """Add bytes that weren't fetched for this response."""
        self.count += count
        self.parts.add(at, at + count)
