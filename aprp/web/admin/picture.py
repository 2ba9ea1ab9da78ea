"""A transfer's blocks as a row of cells, run-length encoded. Pure.

A cell shows the latest state of its bytes: which source sent them or was requested to, whether they
are delivered, waiting for the client or in flight, and whether two sources were requested.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Protocol

NOTHING, DELIVERED, WAITING, IN_FLIGHT = range(4)
TWICE = 4
"""Added to a state where a second request covers the same bytes."""

LONGEST_BLOCK = 64 << 20
"""Bytes of one request, at most; the end of a longer one may not be shown."""
OVERLAPPING = 4
"""The maximum number of marks that cover one byte."""

Run = tuple[int, int, int]
"""How many cells, their state, the number of their source (-1: none)."""


class Marked(Protocol):
    """A request for [start, stop), which has brought [start, at)."""

    source: str
    start: int
    stop: int
    at: int
    live: bool


class Cells:
    """The bytes [start, stop) in so many cells."""

    def __init__(self, start: int, stop: int, count: int) -> None:
        self._start = start
        self._stop = max(stop, start + 1)
        self._count = count
        self._states = [NOTHING] * count
        self._sources = [-1] * count

    def paint(self, start: int, stop: int, state: int, source: int) -> None:
        """Set the cells of the bytes [start, stop): at least one cell, however few they are."""
        first, last = self._cells(start, stop)
        if first < last:
            self._states[first:last] = [state] * (last - first)
            self._sources[first:last] = [source] * (last - first)

    def set(self, cell: int, state: int, source: int) -> None:
        """Set one cell."""
        self._states[cell], self._sources[cell] = state, source

    def mark_duplicate(self, start: int, stop: int) -> None:
        """Mark the bytes [start, stop) as requested from two sources."""
        for cell in range(*self._cells(start, stop)):
            self._states[cell] |= TWICE

    def runs(self) -> list[Run]:
        """Return the cells from left to right, equal ones together."""
        found: list[Run] = []
        for state, source in zip(self._states, self._sources, strict=True):
            if found and found[-1][1:] == (state, source):
                found[-1] = (found[-1][0] + 1, state, source)
            else:
                found.append((1, state, source))
        return found

    def _cells(self, start: int, stop: int) -> tuple[int, int]:
        start, stop = max(start, self._start), min(stop, self._stop)
        if start >= stop:
            return 0, 0
        scale = self._count / (self._stop - self._start)
        first = min(self._count - 1, int((start - self._start) * scale))
        return first, max(first + 1, round((stop - self._start) * scale))


class Picture:
    """The marks of one transfer, to be drawn. `numbers` are those of the sources, and everything
    before `position` was delivered."""

    def __init__(self, marks: Iterable[Marked], numbers: Mapping[str, int], position: int) -> None:
        self._marks = sorted(marks, key=attrgetter("start"))
        self._starts = [mark.start for mark in self._marks]
        self._numbers = numbers
        self._position = position

    def whole(self, start: int, stop: int, count: int) -> list[Run]:
        """Return [start, stop) in `count` cells, each of which shows the byte in its middle.

        The cost depends on the number of cells, not on that of the marks.
        """
        cells = Cells(start, stop, count)
        for cell in range(count):
            cells.set(cell, *self._at(start + (2 * cell + 1) * (stop - start) // (2 * count)))
        return cells.runs()

    def near(self, start: int, stop: int, count: int) -> list[Run]:
        """Return [start, stop) in `count` cells, in which every block shows, however small."""
        first = bisect_left(self._starts, start - LONGEST_BLOCK)
        last = bisect_left(self._starts, stop)
        shown = [mark for mark in self._marks[first:last] if mark.stop > start]
        cells, position = Cells(start, stop, count), self._position
        for mark in shown:
            if mark.live:
                cells.paint(mark.at, mark.stop, IN_FLIGHT, self._numbers[mark.source])
        for mark in shown:
            number = self._numbers[mark.source]
            cells.paint(max(mark.start, position), mark.at, WAITING, number)
        for mark in shown:
            number = self._numbers[mark.source]
            cells.paint(mark.start, min(mark.at, position), DELIVERED, number)
        for low, high in _asked_twice(shown):
            cells.mark_duplicate(low, high)
        return cells.runs()

    def _at(self, offset: int) -> tuple[int, int]:
        """Return the state and the source of one byte."""
        found = (NOTHING, -1)
        last = bisect_right(self._starts, offset)
        for mark in self._marks[max(0, last - OVERLAPPING) : last]:
            if offset < mark.at:
                state = DELIVERED if offset < self._position else WAITING
                return state, self._numbers[mark.source]
            if mark.live and offset < mark.stop:
                found = (IN_FLIGHT, self._numbers[mark.source])
        return found


def _asked_twice(marks: Iterable[Marked]) -> Iterable[tuple[int, int]]:
    """Yield the ranges that several requests cover, or have delivered."""
    edge = 0
    for start, stop in sorted((m.start, m.stop if m.live else m.at) for m in marks):
        if start < min(edge, stop):
            yield start, min(edge, stop)
        edge = max(edge, stop)
