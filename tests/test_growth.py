"""When shared connections are through slow start, and what is believed of them before and after."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.scheduling.growth import Growth
from aprp.core.scheduling.ratings import Rating

TRIP = 0.05


def far(connect: float = TRIP, *, shared: bool = True) -> Rating:
    """The rating of a source whose requests share connections, a few hundred miles away."""
    rating = Rating()
    rating.answered(TRIP + connect, connect, shared=shared)
    return rating


def stream(rating: Rating, rates: list[float], connections: int = 1, now: float = 0.0) -> float:
    """Let bytes come at each of the rates for one round trip, in chunks of 10 ms."""
    for rate in rates:
        for _ in range(5):
            now += TRIP / 5
            rating.came(int(rate * TRIP / 5), TRIP / 5, connections, now)
    return now


SLOW_START = [0.3e6 * 2**n for n in range(7)]


class GrowthTests(SynchronousTestCase):
    def test_it_is_over_when_the_rate_stays(self) -> None:
        growth = Growth()
        for rate in (1, 2, 4, 8, 8, 8):
            growth.add(int(rate * 1e5), 0.1, 0.1)
            self.assertEqual(growth.steady, 0)
        for _ in range(10):
            growth.add(int(8e5), 0.1, 0.1)
        self.assertApproximates(growth.steady, 8e6, 1e3)

    def test_what_came_before_does_not_count(self) -> None:
        growth = Growth()
        for rate in (1, 2, 4, 8, 8, 8, *[6] * 10):
            growth.add(int(rate * 1e5), 0.1, 0.1)
        self.assertApproximates(growth.steady, 6e6, 1e3)


class RatingTests(SynchronousTestCase):
    def test_nothing_is_tried_in_slow_start(self) -> None:
        rating = far()
        now = stream(rating, SLOW_START)
        self.assertEqual(rating.lanes_to_try(4, now, at_once=True), 1)
        now = stream(rating, [20e6] * 12, now=now)
        self.assertEqual(rating.lanes_to_try(4, now, at_once=True), 2)

    def test_over_http1_each_request_has_its_own_anyway(self) -> None:
        rating = far(shared=False)
        now = stream(rating, SLOW_START)
        self.assertEqual(rating.lanes_to_try(4, now, at_once=True), 2)

    def test_a_second_connection_is_judged_after_its_own(self) -> None:
        rating = far()
        now = stream(rating, [1e6] * 16)
        now = stream(rating, [1.2e6, 1.4e6, 1.8e6, 2e6], 2, now)
        self.assertEqual(rating.lanes_to_try(4, now, at_once=True), 2, "still tried")
        self.assertEqual(rating.lanes, 1)
        stream(rating, [2e6] * 12, 2, now)
        self.assertEqual(rating.lanes, 2)

    def test_swings_are_averaged(self) -> None:
        """The last moment of a line that loses packets says little."""
        rating = far()
        now = stream(rating, [1e6, 1e6, 0.5e6, 1.5e6] * 4)
        stream(
            rating, [2e6, 2e6, 2e6, 1.2e6, 2.4e6, 2e6, 2e6, 2e6, 1.4e6, 1.2e6, 1.1e6, 1.1e6], 2, now
        )
        self.assertEqual(rating.lanes, 2)

    def test_nothing_is_compared_with_what_is_not_known(self) -> None:
        rating = far()
        now = stream(rating, [1e6] * 2)
        now = stream(rating, [2e6] * 16, 2, now)
        self.assertEqual(rating.lanes, 1)
        now = stream(rating, [1e6] * 16, 1, now)
        stream(rating, [2e6] * 4, 2, now)
        self.assertEqual(rating.lanes, 2)

    def test_one_that_adds_nothing_is_left(self) -> None:
        rating = far()
        now = stream(rating, [2e6] * 16)
        now = stream(rating, [2e6] * 12, 2, now)
        self.assertEqual((rating.lanes, rating.lanes_to_try(4, now, at_once=True)), (1, 1))
