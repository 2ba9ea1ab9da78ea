"""A store in memory, which answers after a while and fails to order."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from aprp.cache.store.store import CacheTrouble, Numbered, StoredFile, Verified, unheard
from aprp.core.cache.extents import BLOCK, Extents
from aprp.core.cache.meta import Meta
from aprp.upstream.splice.file_splice import FilePart

Fails = Callable[[str], bool]
"""Says whether a call fails, by its name."""


class MemoryVerified:
    def __init__(self, start: int, data: bytes, in_memory: bool) -> None:
        self.start = start
        self.stop = start + len(data)
        self.data = data if in_memory else None
        self.parts: Sequence[FilePart] = ()
        self.released = False
        if not in_memory:
            with tempfile.TemporaryFile() as file:
                file.write(data)
                file.flush()
                self.parts = [FilePart(os.dup(file.fileno()), 0, len(data))]

    def release(self) -> None:
        assert not self.released
        self.released = True
        for part in self.parts:
            os.close(part.descriptor)


class MemoryFile:
    def __init__(self, store: MemoryStore, number: int, meta: Meta) -> None:
        self.id = number
        self.meta = meta
        self.doomed = False
        self.present = Extents()
        self.users = 0
        self.given: list[MemoryVerified] = []
        self.refuses = False
        """Whether writes aren't kept."""
        self._store = store
        self._data: dict[int, bytes] = {}

    def write(self, at: int, *pieces: bytes | memoryview, hurried: bool = False) -> Deferred[bool]:
        data = b"".join(pieces)
        assert at % BLOCK == 0
        assert len(data) % BLOCK == 0 or at + len(data) == self.meta.complete, (at, len(data))
        return self._store.later("write", lambda: self._write(at, data))

    def _write(self, at: int, data: bytes) -> bool:
        if self.refuses:
            return False
        for offset in range(0, len(data), BLOCK):
            self._data[at + offset] = data[offset : offset + BLOCK]
        self.present.add(at, at + len(data))
        return True

    def read(self, start: int, stop: int, into_memory: bool = False) -> Deferred[Verified]:
        self._store.reads += 1
        return self._store.later("read", lambda: self._read(start, stop, into_memory), start, self)

    def _read(self, start: int, stop: int, in_memory: bool) -> MemoryVerified:
        first = start // BLOCK * BLOCK
        blocks = b"".join(self._data[at] for at in range(first, stop, BLOCK))
        found = MemoryVerified(start, blocks[start - first : stop - first], in_memory)
        self.given.append(found)
        return found

    def lose(self, start: int, stop: int) -> None:
        """Evict those blocks."""
        self.present.remove(start, stop)

    def update(self, meta: Meta) -> Deferred[None]:
        self.meta = meta
        return self._store.later("update", lambda: None)

    def doom(self) -> None:
        self.doomed = True

    def touch(self, start: int, stop: int) -> None:
        """Do nothing."""

    def close(self) -> None:
        self.users -= 1


class MemoryStore:
    """`delay` is in seconds on the clock; None: it answers at once."""

    def __init__(self, clock: Clock, delay: float | None = 0.001) -> None:
        self.files: dict[bytes, list[MemoryFile]] = {}
        self.fails: Fails = lambda call: False
        self.delay = delay
        self.reads = 0
        self.calls: list[str] = []
        self._clock = clock
        self._numbers = 0

    def later(
        self, call: str, work: Callable[[], Any], start: int = 0, file: MemoryFile | None = None
    ) -> Deferred[Any]:
        self.calls.append(call)
        done: Deferred[Any] = Deferred()
        fails = self.fails(call)

        def end() -> None:
            if not fails:
                done.callback(work())
                return
            if file is not None:
                file.lose(start // BLOCK * BLOCK, start // BLOCK * BLOCK + BLOCK)
            done.errback(CacheTrouble(f"{call} fails"))

        if self.delay is None:
            end()
        else:
            self._clock.callLater(self.delay, end)
        return done

    def find(self, key: bytes) -> Deferred[tuple[StoredFile, ...]]:
        return self.later("find", lambda: self._find(key))

    def _find(self, key: bytes) -> tuple[MemoryFile, ...]:
        found = tuple(self.files.get(key, []))
        for each in found:
            each.users += 1
        return found

    def create(
        self, key: bytes, meta: Meta, pinned: bool = False, numbered: Numbered = unheard
    ) -> Deferred[StoredFile]:
        self._numbers = number = self._numbers + 1
        numbered(number)
        return self.later("create", lambda: self._create(number, key, meta))

    def _create(self, number: int, key: bytes, meta: Meta) -> MemoryFile:
        file = MemoryFile(self, number, meta)
        file.users = 1
        files = self.files.setdefault(key, [])
        for other in [each for each in files if each.meta.vary == meta.vary]:
            other.doom()
            files.remove(other)
        files.insert(0, file)
        return file

    def remove(self, key: bytes) -> Deferred[int]:
        return self.later("remove", lambda: self._remove(key))

    def _remove(self, key: bytes) -> int:
        files = self.files.pop(key, [])
        for each in files:
            each.doom()
        return len(files)

    def close(self) -> Deferred[None]:
        return self.later("close", lambda: None)
