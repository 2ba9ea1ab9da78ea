"""The lower bound."""

from __future__ import annotations

from math import inf

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.scheduling.bound import least_time, water_level


class BoundTests(SynchronousTestCase):
    def test_one_source(self) -> None:
        self.assertAlmostEqual(least_time(100, [(10, 0.5)]), 10.5)

    def test_two_sources_add_up(self) -> None:
        self.assertAlmostEqual(least_time(100, [(10, 0), (10, 0)]), 5)

    def test_a_late_source_counts_from_its_first_byte(self) -> None:
        # 10 · T + 10 · (T − 2) = 100
        self.assertAlmostEqual(least_time(100, [(10, 0), (10, 2)]), 6)

    def test_a_source_that_is_too_late_adds_nothing(self) -> None:
        self.assertAlmostEqual(least_time(100, [(10, 0), (1000, 10)]), 10)

    def test_a_slow_client_is_a_bound_too(self) -> None:
        self.assertAlmostEqual(least_time(100, [(10, 0.5)], drain=5), 20.5)

    def test_no_source_never_ends(self) -> None:
        self.assertEqual(least_time(100, [(0, 0)]), inf)
        self.assertEqual(water_level(100, []), inf)

    def test_the_level_solves_the_equation(self) -> None:
        lanes = [(3.0, 1.0), (5.0, 0.2), (1.0, 9.0), (7.0, 2.5)]
        level = water_level(60, lanes)
        self.assertAlmostEqual(sum(rate * max(0, level - free) for rate, free in lanes), 60)
