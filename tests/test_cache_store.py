"""The store on disk keeps files and gives them back, also to a later process."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from itertools import pairwise
from typing import Any
from unittest import SkipTest

from aprp.cache.store import chunk_io, page_cache, reader
from aprp.cache.store.disk import SystemDisk
from aprp.cache.store.store import CacheTrouble
from aprp.core.cache.extents import BLOCK
from aprp.core.cache.layout import CHUNK
from tests.support.faulty_disk import MIB, StoreCase, body_of, meta_for


class KeepingTests(StoreCase):
    async def test_a_film_comes_back(self) -> None:
        store, body = self.store(), body_of(1, 9 * MIB + 12345)
        file = await self.film(store, b"/a", body)
        self.assertEqual([(run.start, run.stop) for run in file.present], [(0, len(body))])
        self.assertEqual(await self.content(file), body)
        self.assertEqual(await self.content(file, 70_000, 5 * MIB), body[70_000 : 5 * MIB])
        file.close()
        (again,) = await store.find(b"/a")
        self.assertIs(again, file)
        again.close()

    async def test_blocks_that_lie_in_several_pieces(self) -> None:
        store, body = self.store(), body_of(8, CHUNK + 5 * BLOCK + 7)
        file = await store.create(b"/a", meta_for(len(body)))
        edges = [0, 1, BLOCK - 1, 3 * BLOCK, 3 * BLOCK + 5, CHUNK - 9, CHUNK + 3 * BLOCK + 1]
        view = memoryview(body)
        pieces = [view[at:stop] for at, stop in pairwise([*edges, len(body)])]
        self.assertTrue(await file.write(0, *pieces))
        self.assertEqual(await self.content(file), body)
        file.close()

    async def test_blocks_are_verified_again_only_after_they_were_written(self) -> None:
        store, body = self.store(), body_of(9, 4 * BLOCK)
        file = await store.create(b"/a", meta_for(len(body)))

        async def reads(start: int, stop: int) -> int:
            before = self.disk.calls["read"]
            verified = await file.read(start, stop)
            self.assertEqual(verified.stop, stop)
            verified.release()
            return self.disk.calls["read"] - before

        await file.write(0, body[: 2 * BLOCK])
        self.assertTrue(await reads(0, 2 * BLOCK))
        self.assertFalse(await reads(0, 2 * BLOCK))
        await file.write(2 * BLOCK, body[2 * BLOCK : 3 * BLOCK])
        await file.write(3 * BLOCK, body[3 * BLOCK :])
        self.assertFalse(await reads(0, 2 * BLOCK))
        self.assertTrue(await reads(0, 3 * BLOCK))
        self.assertFalse(await reads(0, 3 * BLOCK))
        await file.write(BLOCK, body[BLOCK : 2 * BLOCK])
        self.assertFalse(await reads(2 * BLOCK, 3 * BLOCK))
        self.assertTrue(await reads(0, 2 * BLOCK))
        (path,) = self.data_files()
        os.utime(path)  # as a write by somebody else
        await file.write(BLOCK, body[BLOCK : 2 * BLOCK])
        self.assertTrue(await reads(2 * BLOCK, 3 * BLOCK))
        file.close()

    async def test_a_later_process_finds_it(self) -> None:
        body = body_of(2, 5 * MIB + 7)
        meta = meta_for(len(body), vary=((b"accept", None),))
        store = self.store()
        file = await store.create(b"/a", meta)
        await file.write(CHUNK, body[CHUNK:])
        await file.write(BLOCK, body[BLOCK : 3 * BLOCK])
        await store.close()
        store = self.store()
        (file,) = await store.find(b"/a")
        self.assertEqual(file.meta, meta)
        runs = [(run.start, run.stop) for run in file.present]
        self.assertEqual(runs, [(BLOCK, 3 * BLOCK), (CHUNK, len(body))])
        self.assertEqual(await self.content(file, CHUNK, len(body)), body[CHUNK:])
        self.assertEqual(
            await self.content(file, BLOCK + 1, 3 * BLOCK), body[BLOCK + 1 : 3 * BLOCK]
        )
        file.close()

    async def test_a_read_stops_where_the_run_does_or_much_was_looked_at(self) -> None:
        store, body = self.store(), body_of(3, CHUNK + 2 * BLOCK)
        file = await self.film(store, b"/a", body)
        for start, stop, memory, reached in (
            (0, len(body), False, MIB),
            (CHUNK - 5, len(body), False, len(body)),
            (CHUNK - 5, len(body), True, CHUNK),
            (0, len(body), True, MIB // 4),
            (CHUNK, CHUNK + 9, False, CHUNK + 9),
        ):
            verified = await file.read(start, stop, memory)
            self.assertEqual((verified.start, verified.stop), (start, reached))
            self.assertEqual(verified.data is not None, memory)
            verified.release()
        file.close()

    async def test_one_read_opens_several_chunks(self) -> None:
        store, body = self.store(), body_of(3, 3 * CHUNK + 5)
        file = await self.film(store, b"/a", body)
        self.assertEqual(await self.content(file), body)
        verified = await file.read(BLOCK, len(body))
        self.assertEqual((verified.stop, len(verified.parts)), (len(body), 4))
        self.assertEqual(store.reader.descriptors, 4)
        verified.release()
        self.assertEqual(store.reader.descriptors, 0)
        with open(store.folder.chunk(file.id, 2), "r+b") as data:
            data.write(b"flipped")
        verified = await file.read(0, len(body))
        self.assertEqual(verified.stop, 2 * CHUNK)
        self.assertTrue(file.present.covers(0, len(body)))
        verified.release()
        with self.assertRaises(CacheTrouble):
            await file.read(2 * CHUNK, len(body))
        self.assertFalse(file.present.covers(2 * CHUNK, 2 * CHUNK + 1))
        file.close()

    async def test_blocks_that_left_memory_are_verified_again(self) -> None:
        store, body = self.store(), body_of(3, 2 * BLOCK)
        file = await self.film(store, b"/a", body)
        (await file.read(0, BLOCK)).release()
        for reclaimed, reads in ((set[int](), False), ({0}, True), (set[int](), False)):
            self.disk.reclaimed = reclaimed
            before = self.disk.calls["read"]
            (await file.read(0, BLOCK)).release()
            self.assertEqual(self.disk.calls["read"] > before, reads)
        file.close()

    async def test_only_blocks_that_left_memory_are_verified_again(self) -> None:
        store, body = self.store(), body_of(3, 16 * BLOCK)
        file = await self.film(store, b"/a", body)
        (await file.read(5, 16 * BLOCK)).release()
        self.disk.reclaimed = {3, 4, 11}
        looked_at = 0
        real = chunk_io.verify

        def verify(disk: Any, descriptor: int, file: int, chunk: int, wanted: Any) -> None:
            nonlocal looked_at
            looked_at = sum(1 << each.block for each in wanted)
            real(disk, descriptor, file, chunk, wanted)

        self.patch(reader, "verify", verify)
        (await file.read(5, 16 * BLOCK - 5)).release()
        self.assertEqual(looked_at, 1 << 3 | 1 << 4 | 1 << 11)
        self.disk.reclaimed = set()
        looked_at = 0
        (await file.read(5, 16 * BLOCK)).release()
        self.assertEqual(looked_at, 0)
        file.close()

    def in_memory(self, descriptor: int) -> bool:
        """Return whether a file can't leave memory, by what a read that mustn't wait says."""
        try:
            os.preadv(descriptor, [bytearray(1)], 2 * BLOCK, os.RWF_NOWAIT)
        except OSError as error:
            return not isinstance(error, BlockingIOError)
        return True

    async def test_what_is_in_memory(self) -> None:
        disk = SystemDisk()
        descriptor = disk.open(self.mktemp(), os.O_RDWR | os.O_CREAT)
        self.addCleanup(disk.close, descriptor)
        disk.write(descriptor, memoryview(bytes(4 * BLOCK)), 0)
        os.fsync(descriptor)
        for told in (True, False):  # whether the kernel tells at once
            if not told:
                self.patch(page_cache, "_cached_pages", lambda *_: None)
            for _ in range(100):  # the kernel need not follow the advice at once
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                if not disk.cached(descriptor, BLOCK + 17, 5):
                    break
            else:
                if told and self.in_memory(descriptor):
                    raise SkipTest("this file system is in memory")
                self.fail("what has left memory counts as there")
            disk.prefetch(descriptor, 0, 4 * BLOCK)
            for start, count in ((0, 4 * BLOCK), (17, 4 * BLOCK - 20)):
                for _ in range(100):  # nor keep what was read
                    os.pread(descriptor, 4 * BLOCK, 0)
                    if disk.cached(descriptor, start, count):
                        break
                else:
                    self.fail("what was just read counts as not in memory")

    async def test_variants_and_versions(self) -> None:
        store = self.store()
        plain = await store.create(b"/a", meta_for(10))
        other = await store.create(b"/a", meta_for(10, vary=((b"accept", b"x"),)))
        newer = await store.create(b"/a", meta_for(11))
        self.assertTrue(plain.doomed)
        found = await store.find(b"/a")
        self.assertEqual(found, (newer, other))
        self.assertEqual(await store.find(b"/b"), ())
        self.assertEqual(await store.remove(b"/a"), 2)
        self.assertEqual(await store.find(b"/a"), ())
        self.assertTrue(newer.doomed and other.doomed)
        for file in (plain, other, newer, *found):
            file.close()

    async def test_a_doomed_file_is_read_to_its_end_and_then_deleted(self) -> None:
        store, body = self.store(), body_of(4, MIB)
        file = await self.film(store, b"/a", body)
        await store.upkeep.now()
        newer = await self.film(store, b"/a", body_of(5, MIB))
        self.assertFalse(await file.write(0, body))
        self.assertEqual(await self.content(file), body)
        self.assertEqual(len(self.data_files()), 2)
        file.close()
        newer.doom()
        newer.close()
        await store.close()
        self.assertEqual(self.data_files(), [])
        store = self.store()
        self.assertEqual(await store.find(b"/a"), ())

    async def test_the_meta_is_updated(self) -> None:
        store = self.store()
        file = await store.create(b"/a", meta_for(None))
        await file.write(0, bytes(BLOCK))
        meta = replace(meta_for(BLOCK + 3), received_at=5.0)
        await file.update(meta)
        await file.write(BLOCK, b"end")
        await store.close()
        store = self.store()
        (file,) = await store.find(b"/a")
        self.assertEqual(file.meta, meta)
        self.assertEqual(await self.content(file), bytes(BLOCK) + b"end")
        file.close()

    async def test_a_file_becomes_another_variant(self) -> None:
        store, body = self.store(), body_of(8, BLOCK)
        plain = await self.film(store, b"/a", body)
        english = replace(plain.meta, vary=((b"accept-language", b"en"),))
        before = await store.create(b"/a", english)
        await plain.update(english)
        self.assertTrue(before.doomed)
        await before.update(english)
        self.assertFalse(plain.doomed)
        for file in (before, plain):
            file.close()
        await store.close()
        (again,) = await self.store().find(b"/a")
        self.assertEqual((again.id, again.meta), (plain.id, english))
        self.assertEqual(await self.content(again), body)
        again.close()

    async def test_only_its_user_can_read_what_is_kept(self) -> None:
        store = self.store()
        (await self.film(store, b"/a", body_of(6, MIB))).close()
        await store.upkeep.now()
        for at, _, names in os.walk(self.folder):
            self.assertEqual(stat.S_IMODE(os.stat(at).st_mode), 0o700, at)
            for name in names:
                mode = stat.S_IMODE(os.stat(os.path.join(at, name)).st_mode)
                self.assertEqual(mode, 0o600, name)

    async def test_many_files_are_forgotten_in_memory_and_found_again(self) -> None:
        store = self.store()
        body = body_of(7, 100)
        for number in range(300):
            key = b"/%d" % number
            self.assertEqual(await store.find(key), ())
            (await self.film(store, key, body)).close()
        await store.upkeep.now()
        self.assertLess(len(store.files.by_number), 300)
        for number in range(300):
            (file,) = await store.find(b"/%d" % number)
            self.assertEqual(await self.content(file), body)
            file.close()

    async def test_nothing_is_done_after_the_end(self) -> None:
        store = self.store()
        file = await store.create(b"/a", meta_for(10))
        await store.close()
        await store.close()
        with self.assertRaises(CacheTrouble):
            await store.find(b"/b")
        self.assertFalse(await file.write(0, b"0123456789"))
