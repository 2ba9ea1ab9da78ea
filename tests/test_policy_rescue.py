"""What is asked a second time, rule by rule."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.scheduling.blocks import EDGE
from aprp.core.scheduling.messages import MIB
from aprp.core.scheduling.policies.rescue import SILENT, UNANSWERED, AdaptiveRescue
from aprp.core.scheduling.settings import SchedulingSettings
from tests.support.scheduler_states import begun, state


class RescueTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.policy = AdaptiveRescue(SchedulingSettings())

    def test_a_late_head_is_shared_so_that_both_are_done_at_once(self) -> None:
        on = state(slow=1, fast=9)
        head = begun(on, "slow", 0, MIB)
        second = self.policy.choose(on, on.sources["fast"], 0.0)
        assert second is not None
        self.assertIs(second.relieved, head)
        self.assertEqual(second.stop, MIB)
        self.assertApproximates(second.start / MIB, 0.12, 0.07)

    def test_a_head_in_time_is_left_alone(self) -> None:
        on = state(slow=1, fast=9)
        begun(on, "slow", 0, MIB // 4)
        self.assertIsNone(self.policy.choose(on, on.sources["fast"], 0.0))

    def test_nor_is_it_taken_over_by_one_that_is_no_faster(self) -> None:
        on = state(slow=1, slower=0.5)
        begun(on, "slow", 0, MIB)
        self.assertIsNone(self.policy.choose(on, on.sources["slower"], 0.0))

    def test_the_best_of_those_that_could(self) -> None:
        on = state(slow=1, good=5, better=9)
        begun(on, "slow", 0, MIB)
        self.assertIsNone(self.policy.choose(on, on.sources["good"], 0.0))
        self.assertIsNotNone(self.policy.choose(on, on.sources["better"], 0.0))

    def test_one_that_took_over_is_not_robbed_before_it_brought_something(self) -> None:
        on = state(slow=1, fast=9)
        head = begun(on, "slow", 0, MIB)
        head.took_over = True
        self.assertIsNone(self.policy.choose(on, on.sources["fast"], 0.0))
        on.receive(head, 10)
        self.assertIsNotNone(self.policy.choose(on, on.sources["fast"], 0.0))

    def test_a_failed_source_rescues_nobody(self) -> None:
        on = state(slow=1, fast=9)
        begun(on, "slow", 0, MIB)
        on.sources["fast"].failures = 1
        self.assertIsNone(self.policy.choose(on, on.sources["fast"], 0.0))

    def test_nothing_left_to_ask(self) -> None:
        on = state(size=2 * MIB, a=4, b=4)
        on.receive(begun(on, "b", 0, MIB), MIB)
        last = begun(on, "a", MIB, 2 * MIB)
        on.ready = MIB
        on.sources["b"].attempts.clear()
        second = self.policy.choose(on, on.sources["b"], 0.0)
        assert second is not None
        self.assertIs(second.relieved, last)
        self.assertTrue(MIB < second.start < 2 * MIB)

    def test_the_end_is_left_to_who_has_it_if_less_is_saved_than_lost(self) -> None:
        for edges, worth in ((3, False), (4, True)):
            on = state(size=MIB + edges * EDGE, a=4, b=4)
            on.receive(begun(on, "b", 0, MIB), MIB)
            begun(on, "a", MIB, MIB + edges * EDGE)
            on.sources["b"].attempts.clear()
            self.assertIs(self.policy.choose(on, on.sources["b"], 0.0) is not None, worth)

    def test_a_block_far_longer_than_blocks_should_be(self) -> None:
        on = state(slow=0.4, fast=9)
        attempt = begun(on, "slow", 0, 2 * MIB)
        ((cut, stop),) = self.policy.overlong(on, 0.0)
        self.assertIs(cut, attempt)
        self.assertLess(stop, MIB // 4)

    def test_it_stays_whole_if_there_is_no_other_source(self) -> None:
        on = state(slow=0.4)
        begun(on, "slow", 0, 2 * MIB)
        self.assertEqual(self.policy.overlong(on, 0.0), [])

    def test_silence_is_doubted(self) -> None:
        on = state(a=4, b=4)
        attempt = begun(on, "a", 0, MIB)
        self.assertEqual(self.policy.doubtful(on, SILENT - 0.01), [])
        self.assertEqual(self.policy.wake(on, 0.0), SILENT)
        self.assertEqual(self.policy.doubtful(on, SILENT), [attempt])

    def test_a_head_in_doubt_beyond_a_small_window_is_left_alone(self) -> None:
        on = state(a=4, b=9)
        on.doubt(begun(on, "a", 0, MIB))
        on.edge = 0
        self.assertIsNone(self.policy.choose(on, on.sources["b"], 0.0))

    def test_one_never_met_is_given_more_time(self) -> None:
        on = state(a=0, b=0)
        on.begin(on.sources["a"], 0, MIB, 0.0, warm=False)
        self.assertEqual(self.policy.doubtful(on, UNANSWERED - 0.01), [])
        self.assertEqual(len(self.policy.doubtful(on, UNANSWERED)), 1)

    def test_a_head_given_back_is_asked_at_once_by_who_has_it_first(self) -> None:
        on = state(a=4, b=9)
        for name in "ab":
            begun(on, name, 8 * MIB * (1 + "ab".index(name)), 8 * MIB * (2 + "ab".index(name)))
        self.assertIsNone(self.policy.choose(on, on.sources["a"], 0.0))
        second = self.policy.choose(on, on.sources["b"], 0.0)
        assert second is not None
        self.assertEqual((second.start, second.relieved), (0, None))

    def test_the_only_source_is_asked_again_after_pauses_that_grow_until_it_is_heard(self) -> None:
        on = state(a=1)
        source = on.sources["a"]
        pauses = []
        for silent in range(4):
            attempt = begun(on, "a", silent * MIB, silent * MIB + MIB)
            self.assertEqual(self.policy.doubtful(on, SILENT), [attempt])
            on.doubt(attempt)
            pauses.append(self.policy.ask_again_at(on, source, SILENT))
        self.assertEqual(pauses, [1.0, 2.0, 4.0, 4.0])
        self.policy.heard_from(source)
        self.assertEqual(self.policy.ask_again_at(on, source, SILENT), 1.0)

    def test_a_silent_source_is_left_alone_beside_a_good_one(self) -> None:
        on = state(a=1, b=1)
        on.doubt(begun(on, "a", 0, MIB))
        self.assertGreater(self.policy.ask_again_at(on, on.sources["a"], 9.0), 9.0)
