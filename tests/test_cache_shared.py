"""Several processes that share a cache."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from unittest import mock

from aprp.cache.store import disk_store
from aprp.cache.store.disk_store import POLL, DiskStore
from aprp.cache.store.index import Index, Row
from aprp.cache.store.opening import SETTLED
from aprp.cache.store.store import CacheTrouble
from aprp.cache.store.threads import REST
from aprp.cache.store.upkeep import FULL_FOR, SOON
from tests.support.faulty_disk import MIB, StoreCase, ThreadedClock, body_of, meta_for
from tests.support.logged import Logged
from tests.support.patience import PATIENCE


class SharedTests(StoreCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = ThreadedClock()

    async def both(self) -> tuple[DiskStore, DiskStore]:
        first = self.store(clock=self.clock, shared=True)
        await first.opened
        second = self.store(clock=self.clock, shared=True, keeper=False, process=1)
        await second.opened
        return first, second

    async def polled(self, store: DiskStore) -> None:
        """Let the store learn what the others did."""
        self.clock.advance(POLL)
        await store.run(lambda index: None)

    async def test_what_one_keeps_the_other_finds(self) -> None:
        first, second = await self.both()
        body = body_of(1, 6 * MIB)
        file = await first.create(b"/a", meta_for(len(body)))
        self.assertTrue(await file.write(0, body[: 5 * MIB]))
        await first.upkeep.now()
        (seen,) = await second.find(b"/a")
        self.assertEqual(await self.content(seen, 0, 5 * MIB), body[: 5 * MIB])
        self.assertTrue(await seen.write(5 * MIB, body[5 * MIB :]))
        self.assertFalse(file.present.covers(5 * MIB, 6 * MIB))
        await second.upkeep.now()
        await self.polled(first)
        self.assertEqual(await self.content(file), body)
        await first.upkeep.now()
        (again,) = await first.find(b"/a")
        self.assertEqual(await self.content(again), body)
        for each in (file, seen, again):
            each.close()

    async def test_what_one_replaces_the_other_learns(self) -> None:
        first, second = await self.both()
        body = body_of(2, MIB)
        (await self.film(first, b"/a", body)).close()
        await first.upkeep.now()
        (seen,) = await second.find(b"/a")
        newer = await first.create(b"/a", meta_for(9))
        self.assertFalse(seen.doomed)
        await self.polled(second)
        self.assertTrue(seen.doomed)
        (found,) = await second.find(b"/a")
        self.assertEqual((found.id, found.meta), (newer.id, newer.meta))
        for each in (seen, newer, found):
            each.close()

    async def test_what_one_has_just_created_the_other_leaves(self) -> None:
        self.patch(disk_store, "TIDY", 2.0)
        first, second = await self.both()
        kept = await self.film(first, b"/kept", bytes(MIB))
        unused = await second.create(b"/unused", meta_for(9))
        self.clock.advance(1.5)
        await first.run(lambda index: None)
        file = await second.create(b"/a", meta_for(MIB))
        self.clock.advance(0.5)
        await first.run(lambda index: None)
        self.assertTrue(await file.write(0, body_of(1, MIB)))
        await second.upkeep.now()
        self.assertFalse(file.doomed)
        numbers = await first.run(lambda index: index.numbers())
        self.assertEqual(set(numbers), {kept.id, file.id, unused.id})
        self.clock.advance(2.0)
        numbers = await first.run(lambda index: index.numbers())
        self.assertEqual(set(numbers), {kept.id, file.id}, "nothing came of the other one")
        for each in (kept, file, unused):
            each.close()

    async def test_both_together_keep_within_the_size(self) -> None:
        first = self.store(size=24 * MIB, clock=self.clock, shared=True)
        await first.opened
        second = self.store(size=24 * MIB, clock=self.clock, shared=True, keeper=False, process=1)
        for number in range(8):
            for store in (first, second):
                file = await store.create(b"/%d" % number, meta_for(3 * MIB))
                for at in range(0, 3 * MIB, MIB):
                    await file.write(at, bytes(MIB))
                    self.assertLessEqual(self.on_disk(), 24 * MIB)
                file.close()
                await store.upkeep.now()
            self.clock.advance(FULL_FOR)
        self.assertGreater(first.figures.evicted + second.figures.evicted, 2)

    async def test_a_first_worker_that_restarts_deletes_nothing_that_others_wrote(self) -> None:
        first, second = await self.both()
        (await self.film(first, b"/a", body_of(1, MIB))).close()
        body = body_of(2, 6 * MIB)
        file = await self.film(second, b"/b", body)
        await first.close()
        orphan = self.folder / "data" / "00" / f"{77 * 256:016x}-0"
        orphan.write_bytes(bytes(MIB))
        third = self.store(clock=self.clock, shared=True)
        await third.opened
        for _ in range(300):
            await third.run(lambda index: None)
        self.assertTrue(orphan.exists())
        await second.upkeep.now()
        self.clock.advance(SETTLED)
        for _ in range(300):
            await third.run(lambda index: None)
        self.assertFalse(orphan.exists())
        self.assertEqual(await self.content(file), body)
        (seen,) = await third.find(b"/b")
        self.assertEqual(await self.content(seen), body)
        for each in (file, seen):
            each.close()

    async def test_one_waits_for_the_other_to_open_the_folder(self) -> None:
        second = self.store(clock=self.clock, shared=True, keeper=False, process=1)
        await second.opened
        with self.assertRaises(CacheTrouble):
            await second.find(b"/a")
        first = self.store(clock=self.clock, shared=True)
        await first.opened
        self.clock.advance(SOON)
        self.assertEqual(await second.find(b"/a"), ())

    async def test_another_daemons_folder_is_not_joined(self) -> None:
        logged = Logged(self)
        first = self.store()
        await first.opened
        with mock.patch.object(os, "getppid", lambda: 1):
            second = self.store(clock=self.clock, shared=True, keeper=False, process=1)
            await second.opened
            self.assertIn("is used by another daemon", logged.lines[-1])
            self.clock.advance(REST)
            with self.assertRaises(CacheTrouble):
                await second.find(b"/a")

    async def test_what_one_purges_the_other_learns_when_told(self) -> None:
        first, second = await self.both()
        (await self.film(first, b"/a", body_of(2, MIB))).close()
        (seen,) = await second.find(b"/a")
        self.assertEqual(await first.contents.purge("*"), 1)
        self.assertFalse(seen.doomed)
        await second.learn()
        self.assertTrue(seen.doomed)
        seen.close()

    async def test_what_is_found_while_the_other_purges_is_learned_of_too(self) -> None:
        first, second = await self.both()
        (await self.film(first, b"/a", body_of(2, MIB))).close()
        answered = threading.Event()
        find = Index.find

        def found(index: Index, key: bytes) -> list[Row]:
            rows = find(index, key)
            answered.set()
            return rows

        with mock.patch.object(Index, "find", found):
            finding = second.find(b"/a")
            self.assertTrue(answered.wait(PATIENCE))  # the answer hasn't been heard yet
        with closing(sqlite3.connect(first.folder.index, isolation_level=None)) as index:
            index.execute("UPDATE files SET doomed = 1")
        learning = second.learn()
        (seen,) = await finding
        await learning
        self.assertTrue(seen.doomed)
        seen.close()

    async def test_a_process_that_finds_more_and_more_looks_twice(self) -> None:
        first, second = await self.both()
        for number in range(9):
            (await self.film(first, b"%d" % number, body_of(2, MIB))).close()
        looks = 0
        doomed_among = Index.doomed_among

        def found(index: Index, numbers: Sequence[int]) -> list[int]:
            """Find one more during each look."""
            nonlocal looks
            rows = index.find(b"%d" % looks)
            second.reactor.callFromThread(second.files.adopt, rows[0].key, rows)
            looks += 1
            return doomed_among(index, numbers)

        with mock.patch.object(Index, "doomed_among", found):
            await second.learn()
        self.assertEqual(looks, 2)
