"""Which workers may have the bytes that another one is about to fetch. Pure.

Rules:
- a worker notes, for each file, the range that holds all it fetches of it from the sources, and
  has just fetched. What it borrows from others isn't noted, so that nobody borrows in a ring;
- a worker that is about to fetch a byte within the range of another asks that one first. The
  other has the byte or will have it soon; or it says no, and ends its own fetch at that byte;
- a worker that is silent is believed to wait for its sources as long as its pulse goes on.
"""

from __future__ import annotations

from collections.abc import Iterable

from aprp.core.http.ranges import Range
from aprp.core.sharing.board import Values


def hull(ranges: Iterable[Range]) -> Range | None:
    """Return the smallest range that holds all of these, or None if there are none."""
    found = list(ranges)
    if not found:
        return None
    return Range(min(each.start for each in found), max(each.stop for each in found))


def may_lend(others: Iterable[tuple[int, Values]], at: int) -> list[int]:
    """Return the numbers of the workers that may have the byte `at`, by what they have noted."""
    return [number for number, (start, stop, *_) in others if start <= at < stop]


class Pulse:
    """Whether a worker that is silent still runs, by a number that it raises while it does."""

    def __init__(self, beats: int) -> None:
        self._beats = beats

    def goes_on(self, beats: int) -> bool:
        """Return whether the number has changed since the last look."""
        changed, self._beats = beats != self._beats, beats
        return changed
