"""Shared fetches and their readers, on a clock, with origins that count what they send."""

from __future__ import annotations

from itertools import count
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aprp.cache import cache
from aprp.cache.cache import Cache
from aprp.cache.cached_file import CachedFile
from aprp.core.cache.extents import BLOCK
from aprp.core.cache.meta import Meta
from aprp.core.cache.pace import LEAST_HELD
from aprp.core.http.fields import Fields
from aprp.core.http.ranges import Range
from aprp.upstream.errors import BodyBroken
from tests.support.cached_film import ClockedOrigin, Viewer
from tests.support.memory_store import Fails, MemoryStore
from tests.support.replies import Pattern

MIB = 1 << 20
SIZE = 8 * MIB + 12345
FILM = Pattern(SIZE)
META = Meta(200, b"", Fields(), SIZE)


def failing(call: str, nth: int) -> Fails:
    """Every such call fails, from the one with that number on."""
    numbers = count()
    return lambda name: name == call and next(numbers) >= nth


class ClockedCase(SynchronousTestCase):
    """Viewers of the film on a clock."""

    def setUp(self) -> None:
        self.clock = Clock()

    def run_for(self, seconds: float) -> None:
        for _ in range(round(seconds * 1000)):
            self.clock.advance(0.001)

    def assert_served(self, *viewers: Viewer) -> None:
        for each in viewers:
            self.assertIs(each.error, None)
            self.assertIsNot(each.ended, None)
            self.assertTrue(each.got == FILM[each.wanted.start : each.wanted.stop])


class CacheCase(ClockedCase):
    def setUp(self) -> None:
        super().setUp()
        self.store = MemoryStore(self.clock)
        self.cache = Cache(self.store, self.clock)
        self.origins: list[ClockedOrigin] = []
        self.settings: dict[str, Any] = {}
        self.file = self.cache.create(b"film", META)

    def origin(self) -> ClockedOrigin:
        origin = ClockedOrigin(FILM, self.clock, **self.settings)
        self.origins.append(origin)
        return origin

    def view(
        self, start: int, stop: int, rate: float | None = None, file: CachedFile | None = None
    ) -> Viewer:
        return Viewer(file or self.file, self.clock, Range(start, stop), self.origin, rate)

    @property
    def sent(self) -> int:
        return sum(origin.sent for origin in self.origins)

    def assert_at_rest(self) -> None:
        """Nothing is fetched or held any more."""
        self.run_for(8)
        self.assertFalse(self.file.in_use)
        self.assertEqual(self.file._shared.backlog.size, 0)
        self.assertTrue(all(each.aborted for each in self.origins))
        for files in self.store.files.values():
            self.assertTrue(all(v.released for file in files for v in file.given))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class SharingTests(CacheCase):
    def test_ten_readers_cost_one_fetch(self) -> None:
        viewers = [self.view(0, SIZE) for _ in range(10)]
        self.run_for(2)
        self.assert_served(*viewers)
        self.assertEqual((len(self.origins), self.sent), (1, SIZE))
        self.assert_at_rest()

    def test_what_was_fetched_is_stored(self) -> None:
        self.view(0, SIZE)
        self.run_for(2)
        viewer = self.view(0, SIZE)
        self.run_for(1)
        self.assert_served(viewer)
        self.assertEqual((self.sent, viewer.cached), (SIZE, SIZE))
        self.assert_at_rest()

    def test_a_slow_reader_holds_up_nobody(self) -> None:
        slow = self.view(0, SIZE, rate=1e6)
        fast = self.view(0, SIZE)
        alone = SIZE / 20e6
        self.run_for(2 * alone)
        self.assert_served(fast)
        assert fast.ended is not None
        self.assertLess(fast.ended, alone + 0.1)
        self.run_for(10)
        self.assert_served(slow)
        self.assertEqual(self.sent, SIZE)
        self.assert_at_rest()

    def test_a_fetch_runs_at_the_pace_of_its_reader(self) -> None:
        viewer = self.view(0, SIZE, rate=5e5)
        for _ in range(50):
            self.run_for(0.1)
            self.assertLessEqual(self.sent, len(viewer.got) + 2 * BLOCK)
        self.assertGreater(len(viewer.got), 2_400_000)

    def test_one_leaves_and_the_others_stay(self) -> None:
        viewers = [self.view(0, SIZE, rate=4e6) for _ in range(3)]
        self.run_for(0.5)
        viewers[0].leave()
        self.run_for(3)
        self.assert_served(*viewers[1:])
        self.assertEqual(self.sent, SIZE)
        self.assert_at_rest()

    def test_a_fetch_that_nobody_needs_ends(self) -> None:
        viewer = self.view(0, SIZE, rate=4e6)
        self.run_for(0.5)
        viewer.leave()
        self.run_for(1)
        self.assertFalse(self.origins[0].aborted)
        sent = self.sent
        self.run_for(5)
        self.assertTrue(self.origins[0].aborted)
        self.assertEqual(self.sent, sent)
        self.assert_at_rest()

    def test_a_reader_that_comes_back_finds_the_fetch(self) -> None:
        viewer = self.view(0, SIZE, rate=4e6)
        self.run_for(0.5)
        at = len(viewer.got)
        viewer.leave()
        self.run_for(2)
        again = self.view(at, SIZE)
        self.run_for(2)
        self.assert_served(again)
        self.assertEqual((len(self.origins), self.sent), (1, SIZE))
        self.assert_at_rest()

    def test_a_late_reader_takes_what_is_there_and_joins(self) -> None:
        early = self.view(0, SIZE, rate=4e6)
        self.run_for(1)
        late = self.view(0, SIZE)
        self.run_for(4)
        self.assert_served(early, late)
        self.assertEqual((len(self.origins), self.sent), (1, SIZE))
        self.assert_at_rest()


