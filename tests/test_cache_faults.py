"""Whatever happens to the disk: no wrong byte, nothing waits for it, it never grows too large."""

from __future__ import annotations

import errno
import os
import random
import shutil
import sqlite3
import sys
from contextlib import closing
from unittest import mock

from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from aprp.cache.store.disk_store import DiskStore
from aprp.cache.store.reader import SAY_LOST
from aprp.cache.store.schema import VERSION
from aprp.cache.store.store import CacheTrouble
from aprp.cache.store.threads import ANSWER, REST
from aprp.cache.store.upkeep import FULL_FOR
from aprp.cache.store.writer import MOST_WAITING
from aprp.core.cache.extents import BLOCK
from aprp.core.cache.layout import CHUNK
from tests.support.client import reactor
from tests.support.eventually import eventually
from tests.support.faulty_disk import MIB, StoreCase, ThreadedClock, body_of, meta_for
from tests.support.logged import Logged
from tests.support.running import ROOT

KILLED = """
import random, sys
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from aprp.cache.store.disk_store import DiskStore
from tests.support.faulty_disk import MIB, body_of, meta_for

async def work():
    store = DiskStore(sys.argv[1], 64 * MIB, reactor)
    for number in range(1000):
        body = body_of(number, 3 * MIB + number)
        file = await store.create(b"/%d" % number, meta_for(len(body)))
        for at in range(0, len(body), MIB):
            await file.write(at, body[at : at + MIB])
        file.close()
        print(number, flush=True)

Deferred.fromCoroutine(work()).addErrback(lambda failure: failure.printTraceback())
reactor.run()
"""


class _Killed(ProcessProtocol):
    """Kills a process once it has printed so many lines."""

    def __init__(self, lines: int) -> None:
        self.lines = lines
        self.ended: Deferred[None] = Deferred()
        self.said = b""

    def outReceived(self, data: bytes) -> None:
        self.said += data
        if self.said.count(b"\n") >= self.lines and self.transport is not None:
            self.lines = sys.maxsize
            self.transport.signalProcess("KILL")

    def errReceived(self, data: bytes) -> None:
        self.said += data

    def processEnded(self, reason: Failure) -> None:
        self.ended.callback(None)


