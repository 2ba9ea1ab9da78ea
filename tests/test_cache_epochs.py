"""What one process removes from a cache, as the others see it that share its store."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from aprp.cache.cache import Cache
from aprp.cache.cached_file import CachedFile
from aprp.cache.store.store import CacheTrouble
from aprp.core.cache.meta import Meta
from aprp.core.http.fields import Fields
from aprp.core.sharing.epochs import EPOCHS, Epochs
from tests.support.clocked_peers import ClockedPeers
from tests.support.memory_store import MemoryStore
from tests.test_cache_reading import ClockedCase

META = Meta(200, b"", Fields(), 9)
KEY = b"key"


class EpochsTests(ClockedCase):
    def setUp(self) -> None:
        super().setUp()
        everyone: list[ClockedPeers] = []
        self.store = MemoryStore(self.clock)
        self.one, self.two = (
            Cache(self.store, self.clock, ClockedPeers(self.clock, everyone)) for _ in range(2)
        )
        self.others = everyone[1]

    def found(self, cache: Cache) -> list[CachedFile]:
        finding = Deferred.fromCoroutine(cache.find(KEY))
        self.run_for(0.1)
        return self.successResultOf(finding)

    def create(self, cache: Cache) -> CachedFile:
        file = cache.create(KEY, META)
        self.run_for(0.1)
        return file

    def test_what_another_has_removed_is_found_no_more(self) -> None:
        self.create(self.one)
        for cache in (self.one, self.two):
            self.assertEqual(len(self.found(cache)), 1)
            self.assertEqual(len(cache.at_hand(KEY) or ()), 1)
        epoch = self.one.epoch(KEY)
        self.two.remove(KEY)
        self.run_for(0.1)
        self.assertNotEqual(self.one.epoch(KEY), epoch)
        for cache in (self.one, self.two):
            self.assertFalse(cache.at_hand(KEY))
            self.assertEqual(self.found(cache), [])
        self.create(self.two)
        self.assertEqual(len(self.found(self.one)), 1)

    def test_another_key_with_the_same_number(self) -> None:
        file = self.create(self.one)
        (seen,) = self.found(self.two)
        self.others.end_epoch(KEY)
        self.assertIs(self.one.at_hand(KEY), None)
        self.assertEqual((self.found(self.one), self.found(self.two)), ([file], [seen]))
        self.assertEqual(self.one.at_hand(KEY), [file])

    def test_what_is_being_created_while_another_removes_is_not_kept(self) -> None:
        file = self.one.create(KEY, META)
        file.use()
        self.others.end_epoch(KEY)
        self.run_for(0.1)
        self.assertEqual((self.found(self.one), self.found(self.two)), ([], []))
        self.assertEqual(self.store.files, {})
        file.leave()
        self.run_for(0.1)
        self.assertFalse(file.in_use)

    def test_an_index_that_fails_vouches_for_nothing(self) -> None:
        self.create(self.one)
        self.others.end_epoch(KEY)
        self.store.fails = lambda call: True
        self.assertEqual(self.found(self.one), [])

    def test_what_could_not_be_removed_is_removed_before_it_is_found(self) -> None:
        self.create(self.one)
        self.store.fails = lambda call: call == "remove"
        self.failureResultOf(self.removed(), CacheTrouble)
        self.assertEqual(self.found(self.one), [])
        self.store.fails = lambda call: False
        self.assertEqual(self.found(self.one), [])
        self.assertEqual(self.store.files, {})

    def removed(self) -> Deferred[int]:
        removing = self.one.remove(KEY)
        self.run_for(0.1)
        return removing

    def test_numbers_wrap(self) -> None:
        epochs = Epochs.alone()
        epochs._numbers[:] = memoryview(b"\xff" * (8 * EPOCHS)).cast("Q")
        epochs.end(KEY)
        self.assertEqual(epochs.of(KEY), 0)
