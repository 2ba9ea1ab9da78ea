"""The older policies: where in the queue, and when twice."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.scheduling.messages import MIB, Source
from aprp.core.scheduling.policies.block_queue import BlockQueue
from aprp.core.scheduling.policies.diff import Diff
from aprp.core.scheduling.policies.ibrc import Ibrc
from aprp.core.scheduling.policies.invalid_block_count import InvalidBlockCount
from aprp.core.scheduling.policies.inverse import Inverse
from aprp.core.scheduling.policies.nibib import Nibib
from aprp.core.scheduling.policies.normal import Normal
from aprp.core.scheduling.policies.off import Off
from aprp.core.scheduling.policies.static import Static
from aprp.core.scheduling.ratings import Rating
from aprp.core.scheduling.settings import SchedulingSettings
from aprp.core.scheduling.source_state import SourceState
from aprp.core.scheduling.state import TransferState


def state(*sources: Source, blocks: int = 40) -> TransferState:
    states = [SourceState(source, Rating(), n) for n, source in enumerate(sources)]
    made = TransferState(states, 0, blocks * MIB)
    made.window = made.edge = blocks * MIB
    return made


SETTINGS = SchedulingSettings(block_size=MIB)
A, B = Source("a"), Source("b", static_delay=3)


def block(policy: BlockQueue, made: TransferState, name: str) -> int | None:
    """The number of the block that the policy gives to the source."""
    chosen = policy.choose(made, made.sources[name], 0.0)
    return None if chosen is None else chosen[0] // MIB


def delivered(policy: BlockQueue | InvalidBlockCount, made: TransferState, **blocks: int) -> None:
    """Let the policy see so many complete blocks of each source."""
    for name, count in blocks.items():
        for _ in range(count):
            if isinstance(policy, BlockQueue):
                policy.completed(made.sources[name])
            else:
                policy.completed(made, made.sources[name], advanced=False)


class DelayTests(SynchronousTestCase):
    def test_normal_takes_the_first(self) -> None:
        made = state(A, B)
        self.assertEqual(block(Normal(SETTINGS), made, "a"), 0)

    def test_one_block_at_a_time(self) -> None:
        made = state(A, B)
        made.begin(made.sources["a"], 0, MIB, 0.0, warm=True)
        self.assertIsNone(block(Normal(SETTINGS), made, "a"))
        self.assertEqual(block(Normal(SETTINGS), made, "b"), 1)

    def test_static_takes_its_number(self) -> None:
        self.assertEqual(block(Static(SETTINGS), state(A, B), "b"), 3)

    def test_diff_counts_what_came_since_it_last_asked(self) -> None:
        made = state(A, B)
        policy = Diff(SETTINGS)
        delivered(policy, made, a=2, b=1)
        policy.begun(made.sources["b"])
        delivered(policy, made, a=7)
        self.assertEqual(block(policy, made, "b"), 10 - 3 - 2)

    def test_diff_counts_sources_out_of_use(self) -> None:
        made = state(A, B, Source("c"))
        policy = Diff(SETTINGS)
        delivered(policy, made, a=3)
        policy.begun(made.sources["b"])
        delivered(policy, made, a=6)
        made.sources["a"].retry_at = 5.0
        self.assertEqual(block(policy, made, "b"), 9 - 3 - 3 + 1)

    def test_nothing_is_left_to_a_source_that_can_not_fetch_it(self) -> None:
        made = state(A, B)
        made.sources["a"].retry_at = 5.0
        self.assertEqual(block(Static(SETTINGS), made, "b"), 0)

    def test_not_every_source_leaves_everything_to_the_others(self) -> None:
        far = (Source("a", static_delay=99), Source("b", static_delay=99))
        made, policy = state(*far), Static(SETTINGS)
        self.assertIsNone(block(policy, made, "a"))
        self.assertEqual(block(policy, made, "b"), 0)

    def test_diff_begins_by_latency(self) -> None:
        made = state(A, B)
        made.sources["a"].rating.answered(0.1, None)
        made.sources["b"].rating.answered(0.2, None)
        self.assertEqual(block(Diff(SETTINGS), made, "a"), 0)
        self.assertEqual(block(Diff(SETTINGS), made, "b"), 10)

    def test_inv_goes_by_how_many_more_the_best_delivered(self) -> None:
        made = state(A, B)
        policy = Inverse(SETTINGS)
        delivered(policy, made, a=9, b=2)
        self.assertEqual(block(policy, made, "b"), 3)
        self.assertEqual(block(policy, made, "a"), 0)

    def test_a_source_too_slow_for_what_is_left_stops_until_something_is_put_back(self) -> None:
        made = state(A, B)
        policy = Inverse(SETTINGS)
        delivered(policy, made, a=9)
        first = made.begin(made.sources["a"], 0, 30 * MIB, 0.0, warm=True)
        self.assertIsNone(block(policy, made, "b"))
        made.end(first)
        delivered(policy, made, b=9)
        self.assertEqual(block(policy, made, "b"), 0)

    def test_the_last_block_is_anyones(self) -> None:
        made = state(A, B, blocks=1)
        made.window = 40 * MIB
        self.assertEqual(block(Static(SETTINGS), made, "b"), 0)

    def test_only_blocks_inside_the_window(self) -> None:
        made = state(A, B)
        made.edge = made.window = 2 * MIB
        self.assertEqual(block(Static(SETTINGS), made, "b"), 1)


class DuplicateTests(SynchronousTestCase):
    def late_head(self) -> TransferState:
        """Block 0 is with b; a has delivered 4 blocks behind it."""
        made = state(A, B)
        made.begin(made.sources["b"], 0, MIB, 0.0, warm=True)
        for number in range(1, 5):
            attempt = made.begin(made.sources["a"], number * MIB, (number + 1) * MIB, 0, warm=True)
            made.receive(attempt, MIB)
            made.end(attempt)
        return made

    def test_nibib_counts_blocks_that_wait(self) -> None:
        made = self.late_head()
        for threshold, expected in ((3, (0, MIB)), (4, None)):
            policy = Nibib(SchedulingSettings(duplicate_threshold=threshold))
            policy.completed(made, made.sources["a"], advanced=False)
            second = policy.choose(made, made.sources["a"], 0.0)
            self.assertEqual(None if second is None else (second.start, second.stop), expected)

    def test_ibrc_counts_vain_reads(self) -> None:
        made = self.late_head()
        policy = Ibrc(SchedulingSettings(duplicate_threshold=1))
        policy.completed(made, made.sources["a"], advanced=False)
        self.assertIsNone(policy.choose(made, made.sources["a"], 0.0))
        policy.completed(made, made.sources["a"], advanced=False)
        self.assertIsNotNone(policy.choose(made, made.sources["a"], 0.0))
        policy.completed(made, made.sources["a"], advanced=True)
        self.assertIsNone(policy.choose(made, made.sources["a"], 0.0))

    def test_what_has_come_meanwhile_is_not_requested_again(self) -> None:
        made = self.late_head()
        second = made.begin(made.sources["a"], 0, MIB, 0.0, warm=True)
        made.receive(second, 1001)
        made.end(second)
        policy = Ibrc(SchedulingSettings(duplicate_threshold=0))
        policy.completed(made, made.sources["a"], advanced=False)
        third = policy.choose(made, made.sources["a"], 0.0)
        assert third is not None
        self.assertEqual((third.start, third.stop), (1001, MIB))

    def test_only_the_best_source_asks_twice(self) -> None:
        made = self.late_head()
        policy = Ibrc(SchedulingSettings(duplicate_threshold=0))
        policy.completed(made, made.sources["a"], advanced=False)
        delivered(policy, made, b=9)
        self.assertIsNone(policy.choose(made, made.sources["a"], 0.0))

    def test_the_threshold_fits_the_window(self) -> None:
        made = self.late_head()
        made.window = 4 * MIB
        policy = Nibib(SchedulingSettings(duplicate_threshold=20))
        policy.completed(made, made.sources["a"], advanced=False)
        self.assertIsNotNone(policy.choose(made, made.sources["a"], 0.0))

    def test_off(self) -> None:
        made = self.late_head()
        self.assertIsNone(Off(SETTINGS).choose(made, made.sources["a"], 0.0))