class WrongBytesTests(StoreCase):
    async def test_flipped_bits(self) -> None:
        logged = Logged(self)
        store, body = self.store(), body_of(1, MIB)
        file = await self.film(store, b"/a", body)
        self.assertEqual(await self.content(file), body)
        (path,) = self.data_files()
        for at, memory in ((5 * BLOCK + 17, False), (9 * BLOCK, True)):
            with path.open("r+b") as data:
                data.seek(at)
                byte = data.read(1)[0]
                data.seek(at)
                data.write(bytes([byte ^ 4]))
            with self.assertRaises(CacheTrouble):
                await file.read(at - BLOCK, at + 1, memory)
            self.assertFalse(file.present.covers(at, at + 1))
        self.assertEqual(len(file.present), 3)
        await store.run(lambda index: None)
        self.assertEqual(store.figures.lost, 2)
        self.assertEqual(await self.content(file, 0, 5 * BLOCK), body[: 5 * BLOCK])
        self.assertTrue(any("its checksum is wrong" in line for line in logged.lines))
        await store.close()
        store = self.store()
        (file,) = await store.find(b"/a")
        self.assertEqual(len(file.present), 3, "a later process doesn't try it again")
        await file.write(5 * BLOCK, body[5 * BLOCK : 6 * BLOCK])
        self.assertEqual(await self.content(file, 0, 9 * BLOCK), body[: 9 * BLOCK])
        file.close()

    async def test_many_lost_blocks_are_one_line_a_minute(self) -> None:
        logged, clock = Logged(self), ThreadedClock()
        store, body = self.store(clock=clock), body_of(6, MIB)
        file = await self.film(store, b"/a", body)
        (path,) = self.data_files()
        path.write_bytes(bytes(MIB))
        for block in range(4):
            clock.advance(SAY_LOST / 3)
            with self.assertRaises(CacheTrouble):
                await file.read(block * BLOCK, (block + 1) * BLOCK)
            await store.run(lambda index: None)
        self.assertEqual(store.figures.lost, 4)
        first, second = (line for line in logged.lines if "checksum is wrong" in line)
        self.assertIn("cache: block 0 of /a isn't what was written", first)
        self.assertNotIn("more", first)
        self.assertIn("There were 2 more since the last such line.", second)
        file.close()

    async def test_a_failure_is_one_line_whatever_the_file(self) -> None:
        logged = Logged(self)
        store = self.store()
        for number in (errno.EIO, errno.EROFS):
            for name in ("a", "b", "c"):
                store.threads.failed(OSError(number, os.strerror(number), name))
        self.assertEqual(
            [line for line in logged.lines if "the disk failed" in line],
            [
                "cache: the disk failed: Input/output error (a); it is used again after a while",
                "cache: the disk failed: Read-only file system (a); it is used again after a while",
            ],
        )

    async def test_data_files_that_are_cut_swapped_or_deleted(self) -> None:
        bodies = [body_of(number, MIB) for number in range(4)]
        store = self.store()
        for number, body in enumerate(bodies):
            (await self.film(store, b"/%d" % number, body)).close()
        files = [(await store.find(b"/%d" % number))[0] for number in range(4)]
        paths = [store.folder.chunk(file.id, 0) for file in files]
        os.truncate(paths[0], 3 * BLOCK + 1)
        os.rename(paths[1], paths[2])
        for file, body, kept in zip(files, bodies, (3 * BLOCK, 0, 0, MIB), strict=True):
            with self.subTest(kept=kept):
                found = b""
                while (stop := file.present.run_at(len(found))) is not None:
                    try:
                        found += await self.content(file, len(found), stop)
                    except CacheTrouble:
                        continue
                self.assertEqual(found, body[:kept])
            file.close()

    async def test_a_disk_that_cannot_be_read(self) -> None:
        store, body = self.store(), body_of(2, MIB)
        file = await self.film(store, b"/a", body)
        self.disk.fails["read"] = errno.EIO
        with self.assertRaises(CacheTrouble):
            await file.read(0, MIB)
        self.assertFalse(file.present.covers(0, BLOCK))
        self.disk.fails.clear()
        await file.write(0, body)
        self.assertEqual(await self.content(file), body)
        file.close()

    async def test_bits_of_the_index(self) -> None:
        store = self.store()
        (await self.film(store, b"/a", body_of(3, MIB))).close()
        await store.close()
        with closing(sqlite3.connect(self.folder / "index.sqlite")) as index, index:
            index.execute("UPDATE files SET meta = cast(replace(meta, 'mp4', 'mp5') AS BLOB)")
        store = self.store()
        self.assertEqual(await store.find(b"/a"), ())


