"""How blocks get to the disk: directly or through the page cache, and what waits for that."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aprp.cache.backlog import MOST, Backlog
from aprp.cache.store.block_writes import BlockWrites
from aprp.cache.store.chunk_io import checksum_of
from aprp.core.cache import directly
from aprp.core.cache.directly import FAST, SLOW_FOR, Directly
from aprp.core.cache.extents import BLOCK
from tests.support.faulty_disk import MIB, FaultyDisk, StoreCase, body_of, meta_for

DIRECT = "write directly"


class BlockWritesTests(SynchronousTestCase):
    """Blocks of one data file."""

    def setUp(self) -> None:
        folder = self.mktemp()
        os.mkdir(folder)
        self.path = Path(folder) / "chunk"
        self.disk = FaultyDisk()
        self.writes = BlockWrites(self.disk)

    def write(self, body: bytes, at: int = 0, directly: bool = True, cut: int = 300_001) -> None:
        descriptor = self.disk.open(str(self.path), os.O_RDWR | os.O_CREAT)
        pieces = [memoryview(body)[n : n + cut] for n in range(0, len(body), cut)]
        sums = self.writes.write(descriptor, 7, 3, at, pieces, directly)
        self.disk.close(descriptor)
        blocks = range(0, len(body), BLOCK)
        first = at // BLOCK
        self.assertEqual(
            sums,
            [
                (first + n // BLOCK, checksum_of(body[n : n + BLOCK], 7, 3, first + n // BLOCK))
                for n in blocks
            ],
        )
        self.assertEqual(self.path.read_bytes()[at : at + len(body)], body)

    def test_many_blocks_are_written_directly(self) -> None:
        self.write(body_of(1, 3 * MIB), at=BLOCK)
        self.assertTrue(self.disk.calls[DIRECT])

    def test_the_end_of_a_file(self) -> None:
        """What isn't a whole page goes through the page cache."""
        for over in (1, 4095, 4096, 4097, 65535):
            self.write(body_of(over, 2 * MIB + over))

    def test_through_the_page_cache(self) -> None:
        self.write(body_of(1, 2 * MIB), directly=False)
        self.assertFalse(self.disk.calls[DIRECT])

    def test_a_file_system_that_cannot(self) -> None:
        """It isn't tried again."""
        for number in (errno.EINVAL, errno.EOPNOTSUPP):
            self.writes = BlockWrites(self.disk)
            self.disk.calls.clear()
            self.disk.fails[DIRECT] = number
            self.write(body_of(1, 3 * MIB))
            self.write(body_of(2, 3 * MIB))
            self.assertEqual(self.disk.calls[DIRECT], 1)

    def test_a_file_system_in_memory(self) -> None:
        if not os.access("/dev/shm", os.W_OK):
            self.skipTest("needs /dev/shm")
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            self.path = Path(folder) / "chunk"
            self.write(body_of(1, 3 * MIB))

    def test_a_failure(self) -> None:
        for number in (errno.EIO, errno.ENOSPC):
            self.disk.fails[DIRECT] = number
            error = self.assertRaises(OSError, self.write, body_of(1, MIB))
            self.assertEqual(error.errno, number)


class DirectlyTests(StoreCase):
    """When a store writes directly."""

    async def test_unless_too_much_waits(self) -> None:
        store = self.store()
        await store.opened
        body = body_of(1, 4 * MIB)
        file = await store.create(b"film", meta_for(len(body)))
        self.assertTrue(await file.write(0, body[:MIB]))
        calls = self.disk.calls[DIRECT]
        self.assertTrue(calls)
        self.assertTrue(await file.write(MIB, body[MIB : 2 * MIB], hurried=True))
        self.assertEqual(self.disk.calls[DIRECT], calls)
        self.assertTrue(await file.write(2 * MIB, body[2 * MIB :]))
        self.assertGreater(self.disk.calls[DIRECT], calls)
        self.assertEqual(await self.content(file), body)
        file.close()

    async def test_few_blocks(self) -> None:
        store = self.store()
        await store.opened
        body = body_of(1, 5 * BLOCK)
        file = await store.create(b"film", meta_for(len(body)))
        self.assertTrue(await file.write(0, body))
        self.assertFalse(self.disk.calls[DIRECT])
        self.assertEqual(await self.content(file), body)
        file.close()

    async def test_not_for_a_while_once_the_disk_is_slow(self) -> None:
        self.patch(directly, "FAST", 1 << 60)
        store = self.store()
        await store.opened
        body = body_of(1, 4 * MIB)
        file = await store.create(b"film", meta_for(len(body)))
        await self.fill(file, body)
        self.assertEqual(self.disk.calls[DIRECT], 1)
        self.patch(directly, "SLOW_FOR", 0.0)
        await self.fill(file, body)
        self.assertGreater(self.disk.calls[DIRECT], 1)
        self.assertEqual(await self.content(file), body)
        file.close()


class SlowDiskTests(SynchronousTestCase):
    """A disk that doesn't keep up."""

    def test_one_late_write(self) -> None:
        decides = Directly()
        decides.wrote(MIB, 3 * MIB / FAST, 1.0)
        self.assertTrue(decides.may(1.0))

    def test_a_slow_disk_is_tried_again(self) -> None:
        decides = Directly()
        for now in (1.0, 2.0):
            self.assertTrue(decides.may(now))
            decides.wrote(MIB, 3 * MIB / FAST, now)
        self.assertFalse(decides.may(2.0))
        self.assertFalse(decides.may(1.99 + SLOW_FOR))
        self.assertTrue(decides.may(2.0 + SLOW_FOR))
        decides.wrote(MIB, 3 * MIB / FAST, 12.0)
        self.assertTrue(decides.may(12.0))

    def test_a_clock_set_back(self) -> None:
        decides = Directly()
        decides.wrote(MIB, 9 * MIB / FAST, 1000.0)
        self.assertTrue(decides.may(0.0))


class BacklogTests(SynchronousTestCase):
    """The bytes that wait."""

    def test_it_is_behind_before_fetches_pause(self) -> None:
        backlog = Backlog(Clock())
        backlog.add(MOST // 4 * 3 - 1)
        self.assertFalse(backlog.behind)
        backlog.add(1)
        self.assertTrue(backlog.behind)
        self.assertFalse(backlog.holds)
        backlog.drop(1, written=True)
        self.assertFalse(backlog.behind)