class BufferTests(CacheCase):
    def test_the_kernel_holds_what_a_viewer_takes_in_a_moment(self) -> None:
        slow, fast = self.view(0, SIZE, rate=1e5), self.view(0, SIZE, rate=4e6)
        self.run_for(3)
        self.assertEqual(slow.bounds[0], LEAST_HELD)
        self.assertEqual(fast.bounds[-1], 256 * 1024)
        self.assertNotIn(MIB, fast.bounds)

    def test_it_may_hold_any_number_of_stored_bytes(self) -> None:
        self.view(0, 4 * MIB)
        self.run_for(2)
        late = self.view(0, SIZE, rate=4e6)
        self.run_for(0.5)
        self.assertEqual(late.bounds, [])
        self.run_for(2)
        self.assertIn(256 * 1024, late.bounds)


class HoleTests(CacheCase):
    def test_a_seek_begins_a_fetch_of_its_own_and_the_first_ends_there(self) -> None:
        first = self.view(0, SIZE, rate=2e6)
        self.run_for(0.2)
        second = self.view(5 * MIB + 1000, SIZE, rate=2e6)
        self.run_for(0.2)
        self.assertEqual(len(self.origins), 2)
        assert second.first is not None
        self.assertLess(second.first, 0.26)
        self.run_for(6)
        self.assert_served(first, second)
        self.assertEqual(self.sent, SIZE)
        self.assert_at_rest()

    def test_only_holes_are_fetched(self) -> None:
        for start, stop in ((MIB, 2 * MIB), (4 * MIB, 5 * MIB), (SIZE - 100, SIZE)):
            self.view(start, stop)
            self.run_for(0.5)
        before = self.sent
        viewer = self.view(0, SIZE)
        self.run_for(3)
        self.assert_served(viewer)
        self.assertEqual(self.sent, SIZE)
        self.assertEqual(viewer.cached, before)
        self.assert_at_rest()

    def test_small_ranges_fetch_whole_blocks_once(self) -> None:
        for start in (10, 5000, 60000):
            viewer = self.view(start, start + 1000)
            self.run_for(0.1)
            self.assert_served(viewer)
        self.assertEqual(self.sent, BLOCK)
        reads = self.store.reads
        for start in (1, 2, 3):
            self.view(start, start + 1)
        self.assertEqual(self.store.reads, reads)
        self.assert_at_rest()

    def test_a_reader_a_little_ahead_waits(self) -> None:
        self.view(0, SIZE, rate=2e6)
        self.run_for(0.1)
        position = self.file.fetches[0].position
        near = self.view(position + 100, SIZE)
        self.run_for(2)
        self.assert_served(near)
        self.assertEqual(len(self.origins), 1)

    def test_blocks_that_were_evicted_are_fetched_again(self) -> None:
        self.view(0, SIZE)
        self.run_for(2)
        self.store.files[b"film"][0].lose(2 * MIB, 3 * MIB)
        viewer = self.view(0, SIZE)
        self.run_for(2)
        self.assert_served(viewer)
        self.assertEqual(self.sent, SIZE + MIB)


