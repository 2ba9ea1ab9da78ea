"""A store of the cache in memory, for tests of what is built on stores."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, TypeVar

from twisted.internet.defer import Deferred

from aprp.cache.store.store import CacheTrouble, Store, StoredFile, Verified
from aprp.core.cache.extents import BLOCK, Extents, around
from aprp.core.cache.meta import Meta

T = TypeVar("T")


@dataclass
class MemoryVerified:
    start: int
    stop: int
    data: bytes | None
    descriptor: int = -1
    offset: int = 0
    released: int = 0

    def release(self) -> None:
        self.released += 1
        assert self.released == 1, "released twice"
        if self.descriptor >= 0:
            os.close(self.descriptor)


class MemoryFile:
    """A `StoredFile`. `body` has its bytes; change them to flip bits."""

    def __init__(self, store: MemoryStore, number: int, key: bytes, meta: Meta) -> None:
        self.id, self.key, self.meta = number, key, meta
        self.doomed = False
        self.present = Extents()
        self.body = bytearray()
        self.users = 1
        self.touched: list[tuple[int, int]] = []
        self._store = store

    def write(self, at: int, data: bytes) -> Deferred[bool]:
        stop = at + len(data)
        assert at % BLOCK == 0 and data, "whole blocks"
        assert stop % BLOCK == 0 or stop == self.meta.complete, "whole blocks"
        kept = self._store.admits(self, at, data) and not self.doomed

        def keep() -> bool:
            if kept:
                self.body.extend(bytes(max(0, stop - len(self.body))))
                self.body[at:stop] = data
                self.present.add(at, stop)
            return kept

        return self._store.ended(keep)

    def read(self, start: int, stop: int, into_memory: bool = False) -> Deferred[Verified]:
        assert self.present.run_at(start) is not None, "only what is present can be read"

        def verified() -> Verified:
            reached = min(stop, self.present.run_at(start) or start)
            if reached <= start:
                raise CacheTrouble("the block was evicted")
            data = bytes(self.body[start:reached])
            if into_memory:
                return MemoryVerified(start, reached, data)
            descriptor = os.memfd_create("stored")
            os.write(descriptor, data)
            return MemoryVerified(start, reached, None, descriptor, 0)

        return self._store.ended(verified)

    def update(self, meta: Meta) -> Deferred[None]:
        self.meta = meta
        return self._store.ended(lambda: None)

    def doom(self) -> None:
        self.doomed = True
        self._store.files.pop(self.id, None)

    def touch(self, start: int, stop: int) -> None:
        self.touched.append((start, stop))

    def close(self) -> None:
        self.users -= 1
        assert self.users >= 0, "closed twice"

    def evict(self, start: int, stop: int) -> None:
        """Lose the blocks that have these bytes."""
        lost = around(start, stop, self.meta.complete)
        self.present.remove(lost.start, lost.stop)


@dataclass
class MemoryStore:
    """A `Store`. Set `trouble` to have everything fail, and `hold` to have everything wait."""

    trouble: str | None = None
    hold: bool = False
    admits: Callable[[MemoryFile, int, bytes], bool] = lambda file, at, data: True
    files: dict[int, MemoryFile] = field(default_factory=dict)
    waiting: list[Callable[[], None]] = field(default_factory=list)
    numbers: count[int] = field(default_factory=lambda: count(1))

    def ended(self, job: Callable[[], T]) -> Deferred[T]:
        """Do it now, or when it is let go on, and return a Deferred of what it returns."""
        done: Deferred[T] = Deferred()

        def work() -> None:
            if done.called:
                return
            if self.trouble is not None:
                done.errback(CacheTrouble(self.trouble))
                return
            try:
                result = job()
            except CacheTrouble as error:
                done.errback(error)
            else:
                done.callback(result)

        if self.hold:
            self.waiting.append(work)
        else:
            work()
        return done

    def go_on(self, jobs: int | None = None) -> None:
        """Do so many of the jobs that wait; None: all, and let later ones not wait."""
        self.hold = self.hold and jobs is not None
        for _ in range(len(self.waiting) if jobs is None else jobs):
            self.waiting.pop(0)()

    def find(self, key: bytes) -> Deferred[tuple[StoredFile, ...]]:
        def found() -> tuple[StoredFile, ...]:
            files = [file for file in self.files.values() if file.key == key]
            for file in files:
                file.users += 1
            return tuple(reversed(files))

        return self.ended(found)

    def create(self, key: bytes, meta: Meta, pinned: bool = False) -> Deferred[StoredFile]:
        def created() -> StoredFile:
            for file in list(self.files.values()):
                if file.key == key and file.meta.vary == meta.vary:
                    file.doom()
            file = self.files[number] = MemoryFile(self, number, key, meta)
            return file

        number = next(self.numbers)
        return self.ended(created)

    def remove(self, key: bytes) -> Deferred[int]:
        def removed() -> int:
            found = [file for file in self.files.values() if file.key == key]
            for file in found:
                file.doom()
            return len(found)

        return self.ended(removed)

    def close(self) -> Deferred[None]:
        return self.ended(lambda: None)


if TYPE_CHECKING:
    _store: type[Store] = MemoryStore
