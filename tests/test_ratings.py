"""What is learned of a source."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.scheduling.meter import Meter
from aprp.core.scheduling.ratings import REMEMBERED, Rating, Ratings


def stream(rating: Rating, rate: float, seconds: float, streams: int = 1, now: float = 0) -> float:
    """Let bytes come at ``rate`` for so long, in chunks of 10 ms."""
    for _ in range(round(seconds / 0.01)):
        now += 0.01
        rating.came(int(rate * 0.01), 0.01, streams, now)
    return now


class RatingTests(SynchronousTestCase):
    def test_nothing_is_known_at_first(self) -> None:
        rating = Rating()
        self.assertIsNone(rating.rate)
        self.assertIsNone(rating.first_byte(warm=True))

    def test_rate(self) -> None:
        rating = Rating()
        stream(rating, 5e6, 0.3)
        self.assertApproximates(rating.rate or 0, 5e6, 1e3)

    def test_old_bytes_weigh_less(self) -> None:
        meter = Meter()
        meter.add(100, 1.0)
        meter.add(300, 1.0)
        self.assertGreater(meter.rate or 0, 290)

    def test_a_sudden_change_is_believed(self) -> None:
        rating = Rating()
        now = stream(rating, 10e6, 2)
        stream(rating, 1e6, 0.1, now=now)
        self.assertLess(rating.rate or 0, 3e6)

    def test_jitter_is_smoothed(self) -> None:
        rating = Rating()
        now = 0.0
        for _ in range(20):
            now = stream(rating, 7e6, 0.02, now=now)
            now = stream(rating, 5e6, 0.02, now=now)
        self.assertApproximates(rating.rate or 0, 6e6, 5e5)

    def test_latency_without_the_time_to_connect(self) -> None:
        rating = Rating()
        rating.answered(0.3, connect=0.1)
        self.assertAlmostEqual(rating.first_byte(warm=True) or 0, 0.2)
        self.assertAlmostEqual(rating.first_byte(warm=False) or 0, 0.3)

    def test_deviation_of_the_latency(self) -> None:
        rating = Rating()
        for seconds in (0.1, 0.2, 0.1, 0.2):
            rating.answered(seconds, None)
        self.assertTrue(0.1 < (rating.latency or 0) < 0.2)
        self.assertGreater(rating.deviation, 0.02)

    def test_our_own_queue_is_no_latency(self) -> None:
        rating = Rating()
        rating.answered(0.1, None)
        rating.answered(0.5, None, busy=True)
        self.assertEqual((rating.latency, rating.deviation), (0.1, 0.0))
        rating.answered(0.05, None, busy=True)
        self.assertLess(rating.latency or 0, 0.1)

    def test_the_time_to_connect_is_a_first_guess(self) -> None:
        rating = Rating()
        rating.connected(0.05)
        self.assertAlmostEqual(rating.first_byte(warm=True) or 0, 0.05)
        self.assertAlmostEqual(rating.first_byte(warm=False) or 0, 0.1)

    def test_ratings_outlive_transfers(self) -> None:
        ratings = Ratings()
        ratings.of("a").answered(0.1, None)
        self.assertIs(ratings.of("a"), ratings.of("a"))
        self.assertIsNone(ratings.of("b").latency)


class LanesTests(SynchronousTestCase):
    def test_nothing_is_tried_before_one_is_known(self) -> None:
        self.assertEqual(Rating().lanes_to_try(4, 0.0, at_once=True), 1)

    def test_a_second_connection_that_adds_rate_is_kept(self) -> None:
        rating = Rating()
        now = stream(rating, 2e6, 0.2)
        self.assertEqual(rating.lanes_to_try(8, now, at_once=True), 2)
        now = stream(rating, 4e6, 0.2, streams=2, now=now)
        self.assertEqual(rating.lanes, 2)
        self.assertApproximates(rating.lane_rate or 0, 2e6, 2e5)

    def test_the_more_it_adds_the_further_the_next_try(self) -> None:
        for added, more in ((1.0, 8), (0.6, 4)):
            rating = Rating()
            now = stream(rating, 2e6, 0.2)
            now = stream(rating, (1 + added) * 2e6, 0.2, streams=2, now=now)
            self.assertEqual(rating.lanes_to_try(8, now, at_once=True), more)

    def test_one_that_adds_nothing_is_not(self) -> None:
        rating = Rating()
        now = stream(rating, 2e6, 0.2)
        now = stream(rating, 2e6, 0.2, streams=2, now=now)
        self.assertEqual(rating.lanes, 1)
        self.assertEqual(rating.lanes_to_try(8, now, at_once=True), 1)
        self.assertEqual(rating.lanes_to_try(8, now + 60, at_once=True), 2)

    def test_beside_others_it_is_not_tried_early(self) -> None:
        rating = Rating()
        now = stream(rating, 2e6, 0.2)
        self.assertEqual(rating.lanes_to_try(8, now, at_once=False), 1)
        now = stream(rating, 2e6, 1.0, now=now)
        self.assertEqual(rating.lanes_to_try(8, now, at_once=False), 2)

    def test_connections_that_add_nothing_any_longer_are_dropped(self) -> None:
        rating = Rating()
        now = stream(rating, 2e6, 0.2)
        now = stream(rating, 4e6, 0.2, streams=2, now=now)
        now = stream(rating, 4e6, 0.3, streams=1, now=now)
        stream(rating, 4e6, 0.3, streams=2, now=now)
        self.assertEqual(rating.lanes, 1)

    def test_chunks_of_one_moment_count_together(self) -> None:
        rating = Rating()
        for step in range(20):
            for _ in range(4):
                rating.came(10_000, 0.0, 1, step / 100)
            rating.came(10_000, 0.01, 1, step / 100)
        self.assertApproximates(rating.rate or 0, 5e6, 1e5)
        self.assertLess(rating.swing, 0.01)

    def test_how_far_a_rate_swings(self) -> None:
        steady, unsteady = Rating(), Rating()
        stream(steady, 4e6, 2.0)
        now = 0.0
        for step in range(10):
            now = stream(unsteady, 2e6 if step % 2 else 4e6, 0.2, now=now)
        self.assertLess(steady.swing, 0.01)
        self.assertGreater(unsteady.swing, 0.1)


class RatingsTests(SynchronousTestCase):
    def test_those_not_met_for_longest_are_forgotten(self) -> None:
        ratings = Ratings()
        kept, first = ratings.of("kept"), ratings.of("first")
        for number in range(REMEMBERED):
            ratings.of(str(number))
            self.assertIs(ratings.of("kept"), kept)
        self.assertIsNot(ratings.of("first"), first)
