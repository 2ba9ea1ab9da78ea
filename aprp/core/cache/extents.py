"""Which bytes of a file are there: disjoint half-open runs in ascending order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from aprp.core.http.ranges import MAX, Range
from aprp.core.spans import Spans

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

    __slots__ = ("_spans",)

    def __init__(self, runs: Iterable[tuple[int, int]] = ()) -> None:
        self._spans = Spans(*runs)

    def __iter__(self) -> Iterator[Range]:
        """Yield the runs in ascending order."""
        return (Range(*each) for each in self._spans)

    def __len__(self) -> int:
        """Return how many runs there are."""
        return len(self._spans)

    def __repr__(self) -> str:
        return f"Extents({list(self._spans)!r})"

    @property
    def total(self) -> int:
        """How many bytes are there."""
        return self._spans.size

    def run_at(self, offset: int) -> int | None:
        """Return where the run that has this byte stops, or None if the byte isn't there."""
        found = self._spans.first(offset, MAX)
        return None if found is None or found[0] > offset else found[1]

    def next_after(self, offset: int) -> int | None:
        """Return the first byte at or after this offset that is there, or None."""
        found = self._spans.first(offset, MAX)
        return None if found is None else found[0]

    def covers(self, start: int, stop: int) -> bool:
        """Return whether all of [start, stop) is there."""
        reached = self.run_at(start)
        return stop <= start or (reached is not None and stop <= reached)

    def add(self, start: int, stop: int) -> None:
        """Add [start, stop)."""
        self._spans.add(start, stop)

    def remove(self, start: int, stop: int) -> None:
        """Remove [start, stop)."""
        self._spans.remove(start, stop)
