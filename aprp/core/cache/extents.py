"""Which bytes of a file are there: disjoint half-open runs in ascending order."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from aprp.core.http.ranges import Range

BLOCK = 65536
"""Bytes of a block; blocks are counted from offset 0, and the last one of a file is shorter."""


def whole_blocks(start: int, stop: int, complete: int | None) -> Range:
    """Return the whole blocks within [start, stop) of a file of `complete` bytes; it may be empty.

    The last block is whole if it reaches the end of the file. None: the length isn't known yet.
    """
    first = -(-start // BLOCK) * BLOCK
    last = stop if stop == complete else stop // BLOCK * BLOCK
    return Range(first, max(first, last))


def around(start: int, stop: int, complete: int | None) -> Range:
    """Return the blocks that have bytes of [start, stop), which is within the file."""
    last = -(-stop // BLOCK) * BLOCK
    return Range(start // BLOCK * BLOCK, last if complete is None else min(last, complete))


class Extents:
    """The bytes that are there. Offsets are bytes; runs that touch are one run."""

    __slots__ = ("_starts", "_stops", "total")

    def __init__(self, runs: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        self.total = 0
        """How many bytes are there."""
        for start, stop in runs:
            self.add(start, stop)

    def __iter__(self) -> Iterator[Range]:
        """Yield the runs in ascending order."""
        return map(Range, self._starts, self._stops)

    def __len__(self) -> int:
        """Return how many runs there are."""
        return len(self._starts)

    def __repr__(self) -> str:
        return f"Extents({list(zip(self._starts, self._stops, strict=True))!r})"

    def run_at(self, offset: int) -> int | None:
        """Return where the run that has this byte stops, or None if the byte isn't there."""
        index = bisect_right(self._starts, offset) - 1
        if index < 0 or self._stops[index] <= offset:
            return None
        return self._stops[index]

    def next_after(self, offset: int) -> int | None:
        """Return the first byte at or after this offset that is there, or None."""
        if self.run_at(offset) is not None:
            return offset
        index = bisect_left(self._starts, offset)
        return self._starts[index] if index < len(self._starts) else None

    def covers(self, start: int, stop: int) -> bool:
        """Return whether all of [start, stop) is there."""
        reached = self.run_at(start)
        return stop <= start or (reached is not None and stop <= reached)

    def add(self, start: int, stop: int) -> None:
        """Add [start, stop)."""
        if start >= stop:
            return
        first = bisect_left(self._stops, start)
        last = bisect_right(self._starts, stop)
        if first < last:
            start = min(start, self._starts[first])
            stop = max(stop, self._stops[last - 1])
        self._replace(first, last, [(start, stop)])

    def remove(self, start: int, stop: int) -> None:
        """Remove [start, stop)."""
        if start >= stop:
            return
        first = bisect_right(self._stops, start)
        last = bisect_left(self._starts, stop)
        if first >= last:
            return
        ends = (self._starts[first], start), (stop, self._stops[last - 1])
        self._replace(first, last, [(a, b) for a, b in ends if a < b])

    def _replace(self, first: int, last: int, runs: list[tuple[int, int]]) -> None:
        self.total -= sum(self._stops[first:last]) - sum(self._starts[first:last])
        self.total += sum(stop - start for start, stop in runs)
        self._starts[first:last] = [start for start, _ in runs]
        self._stops[first:last] = [stop for _, stop in runs]
