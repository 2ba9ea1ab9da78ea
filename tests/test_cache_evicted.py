"""Chunks that make room while they are written or read: nothing is lost, and no error is logged."""

from __future__ import annotations

import errno
from unittest import mock

from twisted.internet.defer import Deferred

from aprp.cache.store import room, upkeep
from aprp.cache.store.disk_store import DiskStore
from aprp.cache.store.index import Index
from aprp.cache.store.store import CacheTrouble, StoredFile
from aprp.cache.store.upkeep import FULL_FOR
from aprp.core.cache.extents import BLOCK
from tests.support.eventually import eventually
from tests.support.faulty_disk import MIB, StoreCase, ThreadedClock, body_of, meta_for
from tests.support.logged import Logged


class EvictedTests(StoreCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = ThreadedClock()
        self.logged = Logged(self)
        self.body = body_of(1, 3 * MIB)

    async def begun(self, store: DiskStore) -> StoredFile:
        """Return a film whose first MiB is stored."""
        file = await store.create(b"/a", meta_for(len(self.body)))
        self.assertTrue(await file.write(0, self.body[:MIB]))
        await store.upkeep.now()
        return file

    async def evict_all(self, store: DiskStore) -> None:
        """Have everything that the index knows of make room."""
        size, store.upkeep.size = store.upkeep.size, 0
        await store.upkeep.now()
        store.upkeep.size = size
        self.clock.advance(FULL_FOR + 1)
        self.assertGreater(store.figures.evicted, 0)
        await store.upkeep.now()

    async def indexed(self, store: DiskStore, file: StoredFile) -> dict[int, list[int]]:
        """Return the blocks that the index has of a file, by chunk."""

        def job(index: Index) -> dict[int, list[int]]:
            return {chunk: list(blocks) for chunk, blocks in index.chunks.of(file.id).items()}

        await store.upkeep.now()
        return await store.run(job)

    async def evicted_while_writing(self, store: DiskStore) -> tuple[StoredFile, Deferred[bool]]:
        """Evict all while blocks are being written; return the file, and what that write gives."""
        file = await self.begun(store)
        writes = self.disk.calls["write"]
        self.disk.slow.add("write")
        writing = file.write(MIB, self.body[MIB : 2 * MIB])
        await eventually(lambda: self.disk.calls["write"] > writes, "writing")
        await self.evict_all(store)
        return file, writing

    def assert_nothing_lost(self, store: DiskStore) -> None:
        self.assertEqual(store.figures.lost, 0)
        self.assertEqual([line for line in self.logged.lines if line.startswith("cache:")], [])

    async def test_what_is_written_while_its_chunk_makes_room_is_not_kept(self) -> None:
        store = self.store(clock=self.clock)
        file, writing = await self.evicted_while_writing(store)
        self.disk.gate.set()
        await writing
        self.assertEqual(await self.indexed(store, file), {})
        self.assertEqual(list(file.present), [])
        self.assertEqual(self.data_files(), [])
        self.assert_nothing_lost(store)
        file.close()

    async def test_what_is_written_after_that_is_kept(self) -> None:
        store = self.store(clock=self.clock)
        file, writing = await self.evicted_while_writing(store)
        after = file.write(2 * MIB, self.body[2 * MIB :])
        self.disk.gate.set()
        await writing
        self.assertTrue(await after)
        stop = len(self.body)
        first, last = 2 * MIB // BLOCK, stop // BLOCK
        self.assertEqual(await self.indexed(store, file), {0: [*range(first, last)]})
        self.assertEqual(list(file.present), [(2 * MIB, stop)])
        self.assertEqual(await self.content(file, 2 * MIB, stop), self.body[2 * MIB :])
        self.assert_nothing_lost(store)
        file.close()

    async def test_what_one_evicts_the_other_does_not_take_for_lost(self) -> None:
        first = self.store(clock=self.clock, shared=True)
        await first.opened
        second = self.store(clock=self.clock, shared=True, keeper=False, process=1)
        await second.opened
        (await self.begun(first)).close()
        (file,) = await second.find(b"/a")
        await self.evict_all(first)
        with self.assertRaises(CacheTrouble):
            await file.read(0, MIB)
        await second.run(lambda index: None)
        self.assertEqual(list(file.present), [])
        self.assert_nothing_lost(second)
        self.assertTrue(await file.write(0, self.body[:MIB]))
        await second.upkeep.now()
        for path in self.data_files():
            path.unlink()
        with self.assertRaises(CacheTrouble):
            await file.read(0, MIB)
        await second.run(lambda index: None)
        self.assertEqual(second.figures.lost, 1)
        self.assertIn("cache: chunk 0 of /a has no data file", "\n".join(self.logged.lines))
        file.close()

    async def test_a_smaller_size_takes_effect_at_once(self) -> None:
        store = self.store(clock=self.clock)
        files = [await self.film(store, b"/%d" % number, self.body) for number in range(9)]
        await store.upkeep.now()
        stored = self.on_disk()
        with (
            mock.patch.object(room, "MOST_EVICTED", 2),
            mock.patch.object(upkeep, "MOST_EVICTED", 2),
        ):
            store.resize(stored // 3)
            await store.upkeep.now()
        self.assertLess(self.on_disk(), stored // 3)
        self.assertGreater(store.figures.evicted, 4)
        self.assertFalse(store.upkeep.full)
        for file in files:
            file.close()

    async def test_what_cannot_be_deleted_still_counts(self) -> None:
        store = self.store(clock=self.clock)
        file = await self.begun(store)
        self.disk.fails["unlink"] = errno.EIO
        size, store.upkeep.size = store.upkeep.size, 0
        await store.upkeep.now()
        self.assertEqual(store.figures.evicted, 0)
        self.assertEqual(await self.content(file, 0, MIB), self.body[:MIB])
        self.disk.fails.clear()
        self.clock.advance(FULL_FOR + 1)
        await store.upkeep.now()
        self.assertEqual(self.data_files(), [])
        store.upkeep.size = size
        file.close()
