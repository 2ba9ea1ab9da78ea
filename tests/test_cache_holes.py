"""Which hole is fetched, which fetch is joined, and how far one runs ahead."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.cache.extents import BLOCK
from aprp.core.cache.holes import Running, blocks_of, hole_at, joins
from aprp.core.cache.pace import (
    LEAST_HELD,
    MOST_AHEAD,
    Speed,
    ahead_of,
    held_for,
    may_run,
    may_run_alone,
    taking,
)
from aprp.core.http.ranges import FromTo, Range

SIZE = 100 * BLOCK + 7


class HoleTests(SynchronousTestCase):
    def test_a_hole_is_whole_blocks(self) -> None:
        self.assertEqual(hole_at(Range(5, 9), SIZE, None, ()), Range(0, BLOCK))
        self.assertEqual(
            hole_at(Range(BLOCK, 2 * BLOCK + 1), SIZE, None, ()), Range(BLOCK, 3 * BLOCK)
        )
        last = Range(100 * BLOCK + 1, SIZE)
        self.assertEqual(hole_at(last, SIZE, None, ()), Range(100 * BLOCK, SIZE))

    def test_it_ends_where_bytes_are_there_or_on_their_way(self) -> None:
        wanted = Range(10 * BLOCK, SIZE)
        self.assertEqual(hole_at(wanted, SIZE, 20 * BLOCK, ()).stop, 20 * BLOCK)
        running = (5 * BLOCK, 15 * BLOCK, 30 * BLOCK)
        self.assertEqual(hole_at(wanted, SIZE, 20 * BLOCK, running).stop, 15 * BLOCK)

    def test_before_the_length_is_known(self) -> None:
        self.assertEqual(blocks_of(FromTo(BLOCK + 1)), FromTo(BLOCK))
        self.assertEqual(blocks_of(FromTo(1, 2)), FromTo(0, BLOCK))


class JoinTests(SynchronousTestCase):
    def test_what_has_arrived_is_waited_for(self) -> None:
        fetch = Running(1000, 100 * BLOCK, 50 * BLOCK, None, None)
        self.assertTrue(joins(1000, fetch))
        self.assertTrue(joins(52 * BLOCK - 1, fetch))
        self.assertFalse(joins(52 * BLOCK, fetch))
        self.assertFalse(joins(999, fetch))

    def test_what_comes_before_a_new_request_would_bring_it(self) -> None:
        fetch = Running(0, 100 * BLOCK, 0, 9e6, 0.1)
        self.assertTrue(joins(900_000, fetch))
        self.assertFalse(joins(1_100_000, fetch))

    def test_not_beyond_its_end(self) -> None:
        self.assertFalse(joins(BLOCK, Running(0, BLOCK, 50 * BLOCK, None, None)))


class PaceTests(SynchronousTestCase):
    def test_a_fetch_is_ahead_by_the_blocks_that_its_reader_takes_in_a_moment(self) -> None:
        self.assertEqual(ahead_of(None), 0)
        self.assertEqual(ahead_of(600_000), 0)
        self.assertEqual(ahead_of(2e6), 3 * BLOCK)
        self.assertEqual(ahead_of(1e9), MOST_AHEAD)

    def test_what_fills_the_buffers_of_a_reader_does_not_count_as_its_rate(self) -> None:
        speed = taking(0.0)
        speed.count(256_000, 0.02)
        self.assertEqual(ahead_of(speed.rate), 0)
        for tenth in range(1, 20):
            speed.count(1_000_000, tenth / 10)
        self.assertGreater(ahead_of(speed.rate), 600_000)

    def test_the_kernel_may_hold_a_power_of_2(self) -> None:
        self.assertEqual(held_for(None), LEAST_HELD)
        self.assertEqual(held_for(1e6), 64 * 1024)
        self.assertEqual(held_for(1e9), MOST_AHEAD)

    def test_it_resumes_when_half_was_taken(self) -> None:
        self.assertTrue(may_run(99, 0, False, 100, running=True))
        self.assertFalse(may_run(100, 0, False, 100, running=True))
        self.assertFalse(may_run(50, 0, False, 100, running=False))
        self.assertTrue(may_run(49, 0, False, 100, running=False))

    def test_it_runs_while_its_reader_waits(self) -> None:
        for running in (True, False):
            self.assertTrue(may_run(100, 100, True, 0, running))
            self.assertFalse(may_run(100, 100, False, 0, running))
            self.assertFalse(may_run(100, 99, True, 0, running))

    def test_without_readers_it_completes_its_block(self) -> None:
        self.assertTrue(may_run_alone(BLOCK + 2, BLOCK + 1))
        self.assertFalse(may_run_alone(2 * BLOCK, BLOCK + 1))

    def test_a_speed_is_that_of_the_last_seconds(self) -> None:
        speed = Speed(0.0)
        self.assertIs(speed.rate, None)
        for second in range(1, 11):
            speed.count(1000, second)
        self.assertApproximates(speed.rate, 1000, 1)
        for second in range(11, 31):
            speed.count(5000, second)
        self.assertApproximates(speed.rate, 5000, 50)
