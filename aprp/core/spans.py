"""Sets of byte offsets, kept as sorted, disjoint half-open spans ``[start, stop)``."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator


class Spans:
    """A mutable set of offsets. Empty spans (start >= stop) change and contain nothing."""

    __slots__ = ("_starts", "_stops", "size")

    def __init__(self, *spans: tuple[int, int]) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        self.size = 0
        if len(spans) == 1 and spans[0][0] < spans[0][1]:
            start, stop = spans[0]
            self._starts, self._stops, self.size = [start], [stop], stop - start
            return
        for start, stop in spans:
            self.add(start, stop)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._starts, self._stops, strict=True))

    def __len__(self) -> int:
        return len(self._starts)

    def __repr__(self) -> str:
        return f"Spans{tuple(self)!r}"

    def add(self, start: int, stop: int) -> None:
        """Add every offset of ``[start, stop)`` to the set."""
        if start >= stop:
            return
        first = bisect_left(self._stops, start)
        last = bisect_right(self._starts, stop)
        if first < last:
            start = min(start, self._starts[first])
            stop = max(stop, self._stops[last - 1])
        self._replace(first, last, [(start, stop)])

    def remove(self, start: int, stop: int) -> None:
        """Remove every offset of ``[start, stop)`` from the set."""
        if start >= stop:
            return
        first = bisect_right(self._stops, start)
        last = bisect_left(self._starts, stop)
        if first >= last:
            return
        rest = []
        if self._starts[first] < start:
            rest.append((self._starts[first], start))
        if self._stops[last - 1] > stop:
            rest.append((stop, self._stops[last - 1]))
        self._replace(first, last, rest)

    def within(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """The parts of the set that lie in ``[start, stop)``, in order."""
        index = bisect_right(self._stops, start)
        while start < stop and index < len(self._starts) and self._starts[index] < stop:
            yield max(start, self._starts[index]), min(stop, self._stops[index])
            index += 1

    def first(self, start: int, stop: int) -> tuple[int, int] | None:
        """The first part of the set in ``[start, stop)``."""
        index = bisect_right(self._stops, start)
        if start >= stop or index == len(self._starts) or self._starts[index] >= stop:
            return None
        return max(start, self._starts[index]), min(stop, self._stops[index])

    def last(self, start: int, stop: int) -> tuple[int, int] | None:
        """The last part of the set in ``[start, stop)``."""
        index = bisect_left(self._starts, stop) - 1
        if start >= stop or index < 0 or self._stops[index] <= start:
            return None
        return max(start, self._starts[index]), min(stop, self._stops[index])

    def holds(self, offset: int) -> bool:
        """Whether the offset is in the set."""
        index = bisect_right(self._starts, offset) - 1
        return index >= 0 and offset < self._stops[index]

    def count(self, start: int, stop: int) -> int:
        """Return how many offsets of ``[start, stop)`` are in the set."""
        if not self.size:
            return 0
        return sum(high - low for low, high in self.within(start, stop))

    def _replace(self, first: int, last: int, spans: list[tuple[int, int]]) -> None:
        if len(spans) == 1 == last - first:
            ((start, stop),) = spans
            self.size += stop - start - (self._stops[first] - self._starts[first])
            self._starts[first], self._stops[first] = start, stop
            return
        gone = sum(self._stops[first:last]) - sum(self._starts[first:last])
        self._starts[first:last] = [start for start, _ in spans]
        self._stops[first:last] = [stop for _, stop in spans]
        self.size += sum(stop - start for start, stop in spans) - gone