class FailureTests(CacheCase):
    def test_a_fetch_that_fails_is_tried_again_for_those_who_joined(self) -> None:
        self.settings = {"breaks_at": 3 * MIB}
        own = self.view(0, SIZE)
        joined = self.view(0, SIZE)
        self.run_for(0.1)
        self.settings = {}
        self.run_for(2)
        self.assertIsInstance(own.error, BodyBroken)
        self.assert_served(joined)
        self.assertEqual(self.sent, SIZE)
        self.assert_at_rest()

    def test_no_reader_tries_more_than_twice(self) -> None:
        self.settings = {"breaks_at": 3 * MIB}
        viewers = [self.view(0, SIZE) for _ in range(5)]
        self.run_for(2)
        for each in viewers:
            self.assertIsInstance(each.error, BodyBroken)
            self.assertTrue(each.got == FILM[0 : 3 * MIB])
        self.assertLessEqual(len(self.origins), 3)
        self.assert_at_rest()

    def test_the_store_fails_at_any_call(self) -> None:
        for call in ("create", "write", "read"):
            for nth in range(6):
                self.setUp()
                fails = failing(call, nth)
                if call == "create":
                    self.store = MemoryStore(self.clock)
                    self.cache = Cache(self.store, self.clock)
                    self.store.fails = failing(call, 0)
                    self.file = self.cache.create(b"film", META)
                self.store.fails = fails
                early = self.view(0, SIZE, rate=6e6)
                self.run_for(0.5)
                late = self.view(MIB // 2, SIZE, rate=8e6)
                self.run_for(4)
                again = self.view(0, SIZE)
                self.run_for(2)
                self.assert_served(early, late, again)
                self.assert_at_rest()

    def test_a_store_that_refuses_everything(self) -> None:
        self.run_for(0.01)
        self.store.files[b"film"][0].refuses = True
        viewers = [self.view(0, SIZE, rate=4e6) for _ in range(10)]
        self.run_for(4)
        self.assert_served(*viewers)
        self.assertEqual(self.sent, SIZE)
        self.assert_at_rest()

    def test_memory_is_bounded_while_the_disk_hangs(self) -> None:
        self.store.delay = 60.0
        self.file._shared.backlog.most = 2 * MIB
        viewer = self.view(0, SIZE)
        self.run_for(0.3)
        held = [each.held for each in self.file.fetches]
        self.assertLess(max(held), 5 * MIB)
        self.run_for(2)
        self.assert_served(viewer)
        self.assertLessEqual(self.file._shared.backlog.size, 2 * MIB + BLOCK * 2)


class OpenFilesTests(CacheCase):
    def test_a_file_is_found_again(self) -> None:
        self.view(0, MIB)
        self.run_for(1)
        found = self.successResultOf(self.found(b"film"))
        self.assertEqual(found, [self.file])
        other = Cache(self.store, self.clock)
        (again,) = self.successResultOf(self.found(b"film", other))
        viewer = self.view(0, MIB, file=again)
        self.run_for(1)
        self.assert_served(viewer)
        self.assertEqual(viewer.cached, MIB)

    def found(self, key: bytes, cache: Cache | None = None) -> Any:
        from twisted.internet.defer import Deferred

        found = Deferred.fromCoroutine((cache or self.cache).find(key))
        self.run_for(0.01)
        return found

    def test_a_new_version_takes_its_place_and_readers_finish_the_old_one(self) -> None:
        old = self.view(0, SIZE, rate=4e6)
        self.run_for(0.5)
        new = self.cache.create(b"film", META)
        self.run_for(0.01)
        self.assertEqual(self.successResultOf(self.found(b"film")), [new])
        self.run_for(3)
        self.assert_served(old)
        self.assertEqual(self.store.files[b"film"], [new.stored])
        self.assert_at_rest()
        assert self.file.stored is None

    def test_a_file_that_is_fetched_for_nobody_stays_open(self) -> None:
        self.run_for(0.1)
        self.patch(cache, "OPEN", 0)
        self.settings = {"rate": 1e6}
        fetch = self.file.fetch(Range(0, MIB), self.origin())
        self.assertEqual(self.cache.at_hand(b"film"), [self.file])
        for name in (b"a", b"b"):
            self.cache.create(name, META)
            self.run_for(0.1)
        self.assertFalse(fetch.ended)
        self.assertEqual(self.cache.at_hand(b"film"), [self.file])
        self.assert_at_rest()

    def test_closing_ends_all_fetches(self) -> None:
        self.view(0, SIZE, rate=1e6)
        self.run_for(0.5)
        self.cache.close()
        self.run_for(0.1)
        self.assertTrue(self.origins[0].aborted)

    def test_closing_ends_the_fetches_of_files_that_were_replaced(self) -> None:
        self.view(0, SIZE, rate=1e6)
        self.run_for(0.5)
        self.cache.create(b"film", META)
        self.cache.close()
        self.run_for(0.1)
        self.assertTrue(self.origins[0].aborted)
