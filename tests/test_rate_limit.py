"""One bucket limits the rate of all that is slowed down: it waits after bytes, or allows some."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.rate_limit import BURST, RateLimit


class WaitTests(SynchronousTestCase):
    def test_no_limit(self) -> None:
        self.assertEqual(RateLimit(None, 0.0).wait(1 << 40, 0.0), 0.0)

    @given(st.lists(st.tuples(st.integers(1, 5000), st.floats(0, 2)), max_size=50))
    def test_never_more_than_the_rate_and_a_burst(self, takes: list[tuple[int, float]]) -> None:
        rate, now, total = 1000, 5.0, 0
        limit = RateLimit(rate, now)
        for taken, idle in takes:
            total += taken
            now += limit.wait(taken, now)
            self.assertTrue(total <= rate * (now - 5.0 + BURST) + 1e-6)
            now += idle

    def test_burst(self) -> None:
        limit = RateLimit(1000, 0.0, burst=0.5)
        self.assertEqual(limit.wait(500, 9.0), 0.0)
        self.assertAlmostEqual(limit.wait(100, 9.0), 0.1)


class TakeTests(SynchronousTestCase):
    def test_no_limit(self) -> None:
        self.assertEqual(RateLimit(None, 0.0).take(1 << 40, 0.0), 1 << 40)

    def test_never_more_than_the_rate_and_the_burst(self) -> None:
        limit = RateLimit(1000, -inf)
        self.assertEqual(limit.take(5000, 0), 100)
        self.assertEqual(limit.take(5000, 0), 0)
        self.assertEqual(limit.take(5000, 0.05), 50)
        self.assertEqual(limit.take(5000, 60), 100)

    def test_never_more_than_wanted(self) -> None:
        limit = RateLimit(1000, -inf)
        self.assertEqual((limit.take(30, 0), limit.take(5000, 0)), (30, 70))

    def test_small_steps_lose_nothing(self) -> None:
        limit = RateLimit(1000, -inf)
        limit.take(100, 0)
        taken = sum(limit.take(9, n / 3000) for n in range(3001))
        self.assertTrue(999 <= taken <= 1000, taken)

    def test_bytes_before_the_limit(self) -> None:
        limit = RateLimit(1000, 0.0, free=300)
        self.assertEqual(
            (limit.take(200, 0), limit.take(200, 0), limit.take(200, 0)), (200, 100, 0)
        )
