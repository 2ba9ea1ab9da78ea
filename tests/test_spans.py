"""Spans against a naive twin: a set of offsets."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.spans import Spans

PAIRS = st.tuples(st.integers(0, 40), st.integers(0, 40))


class SpansTests(SynchronousTestCase):
    @settings(max_examples=300)
    @given(st.lists(st.tuples(st.booleans(), PAIRS), max_size=25), PAIRS, st.integers(0, 40))
    def test_like_a_set(
        self, steps: list[tuple[bool, tuple[int, int]]], window: tuple[int, int], at: int
    ) -> None:
        spans = Spans()
        twin: set[int] = set()
        for add, (start, stop) in steps:
            (spans.add if add else spans.remove)(start, stop)
            (twin.update if add else twin.difference_update)(range(start, stop))
        self.assertEqual([o for low, high in spans for o in range(low, high)], sorted(twin))
        self.assertEqual(spans.size, len(twin))
        self.assertEqual(bool(spans), bool(twin))
        self.assertEqual(spans.holds(at), at in twin)
        inside = sorted(twin.intersection(range(*window)))
        parts = list(spans.within(*window))
        self.assertEqual([o for low, high in parts for o in range(low, high)], inside)
        self.assertEqual(spans.count(*window), len(inside))
        self.assertEqual(spans.first(*window), parts[0] if parts else None)
        self.assertEqual(spans.last(*window), parts[-1] if parts else None)

    def test_neighbours_become_one(self) -> None:
        spans = Spans((0, 10), (20, 30))
        spans.add(10, 20)
        self.assertEqual(list(spans), [(0, 30)])

    def test_a_hole_makes_two(self) -> None:
        spans = Spans((0, 30))
        spans.remove(10, 20)
        self.assertEqual(list(spans), [(0, 10), (20, 30)])
