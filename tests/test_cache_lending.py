"""What one process borrows from another instead of fetching it, on a clock."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aprp.cache.announced import LINGER
from aprp.cache.borrowing import ANSWER, SILENCE
from aprp.cache.cache import Cache
from aprp.cache.cached_file import CachedFile
from aprp.core.cache.extents import BLOCK
from aprp.core.http.ranges import Range
from aprp.core.sharing.fetches import Pulse, hull, may_lend
from tests.support.cached_film import ClockedOrigin, Viewer
from tests.support.clocked_peers import ClockedPeers
from tests.support.memory_store import MemoryStore
from tests.test_cache_reading import FILM, META, MIB, SIZE, ClockedCase


class RulesTests(SynchronousTestCase):
    def test_a_hull_holds_all_ranges(self) -> None:
        self.assertIsNone(hull([]))
        self.assertEqual(hull([Range(5, 9)]), Range(5, 9))
        self.assertEqual(hull([Range(5, 9), Range(20, 30), Range(2, 3)]), Range(2, 30))

    def test_who_may_have_a_byte(self) -> None:
        noted = [(1, (0, 10, 0, 0)), (2, (5, 20, 0, 0))]
        for at, numbers in ((0, [1]), (5, [1, 2]), (9, [1, 2]), (10, [2]), (20, [])):
            self.assertEqual(may_lend(noted, at), numbers, at)

    def test_a_pulse(self) -> None:
        pulse = Pulse(3)
        self.assertEqual([pulse.goes_on(each) for each in (3, 4, 4, 5)], [False, True, False, True])


class Process:
    """A process with a cache of its own; the film has the same number in all of them."""

    def __init__(self, clock: Clock, everyone: list[ClockedPeers], delay: float = 0.001) -> None:
        self.clock = clock
        self.everyone = everyone
        self.peers = ClockedPeers(clock, everyone)
        self.store = MemoryStore(clock, delay)
        self.cache = Cache(self.store, clock, self.peers)
        self.file: CachedFile = self.cache.create(b"film", META)
        self.origins: list[ClockedOrigin] = []

    def origin(self) -> ClockedOrigin:
        origin = ClockedOrigin(FILM, self.clock)
        self.origins.append(origin)
        return origin

    def view(self, start: int = 0, stop: int = SIZE, rate: float | None = None) -> Viewer:
        return Viewer(self.file, self.clock, Range(start, stop), self.origin, rate)

    @property
    def sent(self) -> int:
        return sum(origin.sent for origin in self.origins)


class LendingTests(ClockedCase):
    def setUp(self) -> None:
        super().setUp()
        everyone: list[ClockedPeers] = []
        self.one, self.two, self.three = (Process(self.clock, everyone) for _ in range(3))
        self.run_for(0.01)

    def assert_at_rest(self) -> None:
        self.run_for(8)
        for process in (self.one, self.two, self.three):
            self.assertFalse(process.file.in_use)
            self.assertEqual(process.peers.noted, {})
            self.assertTrue(all(each.aborted for each in process.origins))
            self.assertEqual(process.file._shared.backlog.size, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    @property
    def sent(self) -> int:
        return self.one.sent + self.two.sent + self.three.sent

    def test_viewers_of_three_processes_cost_one_fetch(self) -> None:
        viewers = [each.view() for each in (self.one, self.two, self.three, self.one, self.two)]
        self.run_for(2)
        self.assert_served(*viewers)
        self.assertEqual(self.sent, SIZE)
        self.assertEqual(viewers[1].cached, SIZE)
        self.assert_at_rest()

    def test_the_first_byte_comes_as_soon_as_to_the_lender(self) -> None:
        viewers = [self.one.view(), self.two.view()]
        self.run_for(2)
        first, second = (each.first for each in viewers)
        assert first is not None and second is not None
        self.assertLess(second - first, 0.01)

    def test_what_is_borrowed_is_kept_by_its_lender_alone(self) -> None:
        viewers = [self.one.view(), self.two.view()]
        self.run_for(2)
        self.assert_served(*viewers)
        self.assertIn("write", self.one.store.calls)
        self.assertNotIn("write", self.two.store.calls)

    def test_a_fast_borrower_sets_the_pace(self) -> None:
        slow = self.one.view(rate=1e6)
        self.run_for(0.2)
        fast = self.two.view()
        self.run_for(1)
        self.assert_served(fast)
        self.assertIsNone(slow.ended)
        self.run_for(9)
        self.assert_served(slow)
        self.assertEqual(self.sent, SIZE)
        self.assert_at_rest()

    def test_a_slow_borrower_holds_up_nobody(self) -> None:
        viewers = [self.one.view(), self.two.view(rate=1e6)]
        self.run_for(1)
        self.assert_served(viewers[0])
        self.run_for(9)
        self.assert_served(viewers[1])
        self.assertEqual(self.sent, SIZE)
        self.assert_at_rest()

    def test_the_lenders_viewer_leaves(self) -> None:
        viewers = [self.one.view(rate=4e6), self.two.view(rate=4e6)]
        self.run_for(0.5)
        viewers[0].leave()
        self.run_for(3)
        self.assert_served(viewers[1])
        self.assertEqual(self.sent, SIZE)
        self.assert_at_rest()

    def test_a_lender_that_dies_is_replaced_at_once(self) -> None:
        self.one.view(rate=4e6)
        viewer = self.two.view(rate=4e6)
        self.run_for(0.5)
        self.one.peers.noted.clear()
        got, before = len(viewer.got), self.one.sent
        self.two.peers.pipes[0].cut()
        self.run_for(0.1)
        self.assertGreater(len(viewer.got), got)
        self.run_for(3)
        self.assert_served(viewer)
        self.assertLess(self.two.sent, SIZE - before + MIB)

    def test_a_process_that_does_not_answer_is_passed_over(self) -> None:
        self.one.view(rate=1e6)
        self.one.peers.answers = False
        viewer = self.two.view()
        self.run_for(ANSWER + 2)
        self.assert_served(viewer)
        assert viewer.first is not None
        self.assertLess(viewer.first, ANSWER + 0.1)

    def test_a_lender_that_hangs_is_passed_over(self) -> None:
        self.one.view(rate=4e6)
        viewer = self.two.view(rate=4e6)
        self.run_for(0.5)
        self.one.peers.answers = self.one.peers.runs = False
        self.two.peers.pipes[0].mute = True
        self.run_for(2 * SILENCE + ANSWER + 3)
        self.assert_served(viewer)
        self.assertGreater(self.two.sent, 0)

    def test_a_lender_that_waits_for_its_source_is_waited_for(self) -> None:
        self.one.view()
        viewer = self.two.view()
        self.run_for(0.1)
        self.one.origins[0].rate = 0
        self.run_for(20)
        self.assertEqual(len(self.two.peers.pipes), 1)
        self.one.origins[0].rate = 20e6
        self.run_for(2)
        self.assert_served(viewer)
        self.assertEqual(self.sent, SIZE)

    def test_a_seek_far_ahead_is_fetched_and_not_twice(self) -> None:
        middle = 4 * MIB
        viewers = [self.one.view(rate=4e6), self.two.view(middle, rate=4e6)]
        self.run_for(4)
        self.assert_served(*viewers)
        self.assertEqual(self.sent, SIZE)
        self.assertGreaterEqual(self.two.sent, SIZE - middle)
        self.assert_at_rest()

    def test_a_lender_whose_source_breaks_is_replaced(self) -> None:
        self.one.view(rate=4e6)
        self.one.origins[0].breaks_at = 2 * MIB
        viewer = self.two.view(rate=4e6)
        self.run_for(4)
        self.assert_served(viewer)
        self.assertLessEqual(self.sent, SIZE + BLOCK)
        self.assert_at_rest()

    def test_a_part_of_a_block_that_is_left_of_a_broken_fetch_is_not_lent(self) -> None:
        self.one.view(rate=1e4)  # keeps in memory what has come
        self.one.origins[0].breaks_at = 2 * BLOCK + BLOCK // 2
        self.one.view(7 * MIB, SIZE, rate=1e5)  # has the process stay noted
        self.run_for(0.1)
        viewer = self.two.view()
        self.run_for(2)
        self.assert_served(viewer)
        self.assertEqual(len(self.two.peers.pipes), 2)

    def test_what_the_index_has_not_told_yet_is_borrowed(self) -> None:
        first = self.one.view(0, 3 * MIB)
        self.run_for(1)
        self.assert_served(first)
        sent = self.sent
        second = self.two.view(0, 3 * MIB)
        self.run_for(1)
        self.assert_served(second)
        self.assertEqual(self.sent, sent)
        self.run_for(LINGER + 4)
        self.three.view(0, 3 * MIB)
        self.assertEqual(self.three.peers.pipes, [])

    def test_a_file_that_others_find_before_its_creator_hears_of_it(self) -> None:
        creator = Process(self.clock, self.one.everyone, delay=1.0)
        viewers = [creator.view(), self.two.view()]
        self.run_for(2)
        self.assert_served(*viewers)
        self.assertEqual(creator.sent + self.sent, SIZE)

    def test_a_turn_says_whether_to_look_again(self) -> None:
        alone = Cache(MemoryStore(self.clock), self.clock)
        for cache, again in ((self.one.cache, True), (alone, False)):
            turn = Deferred.fromCoroutine(cache.begin_turn(b"turn", b"film"))
            self.run_for(0.01)
            self.assertIs(self.successResultOf(turn), again)

    def ask_each_other(self, *starts: int) -> None:
        """Have the processes begin to view at these places at the same time. As far as the others
        know, each of them may have all bytes.
        """
        processes = (self.one, self.two, self.three)[: len(starts)]
        for number, process in enumerate(processes):
            process.view(number * BLOCK, (number + 1) * BLOCK, rate=1e5)
        self.run_for(0.1)
        for process in processes:
            process.peers.noted[1] = Range(0, SIZE)
        began = self.clock.seconds()
        viewers = [each.view(at, SIZE) for each, at in zip(processes, starts, strict=True)]
        self.run_for(2)
        self.assert_served(*viewers)
        for each in viewers:
            assert each.first is not None
            self.assertLess(each.first - began, 0.1)

    def test_of_those_that_ask_each_other_one_fetches(self) -> None:
        for count in (2, 3):
            self.ask_each_other(*[3 * MIB] * count)
            self.assertEqual(self.sent, count * BLOCK + SIZE - 3 * MIB)
            self.assert_at_rest()
            self.setUp()

    def test_of_those_that_ask_for_bytes_side_by_side_none_fetches_what_another_does(self) -> None:
        for starts in ((3 * MIB, 3 * MIB + BLOCK), (3 * MIB + BLOCK, 3 * MIB)):
            self.ask_each_other(*starts)
            self.assertEqual(self.sent, 2 * BLOCK + SIZE - 3 * MIB)
            self.assert_at_rest()
            self.setUp()
