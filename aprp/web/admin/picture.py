"""The blocks of a transfer as a row of cells, which is sent as runs of equal ones. Pure.

A cell shows the latest that is known of its bytes: who brought them, or whom they were asked of,
and whether they were delivered, wait for the client, or are in flight; and whether two sources
were asked for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

NOTHING, DELIVERED, WAITING, IN_FLIGHT = range(4)
TWICE = 4
"""Added to a state where a second request covers the same bytes."""

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
        """Show the bytes [start, stop) so; fewer than a cell still show in one."""
        first, last = self._cells(start, stop)
        if first < last:
            self._states[first:last] = [state] * (last - first)
            self._sources[first:last] = [source] * (last - first)

    def mark_twice(self, start: int, stop: int) -> None:
        """Show that the bytes [start, stop) were asked of two sources."""
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


def draw(
    marks: Iterable[Marked],
    numbers: Mapping[str, int],
    start: int,
    stop: int,
    position: int,
    count: int,
) -> list[Run]:
    """Return the runs that show [start, stop) of a transfer in `count` cells.

    `marks` come in the order of their requests, `numbers` are those of the sources, and
    everything before `position` was delivered.
    """
    shown = [mark for mark in marks if mark.stop > start and mark.start < stop]
    cells = Cells(start, stop, count)
    for mark in shown:
        if mark.live:
            cells.paint(mark.at, mark.stop, IN_FLIGHT, numbers[mark.source])
    for mark in shown:
        number = numbers[mark.source]
        cells.paint(max(mark.start, position), mark.at, WAITING, number)
    for mark in shown:
        cells.paint(mark.start, min(mark.at, position), DELIVERED, numbers[mark.source])
    for low, high in _asked_twice(shown):
        cells.mark_twice(low, high)
    return cells.runs()


def _asked_twice(marks: Iterable[Marked]) -> Iterable[tuple[int, int]]:
    """The bytes that more than one request covers or has brought."""
    edge = 0
    for start, stop in sorted((m.start, m.stop if m.live else m.at) for m in marks):
        if start < min(edge, stop):
            yield start, min(edge, stop)
        edge = max(edge, stop)
