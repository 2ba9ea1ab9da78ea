"""When shared connections are through slow start, and what is believed of them before and after."""

from __future__ import annotations

from math import inf

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.scheduling.growth import Growth


def grown(*rates: float) -> Growth:
    """What had these rates, in MB/s, in round trips of 0.1 s."""
    growth = Growth()
    for rate in rates:
        growth.add(int(rate * 1e5), 0.1, 0.1)
    return growth


class GrowthTests(SynchronousTestCase):
    def test_it_is_over_when_the_rate_stays(self) -> None:
        self.assertEqual((Growth().over, Growth().mean, Growth().error), (False, 0.0, inf))
        self.assertFalse(grown(1, 2, 4, 8, 8, 8).over)
        growth = grown(1, 2, 4, 8, 8, 8, 8)
        self.assertTrue(growth.over)
        self.assertApproximates(growth.mean, 8e6, 1e3)

    def test_what_came_before_does_not_count(self) -> None:
        growth = grown(1, 2, 4, 8, *[6] * 13)
        self.assertApproximates(growth.mean, 6e6, 1e3)
        self.assertEqual(growth.peak, 8e6)

    def test_the_more_it_swings_the_less_is_known(self) -> None:
        steady, swinging = grown(4, *[4] * 16), grown(4, *[2, 6] * 8)
        self.assertLess(steady.error, 0.05)
        self.assertGreater(swinging.error, 2 * steady.error)
        self.assertLess(swinging.error, grown(4, *[2, 6] * 2).error)

    def test_a_rate_that_falls_for_good_holds_no_longer(self) -> None:
        self.assertFalse(grown(4, *[4] * 16, 1, 4, 1, 4).fallen)
        self.assertTrue(grown(4, *[4] * 16, *[1] * 8).fallen)
