"""Which block a source is asked for, rule by rule."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.scheduling.blocks import EDGE
from aprp.core.scheduling.messages import MIB
from aprp.core.scheduling.policies.adaptive import MOST_OPENING, Adaptive
from aprp.core.scheduling.settings import SchedulingSettings
from tests.support.scheduler_states import begun, state


class AdaptiveTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.policy = Adaptive(SchedulingSettings())

    def test_the_first_byte_nobody_was_asked_for(self) -> None:
        on = state(a=4, b=4)
        begun(on, "a", 0, MIB)
        self.assertEqual(self.policy.choose(on, on.sources["b"], 0.0), (MIB, 2 * MIB))

    def test_a_block_is_what_comes_in_a_quarter_of_a_second(self) -> None:
        on = state(a=8)
        start, stop = self.policy.choose(on, on.sources["a"], 0.0) or (0, 0)
        self.assertEqual((start, stop % EDGE), (0, 0))
        self.assertApproximates(stop, 2e6, EDGE)

    def test_busy_until_its_first_byte_would_come_in_time(self) -> None:
        on = state(a=4, b=4)
        attempt = begun(on, "a", 0, MIB)
        self.assertIsNone(self.policy.choose(on, on.sources["a"], 0.0))
        attempt.at = MIB - 80_000  # 20 ms
        self.assertIsNotNone(self.policy.choose(on, on.sources["a"], 0.0))

    def test_earlier_if_its_rate_swings(self) -> None:
        on = state(a=4, b=4)
        begun(on, "a", 0, MIB).at = MIB - 140_000  # 35 ms
        self.assertIsNone(self.policy.choose(on, on.sources["a"], 0.0))
        on.sources["a"].rating.swing = 0.5
        self.assertIsNotNone(self.policy.choose(on, on.sources["a"], 0.0))

    def test_two_may_wait_behind_the_one_that_comes(self) -> None:
        on = state(a=4, b=4)
        begun(on, "a", 0, MIB).at = MIB - 20_000
        on.begin(on.sources["a"], MIB, MIB + 12_000, 0.0, warm=True)
        self.assertIsNotNone(self.policy.choose(on, on.sources["a"], 0.0))
        on.begin(on.sources["a"], 2 * MIB, 2 * MIB + 4_000, 0.0, warm=True)
        self.assertIsNone(self.policy.choose(on, on.sources["a"], 0.0))

    def test_a_range_of_one_block_goes_to_who_has_it_first(self) -> None:
        on = state(EDGE, slow=0.5, fast=4)
        self.assertIsNone(self.policy.choose(on, on.sources["slow"], 0.0))
        self.assertEqual(self.policy.choose(on, on.sources["fast"], 0.0), (0, EDGE))
        on.sources["fast"].failures = 1
        self.assertEqual(self.policy.choose(on, on.sources["slow"], 0.0), (0, EDGE))

    def test_somebody_takes_the_end_while_nothing_is_under_way(self) -> None:
        for seed in range(500):
            chance = Random(seed)
            size, window = (
                chance.randrange(EDGE + 1, 8 * EDGE),
                chance.choice((4 * EDGE, 20 * EDGE)),
            )
            on = state(size, window, a=0, b=0)
            for source in on.sources.values():
                source.rating.lanes, source.rating.warm = chance.randrange(1, 5), 2
                source.rating.answered(chance.uniform(0.01, 0.4), None)
                count = int(chance.uniform(0.3e4, 20e4))
                for step in range(20):
                    source.rating.came(count, 0.01, source.rating.lanes, 1 + step / 100)
            chosen = [self.policy.choose(on, each, 2.0) for each in on.sources.values()]
            self.assertTrue(any(chosen), f"seed {seed}")

    def test_longer_blocks_where_no_connection_is_spare(self) -> None:
        on = state(a=2)
        on.sources["a"].rating.lanes = on.sources["a"].spec.connections
        _, stop = self.policy.choose(on, on.sources["a"], 0.0) or (0, 0)
        lane = 2e6 / on.sources["a"].rating.lanes
        self.assertApproximates(stop, 0.8 * lane, 2 * EDGE)

    def test_a_block_that_another_has_much_sooner_is_left_to_it(self) -> None:
        on = state(slow=0.1, fast=20)
        start, stop = self.policy.choose(on, on.sources["slow"], 0.0) or (0, 0)
        self.assertGreater(start, 5 * MIB)
        self.assertEqual(stop - start, EDGE)

    def test_the_less_the_window_the_sooner_it_is_left_to_the_other(self) -> None:
        starts = []
        for window in (32 * MIB, 4 * MIB):
            on = state(window=window, far=8, near=20)
            on.sources["far"].rating.latency = 0.1
            start, _ = self.policy.choose(on, on.sources["far"], 0.0) or (0, 0)
            starts.append(start)
        self.assertEqual(starts[0], 0)
        self.assertGreater(starts[1], 0)

    def test_half_a_block_of_the_window_is_worth_asking_for(self) -> None:
        on = state(a=8, b=8)
        begun(on, "b", 0, MIB)
        for room, worth in ((12 * EDGE, False), (20 * EDGE, True)):
            on.edge = MIB + room
            self.assertIs(self.policy.choose(on, on.sources["a"], 0.0) is not None, worth)

    def test_too_slow_for_what_is_left(self) -> None:
        on = state(size=MIB, slow=0.1, fast=20)
        self.assertIsNone(self.policy.choose(on, on.sources["slow"], 0.0))

    def test_near_the_end_half_of_its_share(self) -> None:
        on = state(size=MIB, a=4, b=4)
        _, stop = self.policy.choose(on, on.sources["a"], 0.0) or (0, 0)
        self.assertTrue(MIB // 4 <= stop <= MIB // 2 + EDGE)

    def test_a_failed_source_is_tried_ahead_of_the_head(self) -> None:
        on = state(a=4, b=4)
        on.sources["a"].failures = 1
        start, _ = self.policy.choose(on, on.sources["a"], 0.0) or (0, 0)
        self.assertGreaterEqual(start, MIB)

    def test_near_the_end_too(self) -> None:
        on = state(size=6 * MIB, a=10, b=10)
        on.sources["a"].failures = 1
        start, _ = self.policy.choose(on, on.sources["a"], 0.0) or (0, 0)
        self.assertTrue(0 < start < 6 * MIB)


class OpeningTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.policy = Adaptive(SchedulingSettings())

    def test_side_by_side(self) -> None:
        on = state(a=0, b=0)
        begun(on, "a", 0, MIB)
        self.assertEqual(self.policy.choose(on, on.sources["b"], 0.0), (MIB, 2 * MIB))

    def test_a_far_source_gets_more(self) -> None:
        on = state(a=0)
        on.sources["a"].rating.connected(0.2)
        _, stop = self.policy.choose(on, on.sources["a"], 0.0) or (0, 0)
        self.assertTrue(2 * MIB < stop <= MOST_OPENING)

    def test_where_it_has_room(self) -> None:
        on = state(a=0, b=4)
        begun(on, "b", 0, 2 * MIB)
        begun(on, "b", 2 * MIB + 4 * EDGE, 3 * MIB)
        self.assertEqual(self.policy.choose(on, on.sources["a"], 0.0), (3 * MIB, 4 * MIB))

    def test_but_the_head_goes_first(self) -> None:
        on = state(a=0, b=0)
        begun(on, "b", 4 * EDGE, 3 * MIB)
        self.assertEqual(self.policy.choose(on, on.sources["a"], 0.0), (0, 4 * EDGE))

    def test_a_far_source_is_connected_to_once_more_meanwhile(self) -> None:
        on = state(a=0)
        far = on.sources["a"]
        far.rating.connected(0.2)
        self.assertFalse(self.policy.opens_ahead(on, far, 0.0))
        on.begin(far, 0, MIB, 0.0, warm=True)
        self.assertTrue(self.policy.opens_ahead(on, far, 0.0))
        far.rating.warm = 1
        self.assertFalse(self.policy.opens_ahead(on, far, 0.0))

    def test_a_near_one_is_not(self) -> None:
        on = state(a=0)
        on.sources["a"].rating.connected(0.02)
        on.begin(on.sources["a"], 0, MIB, 0.0, warm=True)
        self.assertFalse(self.policy.opens_ahead(on, on.sources["a"], 0.0))
