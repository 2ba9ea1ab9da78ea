"""Edges and sizes."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.scheduling.blocks import (
    EDGE,
    HORIZON,
    LARGEST,
    edge_after,
    edge_before,
    smallest_size,
    tail_size,
    wanted_size,
)
from aprp.core.scheduling.messages import MIB

FAR = 1 << 40


class BlockTests(SynchronousTestCase):
    def test_edges(self) -> None:
        self.assertEqual(edge_after(1), EDGE)
        self.assertEqual(edge_after(EDGE), EDGE)
        self.assertEqual(edge_before(EDGE + 1), EDGE)
        self.assertEqual(edge_before(EDGE - 1), 0)

    def test_a_block_is_what_comes_within_the_horizon(self) -> None:
        size = wanted_size(4e6, 4e6, 0.02, FAR)
        self.assertTrue(4e6 * HORIZON <= size < 4e6 * HORIZON + EDGE)

    def test_a_slow_source_gets_one_edge(self) -> None:
        self.assertEqual(wanted_size(1e4, 1e7, 0.02, FAR), EDGE)

    def test_a_far_source_gets_what_its_latency_is_worth(self) -> None:
        self.assertEqual(wanted_size(4e6, 4e6, 1.0, FAR), smallest_size(4e6, 1.0))

    def test_never_over_the_largest(self) -> None:
        self.assertEqual(wanted_size(1e9, 1e9, 0.02, FAR), LARGEST)

    def test_a_small_window_makes_small_blocks(self) -> None:
        self.assertLessEqual(wanted_size(1e7, 2e7, 0.02, 4 * MIB), 4 * MIB / 3)
        self.assertEqual(wanted_size(1e7, 2e7, 1.0, 4 * EDGE), EDGE)

    def test_near_the_end_half_the_share(self) -> None:
        self.assertEqual(tail_size(LARGEST, 4 * MIB, EDGE, 1e6), 2 * MIB)

    def test_near_the_floor_all_of_it(self) -> None:
        self.assertEqual(tail_size(LARGEST, 2 * EDGE, EDGE, 1e6), 2 * EDGE)

    def test_nothing_to_a_source_that_is_too_late(self) -> None:
        self.assertEqual(tail_size(LARGEST, 0, EDGE, 1e6), 0)
        self.assertEqual(tail_size(LARGEST, -5, EDGE, 1e6), 0)
