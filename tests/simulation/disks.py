"""The disk of a simulated daemon's cache: it fails, lies, hangs, and loses what wasn't synced.

It keeps data files in memory. The index is SQLite's own, in memory too.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from aprp.cache.store import disk_store
from aprp.upstream.splice import file_splice
from tests.simulation.clock import SimulatedClock
from tests.simulation.scenario import EPOCH, Scenario
from tests.simulation.sockets import SimulatedSocket

PAGE = 4096
SNAPSHOTS = 8
"""States of the index that a loss of power may lead back to."""
_ERRORS = {"eio": errno.EIO, "full": errno.ENOSPC, "denied": errno.EACCES}


class _Node:
    def __init__(self, number: int) -> None:
        self.number = number
        self.data = bytearray()
        self.pages: set[int] = set()
        self.written = 0

    def stat(self) -> os.stat_result:
        size, when = len(self.data), self.written
        plain = (0o100600, self.number, 1, 1, os.geteuid(), 0, size, 0, 0, 0)
        more = {"st_blocks": 8 * len(self.pages), "st_mtime_ns": when, "st_ctime_ns": when}
        return os.stat_result(plain, more)


class SimulatedDisk:
    """A `Disk` that follows the faults of a scenario. It outlives the daemon that uses it."""

    def __init__(self, scenario: Scenario) -> None:
        self.spec = scenario.disk
        self.rng = random.Random(f"disk {scenario.seed}")
        self.clock: SimulatedClock | None = None
        self.files: dict[str, _Node] = {}
        self.folders: set[str] = set()
        self.open_files: dict[int, _Node] = {}
        self.indexes: dict[str, _Connection] = {}
        self._number = 0
        self._reclaimed = 0
        self._direct = random.Random(f"direct {scenario.seed}").random() < 0.7

    # Faults

    def faulty(self, *kinds: str) -> str | None:
        """Return which of these faults the disk has now."""
        assert self.clock is not None
        now = self.clock.rightNow - EPOCH
        for each in self.spec.faults:
            if each.kind in kinds and each.since <= now < each.until:
                return each.kind
        return None

    def until(self, kind: str) -> float:
        """Return for how many seconds more the disk has a fault."""
        assert self.clock is not None
        now = self.clock.rightNow - EPOCH
        ends = [f.until for f in self.spec.faults if f.kind == kind and f.since <= now < f.until]
        return max(ends, default=now) - now

    def _fail(self, *kinds: str) -> None:
        kind = self.faulty(*kinds)
        if kind is not None and self.rng.random() < 0.7:
            number = _ERRORS[kind.partition("-")[0]]
            raise OSError(number, os.strerror(number))

    def crash(self, power: bool) -> None:
        """The daemon is killed, or the machine loses its power with all that isn't synced."""
        self.open_files.clear()
        for index in self.indexes.values():
            index.crash(self.rng if power else None)
        for path, node in list(self.files.items()):
            what = self.rng.random()
            if not power or "/data/" not in path:
                continue
            if what < 0.2:
                del self.files[path]
            elif what < 0.4:
                del node.data[self.rng.randrange(len(node.data) + 1) :]
            elif what < 0.7 and node.data:
                at = self.rng.randrange(len(node.data))
                stop = min(len(node.data), at + 2 * 65536)
                node.data[at:stop] = bytes(stop - at)

    # What the store calls

    def open(self, path: str, flags: int) -> int:
        self._fail("eio-open", "denied")
        node = self.files.get(path)
        if node is None:
            if not flags & os.O_CREAT or os.path.dirname(path) not in self.folders:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            self._number += 1
            node = self.files[path] = _Node(self._number)
        descriptor = 1_000_000 + self.rng.getrandbits(40)
        self.open_files[descriptor] = node
        return descriptor

    def close(self, descriptor: int) -> None:
        del self.open_files[descriptor]

    def read_into(self, descriptor: int, buffer: memoryview, offset: int) -> int:
        self._fail("eio-read")
        found = self.open_files[descriptor].data[offset : offset + len(buffer)]
        if found and self.faulty("flip") and self.rng.random() < 0.3:
            found[self.rng.randrange(len(found))] ^= 1 << self.rng.randrange(8)
        buffer[: len(found)] = found
        return len(found)

    def cached(self, descriptor: int, offset: int, count: int) -> bool:
        """Return whether bytes are in memory, as if others had used it for theirs now and then."""
        self._reclaimed = (self._reclaimed + 1) % 5
        return bool(self._reclaimed)

    def prefetch(self, descriptor: int, offset: int, count: int) -> None:
        """Do nothing: reading takes no time of its own."""

    def write(self, descriptor: int, data: memoryview, offset: int) -> int:
        self._fail("eio-write", "full")
        node = self.open_files[descriptor]
        node.written += 1
        count = self.rng.choice((len(data), len(data), max(1, len(data) // 2)))
        if self.faulty("lose") and self.rng.random() < 0.3:
            return count
        node.data.extend(bytes(max(0, offset + count - len(node.data))))
        node.data[offset : offset + count] = data[:count]
        node.pages.update(range(offset // PAGE, -(-(offset + count) // PAGE)))
        return count

    def write_directly(self, descriptor: int, data: memoryview, offset: int) -> int:
        assert offset % PAGE == len(data) % PAGE == 0, "only whole pages can be written directly"
        if not self._direct:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return self.write(descriptor, data, offset)

    def fstat(self, descriptor: int) -> os.stat_result:
        return self.open_files[descriptor].stat()

    def stat(self, path: str) -> os.stat_result:
        node = self.files.get(path)
        if node is None and path not in self.folders:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return _Node(0).stat() if node is None else node.stat()

    def unlink(self, path: str) -> None:
        self._fail("eio-unlink")
        if self.files.pop(path, None) is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    def rename(self, path: str, to: str) -> None:
        self.files[to] = self.files.pop(path)
        self.indexes.pop(path, None)

    def mkdir(self, path: str) -> None:
        self._fail("full", "denied")
        if path in self.folders:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        self.folders.add(path)

    def names(self, path: str) -> list[str]:
        return [os.path.basename(each) for each in self.files if os.path.dirname(each) == path]

    def lock(self, descriptor: int) -> None:
        """Nobody else is there."""

    def connect(self, path: str) -> Any:
        self._fail("eio-open")
        if path not in self.files:
            self._number += 1
            self.files[path] = _Node(self._number)
        connection = self.indexes.setdefault(path, _Connection(self))
        connection.text_factory = str
        return connection

    @property
    def used(self) -> int:
        """Bytes of all data files."""
        return sum(PAGE * len(node.pages) for node in self.files.values())


class _Connection:
    """The connection to an index, which is kept when it is closed."""

    def __init__(self, disk: SimulatedDisk) -> None:
        self._disk = disk
        self._real = sqlite3.connect(":memory:", isolation_level=None)
        self._states: deque[bytes] = deque(maxlen=SNAPSHOTS)

    @property
    def text_factory(self) -> Any:
        return self._real.text_factory

    @text_factory.setter
    def text_factory(self, factory: Any) -> None:
        self._real.text_factory = factory

    def execute(self, sql: str, values: Any = ()) -> Any:
        if self._disk.faulty("index") and self._disk.rng.random() < 0.3:
            raise sqlite3.OperationalError("disk I/O error")
        if self._disk.faulty("malformed") and self._disk.rng.random() < 0.3:
            raise sqlite3.DatabaseError("database disk image is malformed")
        done = self._real.execute(sql, values)
        if sql == "COMMIT":
            self._states.append(self._real.serialize())
        return done

    def executescript(self, sql: str) -> Any:
        return self._real.executescript(sql)

    def close(self) -> None:
        if self._real.in_transaction:
            self._real.execute("ROLLBACK")

    def crash(self, rng: random.Random | None) -> None:
        self.close()
        if self._states and rng is not None:
            state = rng.choice(tuple(self._states))
            self._real = sqlite3.connect(":memory:", isolation_level=None)
            self._real.deserialize(state)


class SimulatedThreads:
    """Does the jobs of so many threads, each when the disk has had its time for it."""

    def __init__(self, disk: SimulatedDisk, clock: SimulatedClock, most: int) -> None:
        self._disk = disk
        self._clock = clock
        self._idle = most
        self._waiting: deque[Callable[[], None]] = deque()

    def run(
        self, job: Callable[[], Any], unwanted: Callable[[Any], object] | None = None
    ) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()

        def work() -> None:
            if done.called:  # nobody waits for it, and it hasn't begun
                self._next()
                return
            delay = self._disk.spec.latency * self._disk.rng.random() * 2
            self._clock.callLater(delay + self._disk.until("hang"), ended)

        def ended() -> None:
            result: Any
            try:
                result = job()
            except Exception:
                result = Failure()
            self._next()
            if not done.called:
                done.callback(result)
            elif unwanted is not None and not isinstance(result, Failure):
                unwanted(result)

        self._waiting.append(work)
        self._begin()
        return done

    def close(self) -> None:
        """They end by themselves."""

    def _next(self) -> None:
        self._idle += 1
        self._clock.callLater(0, self._begin)

    def _begin(self) -> None:
        while self._idle and self._waiting:
            self._idle -= 1
            self._waiting.popleft()()


class _Sendfile:
    """What `aprp.upstream.splice.file_splice` asks of `os`."""

    def __init__(self, disk: SimulatedDisk, sockets: Mapping[int, SimulatedSocket]) -> None:
        self._disk = disk
        self._sockets = sockets

    def sendfile(self, sink: int, descriptor: int, offset: int, count: int) -> int:
        data = self._disk.open_files[descriptor].data
        found = self._sockets.get(sink)
        if found is None:
            raise OSError(errno.EBADF, "Bad file descriptor")
        if offset >= len(data):
            return 0
        return found.send(memoryview(bytes(data[offset : offset + count])))


@contextlib.contextmanager
def simulated(
    disk: SimulatedDisk, clock: SimulatedClock, sockets: Mapping[int, SimulatedSocket]
) -> Iterator[None]:
    """Have stores that are opened use this disk."""

    class Store(disk_store.DiskStore):
        def __init__(self, *args: Any, **more: Any) -> None:
            def threads(_: Any, most: int) -> SimulatedThreads:
                return SimulatedThreads(disk, clock, most)

            super().__init__(*args, **more, disk=disk, threads=threads, draw=disk.rng)

    disk.clock = clock
    with (
        mock.patch.object(disk_store, "DiskStore", Store),
        mock.patch.object(file_splice, "os", _Sendfile(disk, sockets)),
    ):
        yield
