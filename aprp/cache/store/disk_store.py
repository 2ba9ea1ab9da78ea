"""The store on disk: data files, and the index that all processes share."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, TimeoutError, fail, succeed

from aprp.cache.store.contents import Contents
from aprp.cache.store.disk import Disk, SystemDisk
from aprp.cache.store.disk_file import DiskFile
from aprp.cache.store.figures import Figures
from aprp.cache.store.files import Files
from aprp.cache.store.folder import Folder
from aprp.cache.store.index import Index, Row
from aprp.cache.store.opening import Opening, known_already
from aprp.cache.store.reader import Reader
from aprp.cache.store.store import CacheTrouble, Numbered, StoredFile, unheard
from aprp.cache.store.threads import ANSWER, MakeThreads, StoreThreads
from aprp.cache.store.tools import Tools
from aprp.cache.store.upkeep import Upkeep
from aprp.cache.store.writer import Writer
from aprp.core.cache.layout import Blocks
from aprp.core.cache.meta import Meta
from aprp.upstream.files.threads import DiskThreads

T = TypeVar("T")

POLL = 0.5
"""Seconds until a process learns what the others have changed."""
TIDY = 600.0
"""Seconds after which files are deleted that nothing is stored of: all this time, since another
process may have created one just now."""


class DiskStore:
    """A `Store` in the directory `path`, of at most `size` bytes.

    `process` numbers the processes that share the directory. The one that is `keeper` locks it, and
    puts it right at the start; None is kept until it has. `shared`: there are others.
    """

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
        self.folder = Folder(path, disk or SystemDisk())
        self.threads = StoreThreads(reactor, self.figures, threads)
        tools = Tools(self.folder, self.threads, reactor, self.figures)
        self.upkeep = Upkeep(tools, size, process)
        self._opening = Opening(tools, self.upkeep, keeper, shared, self._opened, self._lost)
        self.files = Files(self, tools, self.upkeep, self._opening, shared)
        self.contents = Contents(self)
        self.writer = Writer(tools, self.upkeep)
        self.reader = Reader(tools, self.files.lose)
        self._draw = draw or random.SystemRandom()
        self._shared = shared
        self._closed = False
        self._tidying: Any = None
        self._polling: Any = None
        self._seen = 0
        self._empty: list[int] = []
        self.opened: Deferred[None] = self._opening.open()
        """Fires once it can be used or is known to be unusable; a failure has been logged."""

    @property
    def usable(self) -> bool:
        """Whether it is open, and the disk isn't left alone for now."""
        return self._opening.is_open and not self.threads.resting

    @property
    def why_unusable(self) -> str:
        """What went wrong last, for operators."""
        return self.threads.trouble

    @property
    def size(self) -> int:
        """The most bytes that it may take on disk."""
        return self.upkeep.size

    def resize(self, size: int) -> None:
        """Change how many bytes it may take, and make room if these are fewer."""
        self.upkeep.size = size
        self.upkeep.now()

    # Store

    def find(self, key: bytes) -> Deferred[tuple[StoredFile, ...]]:
        if self._opening.waits or self.threads.resting:
            return fail(CacheTrouble("the cache is left alone for a while after a failure"))
        known = self.files.known(key)
        if known is not None:
            return succeed(_used(known))
        done = self.run(lambda index: index.find(key))
        return done.addCallback(lambda rows: _used(self.files.adopt(key, rows)))

    def create(
        self, key: bytes, meta: Meta, pinned: bool = False, numbered: Numbered = unheard
    ) -> Deferred[StoredFile]:
        number = self._draw.getrandbits(63)
        numbered(number)

        def create(index: Index) -> tuple[list[int], list[Row]]:
            replaced = index.create(number, key, meta, pinned)
            return replaced, index.find(key)

        def created(result: tuple[list[int], list[Row]]) -> StoredFile:
            replaced, rows = result
            self.files.forget(key, replaced)
            self.files.adopt(key, rows)
            if number not in self.files.by_number:
                raise CacheTrouble("another process has replaced the file already")
            return _used([self.files.by_number[number]])[0]

        return self.run(create).addCallback(created)

    def remove(self, key: bytes) -> Deferred[int]:
        def removed(numbers: list[int]) -> int:
            self.files.forget(key, numbers)
            return len(numbers)

        return self.run(lambda index: index.remove(key)).addCallback(removed)

    def close(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._close())

    # Called by its files

    def update(self, file: DiskFile, meta: Meta) -> Deferred[None]:
        done = self.run(lambda index: index.update(file.id, file.key, meta))
        return done.addCallback(lambda replaced: self.files.forget(file.key, replaced))

    def doom(self, file: DiskFile) -> None:
        """Have a file no longer found; it is deleted when nobody uses it."""
        self.run(lambda index: index.doom([file.id])).addErrback(known_already)
        self.files.forget(file.key, [file.id])

    def run(self, job: Callable[[Index], T], wait: float | None = ANSWER) -> Deferred[T]:
        """Run a job with the index, in its thread."""
        return self._opening.run(job, wait)

    # The index

    def _opened(self) -> None:
        if self._closed:
            return
        self._seen = 0
        if self._shared and self._polling is None:
            self._polling = self.reactor.callLater(POLL, self._poll)
        if self._tidying is None:
            self._tidying = self.reactor.callLater(TIDY, self._tidy)

    def _lost(self) -> None:
        self.files.clear()
        self.upkeep.start_over()
        self.writer.refuse()

    def learn(self) -> Deferred[None]:
        """Learn of files that other processes have replaced or removed, and of their blocks.

        It fires also if that failed.
        """
        # What is found during a look may be as it was before; the second look comes after that.
        return self._look().addCallback(lambda _: self._look())

    def _look(self) -> Deferred[None]:
        numbers = list(self.files.by_number)
        used = [number for number, file in self.files.by_number.items() if file.users]

        def look(index: Index) -> tuple[list[int], dict[int, dict[int, Blocks]]]:
            seen, self._seen = self._seen, index.seen()
            if seen == self._seen:
                return [], {}
            return index.doomed_among(numbers), {each: index.chunks.of(each) for each in used}

        def looked(found: tuple[list[int], dict[int, dict[int, Blocks]]]) -> None:
            doomed, chunks = found
            for number, stored in chunks.items():
                if number in self.files.by_number:
                    self.files.renew(self.files.by_number[number], stored)
            for number in doomed:
                self.files.doomed_elsewhere(number)
            if not self.files.by_number.keys() <= set(numbers):
                self._seen = 0  # the next look is at all files

        return self.run(look).addCallbacks(looked, known_already)

    def _poll(self) -> None:
        def again(_: object) -> None:
            if not self._closed:
                self._polling = self.reactor.callLater(POLL, self._poll)

        self._look().addBoth(again)

    def _tidy(self) -> None:
        """Delete the files of which nothing was stored the last time, nor is now."""
        unused = [number for number in self._empty if number not in self.files.by_number]

        def tidy(index: Index) -> None:
            index.delete_empty(unused)
            self._empty = index.empty()

        self._tidying = self.reactor.callLater(TIDY, self._tidy)
        self.run(tidy).addErrback(known_already)

    async def _close(self) -> None:
        if not self._closed and self._opening.is_open:
            with suppress(TimeoutError):
                await self._all_written().addTimeout(ANSWER, self.reactor)
        self._closed = True
        self.upkeep.close()
        for timer in (self._tidying, self._polling):
            if timer is not None and timer.active():
                timer.cancel()
        await self._opening.close()
        self.threads.close()

    def _all_written(self) -> Deferred[None]:
        return self.writer.idle().addCallback(lambda _: self.upkeep.now())


def _used(files: Sequence[DiskFile]) -> tuple[DiskFile, ...]:
    for file in files:
        file.users += 1
    return tuple(files)
