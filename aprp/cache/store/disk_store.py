"""The store on disk: files that a process has in memory, and the index that all processes share.

A file stays in memory for a while after its last user has closed it, so that the next one finds it
without asking the index; with several processes, the index is asked each time.
"""

from __future__ import annotations

import functools
import random
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, TimeoutError, fail, succeed
from twisted.logger import Logger

from aprp.cache.store.contents import Contents
from aprp.cache.store.disk import Disk, SystemDisk
from aprp.cache.store.disk_file import DiskFile
from aprp.cache.store.figures import Figures
from aprp.cache.store.folder import Folder, NotReady
from aprp.cache.store.index import Index, Row
from aprp.cache.store.reader import Reader
from aprp.cache.store.store import CacheTrouble, StoredFile
from aprp.cache.store.threads import ANSWER, REST, MakeThreads, StoreThreads
from aprp.cache.store.upkeep import SOON, Place, Upkeep
from aprp.cache.store.writer import Writer
from aprp.core.cache.layout import Blocks
from aprp.core.cache.meta import Meta
from aprp.upstream.files.threads import DiskThreads

T = TypeVar("T")

MOST_IDLE = 256
"""How many files stay in memory that nobody uses."""
POLL = 0.5
"""Seconds until a process learns what the others have changed."""
TIDY = 600.0
"""Seconds after which files that nothing is stored of are deleted."""