class FailingTests(StoreCase):
    async def test_a_full_or_failing_disk(self) -> None:
        clock = ThreadedClock()
        logged = Logged(self)
        store, body = self.store(clock=clock), body_of(1, MIB)
        kept = await self.film(store, b"/kept", body)
        for number, said in ((errno.ENOSPC, "the disk is full"), (errno.EIO, "Input/output")):
            file = await store.create(b"/a", meta_for(MIB))
            self.disk.fails["write"] = number
            self.assertFalse(await file.write(0, body))
            self.assertFalse(await file.write(0, body), "it is left alone for a while")
            self.assertEqual(file.present.total, 0)
            self.assertTrue(any(said in line for line in logged.lines), logged.lines)
            self.disk.fails.clear()
            clock.advance(REST)
            self.assertEqual(await self.content(kept), body)
            self.assertTrue(await file.write(0, body))
            self.assertEqual(await self.content(file), body)
            file.close()
        kept.close()

    async def test_an_index_that_fails(self) -> None:
        clock = ThreadedClock()
        store, body = self.store(clock=clock), body_of(1, MIB)
        file = await self.film(store, b"/a", body)
        await store.upkeep.now()
        self.disk.fails["sql"] = errno.EIO
        for failing in (store.find(b"/b"), store.create(b"/b", meta_for(1)), store.remove(b"/a")):
            with self.assertRaises(CacheTrouble):
                await failing
        self.assertTrue(file.doomed)
        self.assertIsNone(file.present.next_after(0))
        with self.assertRaises(CacheTrouble):  # a reader may have looked before that
            await file.read(0, 1)
        self.assertFalse(await file.write(0, body))
        file.close()
        self.disk.fails.clear()
        clock.advance(REST)
        await store.upkeep.now()
        (file,) = await store.find(b"/a")
        self.assertEqual(await self.content(file), body)
        file.close()

    async def test_a_disk_that_hangs(self) -> None:
        clock = ThreadedClock()
        store, body = self.store(clock=clock, size=1024 * MIB), body_of(1, MIB)
        file = await self.film(store, b"/a", body)
        self.disk.slow = {"read", "sql", "write"}
        reading, finding = file.read(0, 10), store.find(b"/b")
        writing = [file.write(0, body) for _ in range(2 * MOST_WAITING // MIB)]
        refused = sum(each.called for each in writing)
        self.assertGreaterEqual(refused, MOST_WAITING // MIB)
        self.assertLessEqual(store.writer.waiting, MOST_WAITING)
        left = store.find(b"/c")
        left.cancel()
        with self.assertRaises(CancelledError):  # whoever has left doesn't take it for a miss
            await left
        clock.advance(ANSWER)
        for failing in (reading, finding, store.find(b"/b")):
            with self.assertRaises(CacheTrouble):
                await failing
        self.disk.slow = set()
        self.disk.gate.set()
        await gatherResults(writing)
        clock.advance(REST)
        self.assertTrue(await file.write(0, body))
        self.assertEqual(await self.content(file), body)
        file.close()

    async def test_stopping_does_not_wait_for_a_disk_that_hangs(self) -> None:
        clock = ThreadedClock()
        store = self.store(clock=clock, size=1024 * MIB)
        file = await self.film(store, b"/a", body_of(1, MIB))
        self.disk.slow = {"sql", "write"}
        writing = file.write(0, body_of(1, MIB))
        stopping = store.close()
        clock.advance(ANSWER)
        clock.advance(ANSWER)
        await stopping
        self.disk.slow = set()
        self.disk.gate.set()
        await writing
        file.close()

    async def test_the_folder_vanishes(self) -> None:
        clock = ThreadedClock()
        store, body = self.store(clock=clock), body_of(1, MIB)
        file = await self.film(store, b"/a", body)
        shutil.rmtree(self.folder)
        with self.assertRaises(CacheTrouble):
            await file.read(0, MIB)
        self.assertFalse(await file.write(0, body))
        self.assertTrue(file.doomed)
        with self.assertRaises(CacheTrouble):
            await store.find(b"/a")
        file.close()
        clock.advance(REST)
        while not store.usable or not await self._swept(store):
            await deferLater(reactor, 0.05)  # the loss may be noticed after the clock was advanced
            clock.advance(0.2)
            await store.upkeep.now()
        file = await self.film(store, b"/a", body)
        self.assertEqual(await self.content(file), body)
        file.close()

    async def _swept(self, store: DiskStore) -> bool:
        return bool(await store.run(lambda index: index.counter("swept")))

    async def test_folders_that_cannot_be_used(self) -> None:
        logged = Logged(self)
        with mock.patch.object(os, "geteuid", lambda: os.getuid() + 1):
            store = self.store()
            await store.opened
        self.assertIn("belongs to another user", logged.lines[-1])
        for method, number, said in (
            ("mkdir", errno.EACCES, "can't be used: Permission denied; create it for the user"),
            ("mkdir", errno.EROFS, "can't be used: Read-only file system; let aprp write there"),
            ("open", errno.ENOSPC, "can't be used: No space left on device; make room"),
        ):
            self.disk.fails = {method: number}
            store = self.store()
            await store.opened
            self.assertIn(said, logged.lines[-1])
            for failing in (store.find(b"/a"), store.create(b"/a", meta_for(1))):
                with self.assertRaises(CacheTrouble):
                    await failing

    async def test_two_daemons(self) -> None:
        clock = ThreadedClock()
        logged = Logged(self)
        store = self.store()
        body = body_of(1, MIB)
        (await self.film(store, b"/a", body)).close()
        other = self.store(clock=clock)
        await other.opened
        self.assertIn("is used by another daemon; give each its own", logged.lines[-1])
        with self.assertRaises(CacheTrouble):
            await other.find(b"/a")
        await store.close()
        clock.advance(REST)
        (file,) = await other.find(b"/a")
        self.assertEqual(await self.content(file), body)
        file.close()

    async def test_clocks_that_jump(self) -> None:
        clock = ThreadedClock()
        store, body = self.store(clock=clock), body_of(1, MIB)
        file = await self.film(store, b"/a", body)
        for seconds in (1e9, -2e9, 1e9):
            clock.rightNow += seconds
            self.assertEqual(await self.content(file), body)
            self.assertTrue(await file.write(0, body))
            file.touch(0, MIB)
            await store.upkeep.now()
        file.close()


class StartingTests(StoreCase):
    """What an earlier process left behind."""

    async def _left(self, count: int = 5) -> list[bytes]:
        bodies = [body_of(number, 2 * MIB + number) for number in range(count)]
        store = self.store()
        for number, body in enumerate(bodies):
            (await self.film(store, b"/%d" % number, body)).close()
        await store.close()
        return bodies

    async def _ready(self, size: int = 64 * MIB) -> DiskStore:
        store = self.store(size)
        await store.opened
        while not await store.run(lambda index: index.counter("swept")):
            await store.upkeep.now()
        await store.upkeep.now()
        return store

    async def _right(self, store: DiskStore, bodies: list[bytes]) -> int:
        """Read all that is said to be there; return how many bytes came, all of them right."""
        count = 0
        for number, body in enumerate(bodies):
            for file in await store.find(b"/%d" % number):
                at: int | None = 0
                while (at := file.present.next_after(at or 0)) is not None:
                    try:
                        found = await self.content(file, at, min(at + BLOCK, len(body)))
                    except CacheTrouble:
                        continue
                    self.assertEqual(found, body[at : at + len(found)])
                    at += len(found)
                    count += len(found)
                file.close()
        return count

    async def test_another_format_is_set_aside(self) -> None:
        await self._left()
        with closing(sqlite3.connect(self.folder / "index.sqlite")) as index:
            index.execute(f"PRAGMA user_version = {VERSION + 1}")
        logged = Logged(self)
        store = await self._ready()
        self.assertTrue(any("has format" in line and "empty" in line for line in logged.lines))
        self.assertEqual(await store.find(b"/0"), ())
        self.assertEqual(self.data_files(), [])
        self.assertTrue((self.folder / "index.sqlite.bad").exists())

    async def test_a_corrupt_index_is_set_aside(self) -> None:
        for start, junk in ((0, b"junk" * 100), (4096, os.urandom(60_000)), (100, b"")):
            bodies = await self._left()
            with (self.folder / "index.sqlite").open("r+b") as index:
                index.seek(start)
                index.write(junk)
                if not junk:
                    index.truncate(5000)
            logged = Logged(self)
            store = await self._ready()
            (said,) = (line for line in logged.lines if "was set aside" in line)
            self.assertIn("the index of the cache is damaged (", said)
            self.assertNotIn("\n", said)
            self.assertEqual(await self._right(store, bodies), 0)
            self.assertEqual(self.data_files(), [])
            await store.close()

    async def test_an_index_that_becomes_corrupt(self) -> None:
        bodies = await self._left()
        clock = ThreadedClock()
        store = self.store(clock=clock)
        await store.opened
        await store.run(lambda index: index.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)"))
        await store.run(lambda index: index.connection.execute("PRAGMA cache_size = 0"))
        with (self.folder / "index.sqlite").open("r+b") as index:
            index.write(os.urandom((self.folder / "index.sqlite").stat().st_size))
        (self.folder / "index.sqlite-wal").write_bytes(b"")
        with self.assertRaises(CacheTrouble):
            for number in range(5):
                for file in await store.find(b"/%d" % number):
                    file.close()
        clock.advance(REST)
        await store.upkeep.now()
        self.assertEqual(await self._right(store, bodies), 0)

    async def test_kill_9(self) -> None:
        from twisted.internet import reactor

        killed = _Killed(12)
        environment = dict(os.environ, PYTHONPATH=str(ROOT))
        reactor.spawnProcess(
            killed, sys.executable, [sys.executable, "-c", KILLED, str(self.folder)], environment
        )
        await killed.ended
        self.assertLessEqual(self.on_disk(), 64 * MIB)
        store = await self._ready()
        bodies = [body_of(number, 3 * MIB + number) for number in range(20)]
        self.assertGreater(await self._right(store, bodies), 9 * MIB, killed.said)
        self.assertEqual(store.figures.lost, 0, "the page cache outlives the process")
        index = await store.run(lambda index: [index.chunks.stored_in(low) for low in range(256)])
        known = sum(len(each) for each in index)
        self.assertEqual(len(self.data_files()), known, "no data file without an entry")

    async def test_power_loss(self) -> None:
        """Anything not synced may be missing: the end of the WAL, and any block of data."""
        for seed in range(6):
            chance = random.Random(seed)
            bodies = [body_of(number, 2 * MIB + number) for number in range(4)]
            store = await self._ready()
            for number, body in enumerate(bodies):
                (await self.film(store, b"/%d" % number, body)).close()
            await store.upkeep.now()
            kept = self.folder.with_name("kept")
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(self.folder, kept)
            await store.close()
            shutil.rmtree(self.folder)
            kept.rename(self.folder)
            wal = self.folder / "index.sqlite-wal"
            if wal.stat().st_size:
                os.truncate(wal, chance.randrange(wal.stat().st_size))
            for path in self.data_files():
                what = chance.random()
                if what < 0.2:
                    path.unlink()
                elif what < 0.5:
                    os.truncate(path, chance.randrange(path.stat().st_size))
                elif what < 0.8:
                    with path.open("r+b") as data:
                        data.seek(chance.randrange(path.stat().st_size))
                        data.write(bytes(chance.randrange(2 * BLOCK)))
            store = await self._ready()
            await self._right(store, bodies)
            await store.close()


class SizeTests(StoreCase):
    async def test_it_never_grows_beyond_its_size(self) -> None:
        clock = ThreadedClock()
        store = self.store(size=24 * MIB, clock=clock)
        rest = body_of(1, 64 * MIB)
        kept = 0
        for number in range(12):
            file = await store.create(b"/%d" % number, meta_for(5 * MIB + number))
            for at in range(0, 5 * MIB, MIB):
                kept += await file.write(at, rest[at : at + MIB])
                self.assertLessEqual(self.on_disk(), 24 * MIB)
            file.close()
            await store.upkeep.now()
            clock.advance(FULL_FOR)
        self.assertGreater(kept, 50)
        self.assertGreater(store.figures.evicted, 5)
        self.assertGreater(self.on_disk(), 12 * MIB)
        self.assertLessEqual(store.figures.used, 24 * MIB)

    async def test_orphans_of_another_life_count(self) -> None:
        store = self.store(size=24 * MIB)
        (await self.film(store, b"/a", body_of(1, 8 * MIB))).close()
        await store.close()
        for number in range(10):
            orphan = self.folder / "data" / "00" / f"{number * 256:016x}-0"
            orphan.write_bytes(bytes(CHUNK))
        store = self.store(size=24 * MIB)
        file = await store.create(b"/b", meta_for(8 * MIB))
        for at in range(0, 8 * MIB, MIB):
            await file.write(at, bytes(MIB))
        self.assertLessEqual(self.on_disk(), 24 * MIB)
        file.close()

    async def test_a_disk_that_fails_while_orphans_are_deleted(self) -> None:
        clock = ThreadedClock()
        store = self.store(clock=clock)
        await store.opened
        await store.close()
        orphan = self.folder / "data" / "00" / f"{256:016x}-0"
        orphan.write_bytes(bytes(MIB))
        (self.folder / "data" / "07" / f"{7:016x}-0").mkdir()
        self.disk.fails["unlink"] = errno.EIO
        store = self.store(clock=clock)
        failed = self.disk.calls["unlink"]
        await eventually(lambda: self.disk.calls["unlink"] > failed, "trying to delete it")
        self.disk.fails.clear()
        self.assertTrue(orphan.exists())
        await store.run(lambda index: None)
        clock.advance(REST)
        await eventually(lambda: not orphan.exists(), "deleting it")
        for _ in range(300):
            await store.run(lambda index: None)
        await store.upkeep.now()
        (await self.film(store, b"/a", body_of(1, MIB))).close()

    async def test_pinned_files_stay_and_take_no_more_than_there_is(self) -> None:
        clock = ThreadedClock()
        store = self.store(size=24 * MIB, clock=clock)
        body = body_of(1, 12 * MIB)
        pinned = await store.create(b"/pinned", meta_for(len(body)), pinned=True)
        self.assertEqual(await self.fill(pinned, body), len(body))
        for number in range(5):
            file = await store.create(b"/%d" % number, meta_for(len(body)), pinned=number == 4)
            await self.fill(file, body)
            await store.upkeep.now()
            clock.advance(FULL_FOR)
            self.assertLessEqual(self.on_disk(), 24 * MIB)
            file.close()
        self.assertEqual(await self.content(pinned), body)
        pinned.close()

    async def test_an_evicted_chunk_is_read_on_by_who_has_it(self) -> None:
        store = self.store(size=24 * MIB)
        body = body_of(1, CHUNK)
        file = await self.film(store, b"/a", body)
        verified = await file.read(0, MIB)
        other = await store.create(b"/b", meta_for(24 * MIB))
        await self.fill(other, bytes(24 * MIB))
        await store.upkeep.now()
        self.assertFalse(file.present.covers(0, 1), "it made room")
        found = os.pread(verified.parts[0].descriptor, MIB, verified.parts[0].offset)
        self.assertEqual(found, body[:MIB])
        verified.release()
        for each in (file, other):
            each.close()
