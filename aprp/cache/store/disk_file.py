"""A stored file as one process has it in memory; all is done by its store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, fail, succeed

from aprp.cache.store.chunk_io import Change, Trust
from aprp.cache.store.index import Row
from aprp.cache.store.store import CacheTrouble, Verified
from aprp.core.cache.extents import BLOCK, Extents
from aprp.core.cache.layout import CHUNK, Blocks, in_chunks
from aprp.core.cache.meta import Meta

if TYPE_CHECKING:
    from aprp.cache.store.disk_store import DiskStore


class DiskFile:
    """A `StoredFile`."""

    def __init__(self, store: DiskStore, row: Row) -> None:
        self.id = row.id
        self.key = row.key
        self.meta = row.meta
        self.pinned = row.pinned
        self.doomed = False
        self.users = 0
        self.present = Extents()
        self.chunks: dict[int, Blocks] = {}
        self.trusted: dict[int, Trust] = {}
        """What the threads that read know of data files."""
        self._store = store
        for chunk, blocks in row.chunks.items():
            self.keep(chunk, blocks)

    def write(self, at: int, *pieces: bytes | memoryview, hurried: bool = False) -> Deferred[bool]:
        size = sum(map(len, pieces))
        stop = at + size
        assert at % BLOCK == 0 and size, "only whole blocks are kept"
        assert stop % BLOCK == 0 or stop == self.meta.complete, "only whole blocks are kept"
        if self.doomed:
            return succeed(False)
        return self._store.writer.put(self, at, pieces, size, hurried)

    def read(self, start: int, stop: int, into_memory: bool = False) -> Deferred[Verified]:
        reached = self.present.run_at(start)
        if reached is None:
            return fail(CacheTrouble("the bytes have made room, or the disk failed"))
        return self._store.reader.read(self, start, min(stop, reached), into_memory)

    def update(self, meta: Meta) -> Deferred[None]:
        self.meta = meta
        return self._store.update(self, meta)

    def doom(self) -> None:
        if not self.doomed:
            self._store.doom(self)

    def touch(self, start: int, stop: int) -> None:
        for chunk, _, _ in in_chunks(start, stop):
            self._store.upkeep.touch(self.id, chunk)

    def close(self) -> None:
        assert self.users > 0, "closed by someone who hadn't opened it"
        self.users -= 1
        if not self.users:
            self._store.files.closed(self)

    # Called by the store.

    def keep(self, chunk: int, blocks: Blocks) -> None:
        """Add blocks that are on disk."""
        mine = self.chunks.get(chunk)
        if mine is None:
            self.chunks[chunk] = blocks
        else:
            mine.merge(blocks)
        for start, stop in blocks.runs(chunk, self.meta.complete):
            self.present.add(start, stop)

    def wrote(self, chunk: int, change: Change) -> None:
        """Take note that a write changed a data file, so that its other blocks stay trusted."""
        trust = self.trusted.get(chunk)
        if trust is not None:
            self.trusted[chunk] = trust.after(change)

    def lose(self, chunk: int, blocks: list[int] | None) -> None:
        """Drop blocks of a chunk; None: all of it."""
        self.trusted.pop(chunk, None)
        mine = self.chunks.get(chunk)
        if blocks is None or mine is None:
            self.chunks.pop(chunk, None)
            self.present.remove(chunk * CHUNK, (chunk + 1) * CHUNK)
            return
        for block in blocks:
            mine.discard(block)
            start = chunk * CHUNK + block * BLOCK
            self.present.remove(start, start + BLOCK)
