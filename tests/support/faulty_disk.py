"""A disk that fails on command, and a case with a store on it."""

from __future__ import annotations

import os
import random
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from aprp.cache.store.disk import SystemDisk
from aprp.cache.store.disk_store import DiskStore
from aprp.cache.store.store import StoredFile
from aprp.core.cache.extents import BLOCK
from aprp.core.cache.meta import Meta
from aprp.core.http.fields import Fields
from tests.support.eventually import eventually
from tests.support.patience import HANG, PATIENCE

MIB = 1024 * 1024


class FaultyDisk(SystemDisk):
    """The real file system, but for what `fails` says: an errno by the name of the method.

    What `slow` names waits until `gate` is set. `calls` counts.
    """

    def __init__(self) -> None:
        self.fails: dict[str, int] = {}
        self.slow: set[str] = set()
        self.gate = threading.Event()
        self.calls: Counter[str] = Counter()
        self.open_now: set[int] = set()
        self.reclaimed: set[int] = set()
        """Blocks of all data files that have left the page cache."""

    def _before(self, name: str) -> None:
        self.calls[name] += 1
        if name in self.slow:
            assert self.gate.wait(PATIENCE)
        if name in self.fails:
            number = self.fails[name]
            raise OSError(number, os.strerror(number))

    def open(self, path: str, flags: int) -> int:
        self._before("open")
        descriptor = super().open(path, flags)
        self.open_now.add(descriptor)
        return descriptor

    def close(self, descriptor: int) -> None:
        self.open_now.discard(descriptor)
        super().close(descriptor)

    def read_into(self, descriptor: int, buffer: memoryview, offset: int) -> int:
        self._before("read")
        return super().read_into(descriptor, buffer, offset)

    def cached(self, descriptor: int, offset: int, count: int) -> bool:
        self._before("cached")
        blocks = range(offset // BLOCK, -(-(offset + count) // BLOCK))
        return self.reclaimed.isdisjoint(blocks)

    def write(self, descriptor: int, data: memoryview, offset: int) -> int:
        self._before("write")
        return super().write(descriptor, data[:100_000], offset)  # a short write, as is allowed

    def write_directly(self, descriptor: int, data: memoryview, offset: int) -> int:
        self._before("write")
        self._before("write directly")
        return super().write_directly(descriptor, data[: len(data) // 8192 * 4096], offset)

    def unlink(self, path: str) -> None:
        self._before("unlink")
        super().unlink(path)

    def mkdir(self, path: str) -> None:
        self._before("mkdir")
        super().mkdir(path)

    def stat(self, path: str) -> os.stat_result:
        self._before("stat")
        return super().stat(path)

    def connect(self, path: str) -> sqlite3.Connection:
        self._before("connect")
        connection = sqlite3.connect(
            path, 5.0, isolation_level=None, check_same_thread=False, factory=_Connection
        )
        connection.before = self._before
        os.chmod(path, 0o600)
        return connection


class _Connection(sqlite3.Connection):
    before: Callable[[str], None]

    def execute(self, *args: Any) -> sqlite3.Cursor:
        try:
            self.before("sql")
        except OSError as error:
            raise sqlite3.OperationalError(f"disk I/O error ({error.strerror})") from None
        return super().execute(*args)


class ThreadedClock(Clock):
    """A clock whose threads are real."""

    def callFromThread(self, function: Any, *args: Any) -> None:
        from twisted.internet import reactor

        reactor.callFromThread(function, *args)  # type: ignore[attr-defined]


def body_of(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def meta_for(size: int | None, **more: Any) -> Meta:
    return Meta(200, b"OK", Fields([(b"Content-Type", b"video/mp4")]), size, **more)


class StoreCase(TestCase):
    """Stores in a folder of the test; all are closed in the end."""

    timeout = HANG

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.disk = FaultyDisk()
        self.stores: list[DiskStore] = []
        self.addCleanup(self._end)

    def store(self, size: int = 64 * MIB, clock: Any = None, **more: Any) -> DiskStore:
        from twisted.internet import reactor

        more.setdefault("disk", self.disk)
        store = DiskStore(str(self.folder), size, clock or reactor, **more)
        self.stores.append(store)
        return store

    def _end(self) -> Deferred[None]:
        self.disk.fails.clear()
        self.disk.gate.set()
        return Deferred.fromCoroutine(self._close_all())

    async def _close_all(self) -> None:
        for store in self.stores:
            await store.close()
        # threads may still be closing what was released last
        await eventually(lambda: not self.disk.open_now, f"closing {self.disk.open_now}")

    async def film(self, store: DiskStore, key: bytes, body: bytes, **more: Any) -> StoredFile:
        """A file with this body, all of it kept."""
        file = await store.create(key, meta_for(len(body), **more))
        kept = await self.fill(file, body)
        assert kept == len(body), f"kept {kept}"
        return file

    async def fill(self, file: StoredFile, body: bytes, piece: int = MIB) -> int:
        """Write the body piece by piece; return how many bytes were kept."""
        kept = 0
        for at in range(0, len(body), piece):
            data = body[at : at + piece]
            if await file.write(at, data):
                kept += len(data)
        return kept

    async def content(self, file: StoredFile, start: int = 0, stop: int | None = None) -> bytes:
        """What the file has in the range, read by descriptors and in memory alike."""
        found = b""
        stop = file.meta.complete or 0 if stop is None else stop
        memory = False
        while start + len(found) < stop:
            verified = await file.read(start + len(found), stop, memory)
            if verified.data is None:
                found += b"".join(
                    os.pread(part.descriptor, part.size, part.offset) for part in verified.parts
                )
            else:
                found += verified.data
            verified.release()
            memory = not memory
        return found

    def data_files(self) -> list[Path]:
        return [path for path in (self.folder / "data").rglob("*") if path.is_file()]

    def on_disk(self) -> int:
        """Bytes that the folder takes, as du counts them."""
        return sum(
            _blocks(os.path.join(at, name)) * 512
            for at, _, names in os.walk(self.folder)
            for name in names
        )


def _blocks(path: str) -> int:
    try:
        return os.stat(path).st_blocks
    except FileNotFoundError:  # it has just made room
        return 0
