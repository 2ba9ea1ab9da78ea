"""Read-ahead and the client's rate."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.scheduling.messages import MIB
from aprp.core.scheduling.read_ahead import (
    AHEAD,
    DROP_AFTER,
    KEPT,
    SMALLEST_WINDOW,
    ReadAhead,
)


class PaceTests(SynchronousTestCase):
    def test_begins_with_a_few_blocks(self) -> None:
        self.assertEqual(ReadAhead(64 * MIB, 1).window(0.0, 0.0), 8 * MIB)

    def test_a_client_that_waits_is_fetched_for_as_fast_as_it_can_be(self) -> None:
        read_ahead = ReadAhead(64 * MIB, 1)
        self.assertEqual(read_ahead.window(0.0, 40 * MIB), 20 * MIB)
        self.assertEqual(read_ahead.window(0.0, 200 * MIB), 64 * MIB)

    def test_but_not_one_that_leaves_what_is_ready(self) -> None:
        read_ahead = ReadAhead(64 * MIB, 1)
        read_ahead.offered(1.0)
        self.assertEqual(read_ahead.window(1.01, 40 * MIB), 20 * MIB)
        self.assertEqual(read_ahead.window(1.2, 40 * MIB), 8 * MIB)

    def test_doubles_as_all_of_it_is_taken(self) -> None:
        read_ahead = ReadAhead(64 * MIB, 1)
        read_ahead.took(8 * MIB, 0.0, more=False)
        self.assertEqual(read_ahead.window(0.0, 0.0), 16 * MIB)

    def test_never_over_the_window(self) -> None:
        read_ahead = ReadAhead(10 * MIB, 1)
        read_ahead.took(8 * MIB, 0.0, more=False)
        self.assertEqual(read_ahead.window(0.0, 0.0), 10 * MIB)
        read_ahead.resize(MIB)
        self.assertEqual(read_ahead.window(0.0, 0.0), MIB)
        read_ahead.resize(0)
        self.assertEqual(read_ahead.window(0.0, 0.0), SMALLEST_WINDOW)

    def test_no_more_than_ten_seconds_of_its_own_pace(self) -> None:
        read_ahead = ReadAhead(64 * MIB, 1)
        read_ahead.offered(0.0)
        for second in range(1, 20):
            read_ahead.took(300_000, float(second), more=True)
        self.assertApproximates(read_ahead.window(0.0, 0.0), 300_000 * AHEAD, 30_000)

    def test_time_in_which_nothing_was_ready_does_not_count(self) -> None:
        read_ahead = ReadAhead(64 * MIB, 1)
        for second in range(0, 200, 10):
            read_ahead.offered(float(second))
            read_ahead.took(MIB, float(second), more=False)
        self.assertEqual(read_ahead.window(0.0, 0.0), 28 * MIB)

    def test_a_paused_client_lets_go(self) -> None:
        read_ahead = ReadAhead(64 * MIB, 1)
        self.assertIsNone(read_ahead.drop_at())
        read_ahead.offered(5.0)
        self.assertEqual(read_ahead.drop_at(), 5.0 + DROP_AFTER)
        read_ahead.asleep = True
        self.assertEqual(read_ahead.window(0.0, 0.0), KEPT)
        read_ahead.took(10, 99.0, more=True)
        self.assertEqual(read_ahead.window(0.0, 0.0), 8 * MIB + 10)


class SparingTests(SynchronousTestCase):
    def test_it_begins_with_little_and_grows_as_it_is_taken(self) -> None:
        read_ahead = ReadAhead(64 * MIB, 3, sparing=True)
        self.assertEqual(read_ahead.window(0.0, 40 * MIB), MIB // 4)
        read_ahead.took(MIB // 4, 0.0, more=False)
        self.assertEqual(read_ahead.window(0.0, 40 * MIB), MIB // 2)
        read_ahead.took(8 * MIB, 0.0, more=False)
        self.assertEqual(read_ahead.window(0.0, 40 * MIB), 20 * MIB)

    def test_it_is_what_the_client_takes_while_a_source_brings_two_blocks(self) -> None:
        read_ahead = ReadAhead(64 * MIB, 1, sparing=True)
        for second in range(20):
            read_ahead.offered(float(second))
            read_ahead.took(MIB, second + 1.0, more=False)
        for delay, seconds in ((0.0, 0.1), (0.04, 0.1), (0.15, 0.3), (0.3, 0.6), (9.0, 1.0)):
            window = read_ahead.window(20.0, 0.0, delay)
            self.assertApproximates(window, seconds * MIB, MIB // 100)

    def test_a_client_that_waits_gets_more(self) -> None:
        read_ahead = ReadAhead(64 * MIB, 1, sparing=True)
        for tenth in range(200):
            read_ahead.offered(tenth / 10)
            read_ahead.took(MIB // 20, tenth / 10 + 0.01, more=False)  # and waits for 0.09 s
        self.assertApproximates(read_ahead.window(20.0, 0.0), MIB // 2, MIB // 20)
