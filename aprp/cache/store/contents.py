"""What an operator sees of the stored files, and does with them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, TimeoutError
from twisted.python.failure import Failure

from aprp.cache.store.chunk_io import BlocksLost, Expected, expected, open_chunk, verify
from aprp.cache.store.index import Index
from aprp.core.cache.naming import named_by, names
from aprp.core.values import dataclass

if TYPE_CHECKING:
    from aprp.cache.store.disk_store import DiskStore


@dataclass(frozen=True, slots=True)
class Listed:
    """A stored file: its key, its complete length if known, and its bytes on disk."""

    key: bytes
    complete: int | None
    stored: int
    pinned: bool
    received_at: float
    """Unix time."""


@dataclass(slots=True)
class Checked:
    """What `verify` found: how many blocks it read, and how many of them were lost."""

    blocks: int = 0
    lost: int = 0


class Contents:
    """The files of a store. What fails raises `CacheTrouble`."""

    def __init__(self, store: DiskStore) -> None:
        self._store = store
        self.checked = Checked()
        """What `verify` has found, as of now or when it last ended."""
        self._verifying: Deferred[None] | None = None
        self._failure: Failure | None = None

    async def listed(self, pattern: str, most: int) -> list[Listed]:
        """Return the files that a pattern names, newest first."""
        found = named_by(pattern)

        def job(index: Index) -> list[Listed]:
            files = []
            for key, meta, pinned, stored in index.listing():
                if names(found, key):
                    files.append(Listed(key, meta.complete, stored, pinned, meta.received_at))
                    if len(files) >= most:
                        break
            return files

        await self._store.upkeep.now()
        return await self._store.run(job, None)

    async def purge(self, pattern: str) -> int:
        """Delete the files that a pattern names; return how many there were."""
        keys = await self._keys(pattern)
        return sum([await self._store.remove(key) for key in keys])

    async def pin(self, pattern: str, pinned: bool) -> int:
        """Pin the files that a pattern names, or let them make room again; return how many."""
        keys = await self._keys(pattern)

        def job(index: Index) -> int:
            with index.changing():
                return sum(index.pin(key, pinned) for key in keys)

        return await self._store.run(job, None)

    async def verify(self, seconds: float) -> bool:
        """Read all blocks and drop those that aren't what was written; `checked` counts.

        Return whether it has ended within so many seconds; it goes on in any case, and the next
        call waits for it.
        """
        if self._verifying is None:
            self.checked = Checked()
            self._verifying = Deferred.fromCoroutine(self._verify(self.checked))
            self._verifying.addErrback(self._failed)
        waiting: Deferred[None] = Deferred()

        def ended(_: object) -> None:
            if not waiting.called:
                waiting.callback(None)

        self._verifying.addCallback(ended)
        try:
            await waiting.addTimeout(seconds, self._store.reactor)
        except TimeoutError:
            return False
        self._verifying = None
        failure, self._failure = self._failure, None
        if failure is not None:
            failure.raiseException()
        return True

    def _failed(self, failure: Failure) -> None:
        self._failure = failure

    async def _verify(self, checked: Checked) -> None:
        await self._store.upkeep.now()
        for number in await self._store.run(Index.numbers, None):
            stored = functools.partial(Index.stored, number=number)
            complete, chunks = await self._store.run(stored, None)
            for chunk, blocks in chunks.items():
                wanted = expected(blocks, chunk, complete, blocks)
                checked.blocks += len(wanted)
                checked.lost += await self._check(number, chunk, wanted)

    async def _keys(self, pattern: str) -> list[bytes]:
        found = named_by(pattern)
        return await self._store.run(
            lambda index: [key for key in index.all_keys() if names(found, key)], None
        )

    async def _check(self, file: int, chunk: int, wanted: Sequence[Expected]) -> int:
        """Return how many of a chunk's blocks were lost; they are dropped."""
        store, disk = self._store, self._store.folder.disk

        def job() -> None:
            descriptor, _ = open_chunk(disk, store.folder.chunk(file, chunk))
            try:
                verify(disk, descriptor, file, chunk, wanted)
            finally:
                disk.close(descriptor)

        if not wanted:
            return 0
        try:
            await store.threads.read(job, lambda _: None)
        except BlocksLost as error:
            lost = [each.block for each in wanted] if error.blocks is None else error.blocks
            if not await store.files.lose(file, chunk, error.blocks):
                return 0  # it has made room meanwhile
            store.figures.lost += len(lost)
            rest = [each for each in wanted if each.block not in lost]
            return len(lost) + await self._check(file, chunk, rest)
        return 0