class DiskStore:
    """A `Store` in the directory `path`, of at most `size` bytes.

    `process` numbers the processes that share the directory. The one that is `keeper` locks it, and
    puts it right at the start; None is kept until it has. `shared`: there are others.
    """

    _log = Logger()

    def __init__(
        self,
        path: str,
        size: int,
        reactor: Any,
        *,
        process: int = 0,
        keeper: bool = True,
        shared: bool = False,
        disk: Disk | None = None,
        threads: MakeThreads = DiskThreads,
        draw: random.Random | None = None,
    ) -> None:
        self.figures = Figures()
        self.reactor = reactor
        self.keeper = keeper
        self._shared = shared
        self._draw = draw or random.SystemRandom()
        self._disk = disk or SystemDisk()
        self.folder = Folder(path, self._disk)
        self.threads = StoreThreads(reactor, self.figures, threads)
        self.threads.on_broken = self._broken
        self.contents = Contents(self)
        self.upkeep = Upkeep(self.folder, self.threads, reactor, self.figures, size, process)
        self.upkeep.on_evicted = self._evicted
        self.upkeep.on_missing = self._missing
        self.writer = Writer(self.folder, self.threads, self.upkeep, self.figures)
        self.reader = Reader(self.folder, self.threads, reactor, self.figures, self._lost)
        self._files: dict[int, DiskFile] = {}
        self._live: dict[bytes, list[DiskFile]] = {}
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._dying: set[int] = set()  # files that the index is about to forget
        self._index: Index | None = None
        self._lock = -1
        self._closed = False
        self._reopening: Any = None
        self._tidying: Any = None
        self._polling: Any = None
        self._seen = 0
        self.opened: Deferred[None] = self._open()
        """Fires once it can be used or is known to be unusable; a failure has been logged."""

    @property
    def usable(self) -> bool:
        """Whether it is open, and the disk isn't left alone for now."""
        return self._index is not None and not self.threads.resting

    @property
    def size(self) -> int:
        """The most bytes that it may take on disk."""
        return self.upkeep.size

    # Store

    def find(self, key: bytes) -> Deferred[tuple[StoredFile, ...]]:
        if self._reopening is not None or self.threads.resting:
            return fail(CacheTrouble("the cache is left alone for a while after a failure"))
        if key in self._known and not self._shared:
            self._known.move_to_end(key)
            return succeed(self._used(self._live.get(key, [])))
        done = self.run(lambda index: index.find(key))
        return done.addCallback(lambda rows: self._used(self._adopt(key, rows)))

    def create(self, key: bytes, meta: Meta, pinned: bool = False) -> Deferred[StoredFile]:
        def create(index: Index) -> tuple[int, list[int], list[Row]]:
            number, replaced = index.create(key, meta, pinned)
            return number, replaced, index.find(key)

        def created(result: tuple[int, list[int], list[Row]]) -> StoredFile:
            number, replaced, rows = result
            self._forget(key, replaced)
            self._adopt(key, rows)
            if number not in self._files:
                raise CacheTrouble("another process has replaced the file already")
            return self._used([self._files[number]])[0]

        return self.run(create).addCallback(created)

    def remove(self, key: bytes) -> Deferred[int]:
        def removed(numbers: list[int]) -> int:
            self._forget(key, numbers)
            return len(numbers)

        return self.run(lambda index: index.remove(key)).addCallback(removed)

    def close(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._close())

    # Called by its files

    def update(self, file: DiskFile, meta: Meta) -> Deferred[None]:
        return self.run(lambda index: index.update(file.id, file.key, meta))

    def doom(self, file: DiskFile) -> None:
        """Have a file no longer found; it is deleted when nobody uses it."""
        self.run(lambda index: index.doom([file.id])).addErrback(_known_already)
        self._forget(file.key, [file.id])

    def closed(self, file: DiskFile) -> None:
        """A file has no users any more."""
        if file.doomed:
            self._delete(file)
        elif len(self._known) > MOST_IDLE:
            self._let_go()

    # Opening, and what goes wrong later

    def _open(self) -> Deferred[None]:
        def job() -> list[str]:
            said: list[str] = []
            if self.keeper:
                if self._lock >= 0:
                    self._disk.close(self._lock)
                    self._lock = -1
                self._lock = self.folder.claim()
                self._index = self.folder.recover(self._draw, said.append)
            else:
                self._index = self.folder.open_index(self._draw)
                self._seen = 0
            self.upkeep.index = self._index
            return said

        def opened(said: list[str]) -> None:
            self._reopening = None
            self.upkeep.start_over()
            for each in said:
                self._log.warn("cache: {said}", said=each)
            if self.keeper and not self._closed:
                Deferred.fromCoroutine(self._sweep()).addErrback(_known_already)
            self.upkeep.now()
            if self._shared and self._polling is None:
                self._polling = self.reactor.callLater(POLL, self._poll)
            if self._tidying is None:
                self._tidying = self.reactor.callLater(TIDY, self._tidy)

        def refused(failure: Any) -> None:
            if failure.check(NotReady):
                self._reopening = self.reactor.callLater(SOON, self._reopen)
                return
            failure.trap(CacheTrouble)
            self.threads.say(f"{failure.value}; until then nothing is cached")
            self._broken()

        return self.threads.index(job, None).addCallbacks(opened, refused)

    async def _sweep(self) -> None:
        """Delete the data files that the index doesn't have, then allow writing."""
        removed = 0
        for low in range(256):
            removed += await self.run(functools.partial(self.folder.sweep, low), None)
        await self.run(lambda index: index.set_counter("swept", 1))
        if removed:
            self._log.info("cache: {n} data files without an entry were deleted", n=removed)
        self.upkeep.now()

    def _broken(self) -> None:
        """Stop using the index, and open it again in a while."""
        if self._closed or self._reopening is not None:
            return
        self._reopening = self.reactor.callLater(REST, self._reopen)
        index, self._index, self.upkeep.index = self._index, None, None
        if index is not None:
            self.threads.index(index.connection.close, None).addErrback(_known_already)
        for file in list(self._files.values()):
            file.doomed = True
            for chunk in list(file.chunks):
                file.lose(chunk, None)
        self._files.clear()
        self._live.clear()
        self._known.clear()
        self.upkeep.start_over()
        self.writer.refuse()

    def _reopen(self) -> None:
        self._reopening = None
        self._open()

    def _poll(self) -> None:
        """Learn of files that other processes have replaced, and of their blocks."""
        numbers = list(self._files)
        used = [number for number, file in self._files.items() if file.users]

        def look(index: Index) -> tuple[list[int], dict[int, dict[int, Blocks]]]:
            seen, self._seen = self._seen, index.seen()
            if seen == self._seen:
                return [], {}
            return index.doomed_among(numbers), {each: index.chunks.of(each) for each in used}

        def looked(found: tuple[list[int], dict[int, dict[int, Blocks]]]) -> None:
            doomed, chunks = found
            for number, stored in chunks.items():
                if number in self._files:
                    self._renew(self._files[number], stored)
            for number in doomed:
                file = self._files.get(number)
                if file is not None and file.users:
                    self._forget(file.key, [number])
                elif file is not None:  # whoever doomed it deletes it
                    file.doomed = True
                    self._live[file.key] = [f for f in self._live[file.key] if f is not file]
                    del self._files[number]

        def again(_: object) -> None:
            if not self._closed:
                self._polling = self.reactor.callLater(POLL, self._poll)

        self.run(look).addCallbacks(looked, _known_already).addBoth(again)

    def _tidy(self) -> None:
        in_use = frozenset(self._files)
        self._tidying = self.reactor.callLater(TIDY, self._tidy)
        self.run(lambda index: index.delete_empty(in_use)).addErrback(_known_already)

    async def _close(self) -> None:
        if not self._closed and self._index is not None:
            with suppress(TimeoutError):
                await self._all_written().addTimeout(ANSWER, self.reactor)
        self._closed = True
        self.upkeep.close()
        for timer in (self._reopening, self._tidying, self._polling):
            if timer is not None and timer.active():
                timer.cancel()

        def job() -> None:
            if self._index is not None:
                self._index.connection.close()
            if self._lock >= 0:
                self._disk.close(self._lock)
            self._index, self._lock = None, -1

        await self.threads.index(job).addErrback(_known_already)
        self.threads.close()

    def _all_written(self) -> Deferred[None]:
        return self.writer.idle().addCallback(lambda _: self.upkeep.now())

    # Files in memory

    def run(self, job: Callable[[Index], T], wait: float | None = ANSWER) -> Deferred[T]:
        """Run a job with the index, in its thread."""

        def with_index() -> T:
            if self._index is None:
                raise CacheTrouble("the index is not open")
            return job(self._index)

        return self.threads.index(with_index, wait)

    def _used(self, files: Sequence[DiskFile]) -> tuple[DiskFile, ...]:
        for file in files:
            file.users += 1
        return tuple(files)

    def _adopt(self, key: bytes, rows: Sequence[Row]) -> list[DiskFile]:
        """Make what the index said of a key what is known of it."""
        numbers = {row.id for row in rows}
        self._forget(key, [each.id for each in self._live.get(key, []) if each.id not in numbers])
        files = [self._in_memory(row) for row in rows if row.id not in self._dying]
        files = [file for file in files if not file.doomed]
        self._live[key] = files
        self._known[key] = None
        self._known.move_to_end(key)
        return files

    def _in_memory(self, row: Row) -> DiskFile:
        file = self._files.get(row.id)
        if file is None:
            file = self._files[row.id] = DiskFile(self, row)
        elif self._shared:
            file.meta, file.pinned = row.meta, row.pinned
            self._renew(file, row.chunks)
        return file

    def _renew(self, file: DiskFile, stored: dict[int, Blocks]) -> None:
        """Have a file know the chunks that the index has."""
        for chunk in set(file.chunks) - set(stored):
            if not self.upkeep.is_dirty(file.id, chunk):
                file.lose(chunk, None)
        for chunk, blocks in stored.items():
            mine = file.chunks.get(chunk)
            if mine is None or blocks.bits & ~mine.bits:
                file.keep(chunk, blocks)

    def _forget(self, key: bytes, numbers: Sequence[int]) -> None:
        """Have files no longer found in memory."""
        for number in numbers:
            file = self._files.get(number)
            if file is None:
                self._delete_unknown(number)
                continue
            if not file.doomed:
                file.doomed = True
                live = self._live.get(key, [])
                if file in live:
                    live.remove(file)
            if not file.users:
                self._delete(file)

    def _let_go(self) -> None:
        """Forget keys whose files nobody uses, the least recently found first."""
        for key in list(self._known):
            if len(self._known) <= MOST_IDLE:
                return
            files = self._live.get(key, [])
            if not any(file.users for file in files):
                del self._known[key]
                for file in self._live.pop(key, []):
                    self._files.pop(file.id, None)

    def _delete(self, file: DiskFile) -> None:
        if self._files.pop(file.id, None) is None:
            return
        chunks = [(file.id, chunk) for chunk in file.chunks]
        self.upkeep.forget(chunks)
        self._unlink(chunks)
        self._delete_unknown(file.id)

    def _delete_unknown(self, number: int) -> None:
        """Delete a doomed file, whatever is in memory of it."""
        self._dying.add(number)
        deleted = self.run(lambda index: index.delete([number]), None)
        deleted.addCallbacks(self._unlink, _known_already)
        deleted.addCallback(lambda _: self._dying.discard(number))

    def _unlink(self, chunks: Sequence[Place]) -> None:
        if chunks:
            work = self.threads.write(lambda: self.folder.unlink(chunks))
            work.addErrback(_known_already)

    def _evicted(self, places: Sequence[Place]) -> None:
        self.upkeep.forget(places)
        for number, chunk in places:
            file = self._files.get(number)
            if file is not None:
                file.lose(chunk, None)
        self._unlink(places)

    def _missing(self, places: Sequence[Place]) -> None:
        """Another process has deleted the files of these chunks."""
        self._unlink(places)
        for number, _ in places:
            file = self._files.get(number)
            if file is not None:
                self._forget(file.key, [number])

    async def lose(self, number: int, chunk: int, blocks: list[int] | None) -> None:
        """Drop blocks of a file that may not be in memory; None: the whole chunk."""
        file = self._files.get(number)
        if file is not None:
            file.lose(chunk, blocks)
        await self._tell_lost(number, chunk, blocks)

    def _lost(self, file: DiskFile, chunk: int, blocks: list[int] | None) -> None:
        if file.id in self._files:
            self._tell_lost(file.id, chunk, blocks).addErrback(_known_already)

    def _tell_lost(self, number: int, chunk: int, blocks: list[int] | None) -> Deferred[None]:
        """Tell the index of blocks that can't be read."""
        if blocks is None:
            self.upkeep.forget([(number, chunk)])
            self._unlink([(number, chunk)])
        else:
            self.upkeep.lose((number, chunk), blocks)

        def tell(index: Index) -> None:
            with index.changing():
                if blocks is None:
                    index.chunks.drop([(number, chunk)])
                else:
                    index.chunks.lose(number, chunk, blocks)

        return self.run(tell)


def _known_already(failure: Any) -> None:
    """Let a trouble be that has been logged."""
    failure.trap(CacheTrouble)
