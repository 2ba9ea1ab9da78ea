"""Over how many connections requests are spread, as a rating learns it where they can share one."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.scheduling.ratings import Rating

TRIP = 0.05
SLOW_START = [0.3e6 * 2**n for n in range(7)]


def far(connect: float = TRIP, *, shared: bool = True) -> Rating:
    """The rating of a source whose requests share connections, a few hundred miles away."""
    rating = Rating()
    rating.answered(TRIP + connect, connect, shared=shared)
    return rating


def stream(rating: Rating, rates: Iterable[float], connections: int = 1, now: float = 0.0) -> float:
    """Let bytes come at each of the rates for one round trip, in chunks of 10 ms."""
    for rate in rates:
        for _ in range(5):
            now += TRIP / 5
            rating.came(int(rate * TRIP / 5), TRIP / 5, connections, now)
    return now


def tried(rating: Rating, now: float) -> int:
    return rating.lanes_to_try(4, now, at_once=True)


class TrialTests(SynchronousTestCase):
    def test_nothing_is_tried_in_slow_start(self) -> None:
        rating = far()
        now = stream(rating, SLOW_START)
        self.assertEqual(tried(rating, now), 1)
        now = stream(rating, [20e6] * 5, now=now)
        self.assertEqual(tried(rating, now), 4)

    def test_over_http1_each_request_has_its_own_anyway(self) -> None:
        rating = far(shared=False)
        now = stream(rating, SLOW_START)
        self.assertEqual(tried(rating, now), 2)

    def test_more_are_judged_after_their_own(self) -> None:
        rating = far()
        now = stream(rating, [1e6] * 5)
        now = stream(rating, [1e6, 1e6, 1.3e6, 1.7e6], 4, now)
        self.assertEqual((rating.lanes, tried(rating, now)), (1, 4), "still tried")
        stream(rating, [1.8e6] * 8, 4, now)
        self.assertEqual(rating.lanes, 4)

    def test_a_gain_that_is_plain_counts_at_once(self) -> None:
        rating = far()
        now = stream(rating, [1e6] * 5)
        stream(rating, [1.5e6, 3e6], 4, now)
        self.assertEqual(rating.lanes, 4)

    def test_the_rate_of_the_trial_is_believed(self) -> None:
        rating = far()
        now = stream(rating, [1e6] * 5)
        stream(rating, [1.9e6] * 12, 4, now)
        self.assertApproximates(rating.rate or 0, 1.9e6, 1e5)

    def test_connections_that_were_not_there_in_time_count_as_tried(self) -> None:
        rating = far()
        now = stream(rating, [1e6] * 5)
        self.assertEqual(tried(rating, now), 4)
        stream(rating, [1e6, 2e6, 3e6], 2, now)
        self.assertEqual(rating.lanes, 4)

    def test_nothing_is_compared_with_what_is_not_known(self) -> None:
        rating = far()
        now = stream(rating, [1e6] * 2)
        now = stream(rating, [2e6] * 16, 2, now)
        self.assertEqual(rating.lanes, 1)
        now = stream(rating, [1e6] * 16, 1, now)
        stream(rating, [2e6] * 4, 2, now)
        self.assertEqual(rating.lanes, 2)

    def test_swings_do_not_hide_a_gain(self) -> None:
        """Nor do they make one, where rates swing by half."""
        for gain, lanes in ((1.0, 1), (3.0, 4)):
            for seed in range(20):
                draw, rating = Random(seed), far()

                def swinging(rate: float, rounds: int, draw: Random = draw) -> list[float]:
                    return [rate * draw.uniform(0.7, 1.3) for _ in range(rounds)]

                now = stream(rating, [1.2e6, *swinging(1e6, 8)])
                stream(rating, swinging(gain * 1e6, 64), 4, now)
                self.assertEqual(rating.lanes, lanes, (gain, seed))


class BackOffTests(SynchronousTestCase):
    def test_more_that_add_nothing_are_left_and_tried_again_later(self) -> None:
        rating, now = far(), 0.0
        for pause in (2.0, 4.0, 8.0):
            now = stream(rating, [2e6] * 5, 1, now)
            self.assertEqual(tried(rating, now), 4)
            failed = stream(rating, [2e6] * 7, 4, now)
            self.assertEqual((rating.lanes, tried(rating, failed)), (1, 1))
            now = stream(rating, [2e6] * 5, 2, failed)  # what is left of the trial
            self.assertEqual(tried(rating, failed + pause - 0.3), 1)
            now = failed + pause
        self.assertEqual(tried(rating, now), 4)

    def test_more_that_are_slower_show_that_the_line_has_changed(self) -> None:
        rating = far()
        now = stream(rating, [8e6] * 5)
        now = stream(rating, [2e6] * 8, 4, now)
        self.assertEqual((rating.lanes, tried(rating, now)), (1, 1))
        now = stream(rating, [1e6] * 5, 1, now)
        self.assertEqual(tried(rating, now), 4, "at once")

    def test_a_rate_that_falls_ends_the_wait(self) -> None:
        rating = far()
        now = stream(rating, [8e6] * 5)
        now = stream(rating, [8e6] * 8, 4, now)
        self.assertEqual(tried(rating, now), 1)
        now = stream(rating, [1e6] * 14, 1, now)
        self.assertEqual(tried(rating, now), 4)


class TooManyTests(SynchronousTestCase):
    def test_one_that_brings_nothing_any_longer_is_left(self) -> None:
        rating = far()
        now = stream(rating, [1e6] * 5)
        now = stream(rating, [4e6] * 30, 4, now)
        self.assertEqual(rating.lanes, 4)
        now = stream(rating, [4e6] * 30, 3, now)
        stream(rating, [4e6] * 2, 4, now)
        self.assertEqual(rating.lanes, 3)

    def test_those_that_bring_their_share_are_kept(self) -> None:
        rating = far()
        now = stream(rating, [1e6] * 5)
        for _ in range(10):
            now = stream(rating, [4e6] * 12, 4, now)
            now = stream(rating, [3e6] * 12, 3, now)
        self.assertEqual(rating.lanes, 4)
