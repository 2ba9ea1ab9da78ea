"""Writes blocks in a thread of their own, as far as there is room for them.

Blocks that wait are bounded: when the disk is slower than what arrives, further ones aren't kept.
What has been written is readable at once; the index has it a moment later (`Upkeep`), and what it
doesn't have yet is lost if the process dies.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from aprp.cache.store.block_writes import BlockWrites
from aprp.cache.store.chunk_io import Change, size_in, stamp_of
from aprp.cache.store.chunk_rows import Written
from aprp.cache.store.disk_file import DiskFile
from aprp.cache.store.store import CacheTrouble
from aprp.cache.store.tools import Tools
from aprp.cache.store.upkeep import Upkeep
from aprp.core.cache.directly import Directly
from aprp.core.cache.layout import CHUNK, Blocks, in_chunks

MOST_WAITING = 32 * 1024 * 1024
"""Bytes that may wait to be written."""
_AT_ONCE = 4 * 1024 * 1024
_MANY = 512 * 1024  # bytes, which are worth a write of their own
_PAGE = 4096
_OVERHEAD = 8192
"""What a piece of a data file may take beside its bytes."""

_Result = tuple[list[tuple[Written, Change]], int, OSError | None]


@dataclass(slots=True)
class _Entry:
    file: DiskFile
    at: int
    pieces: Sequence[bytes | memoryview]
    size: int
    hurried: bool
    done: Deferred[bool] = field(default_factory=Deferred)

    @property
    def cost(self) -> int:
        """The most bytes that it takes on disk."""
        return -(-self.size // _PAGE) * _PAGE + 2 * _OVERHEAD


class Writer:
    """The blocks that wait, and the thread that writes them."""

    def __init__(self, tools: Tools, upkeep: Upkeep) -> None:
        self._folder = tools.folder
        self._blocks = BlockWrites(tools.folder.disk)
        self._reactor = tools.reactor
        self._threads = tools.threads
        self._upkeep = upkeep
        self._figures = tools.figures
        self._entries: deque[_Entry] = deque()
        self._running = False
        self._directly = Directly()
        self._idle: list[Deferred[None]] = []
        self.waiting = 0
        """Bytes that wait."""
        upkeep.on_room = self._step

    def put(
        self,
        file: DiskFile,
        at: int,
        pieces: Sequence[bytes | memoryview],
        size: int,
        hurried: bool = False,
    ) -> Deferred[bool]:
        """Write whole blocks of a file, `size` bytes. Fires with whether they are kept.

        `hurried`: too much waits already, so let the page cache take these.
        """
        late = self.waiting + size > MOST_WAITING
        if late or self._threads.resting or self._upkeep.full:
            self._figures.refused += size
            return succeed(False)
        entry = _Entry(file, at, pieces, size, hurried)
        self._entries.append(entry)
        self.waiting += size
        self._step()
        return entry.done

    def idle(self) -> Deferred[None]:
        """Return what fires once nothing waits."""
        if not self._running and not self._entries:
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._idle.append(done)
        return done

    def refuse(self) -> None:
        """Keep nothing of what waits, but for what is being written."""
        entries, self._entries = list(self._entries), deque()
        for entry in entries:
            self._end(entry, False)
        self._step()

    def _step(self) -> None:
        """Write what there is room for."""
        if self._running:
            return
        if self._entries and self._upkeep.full:
            self.refuse()
            return
        batch: list[_Entry] = []
        size = 0
        while self._entries and (not batch or size + self._entries[0].size <= _AT_ONCE):
            if not self._upkeep.spend(self._entries[0].cost):
                break
            size += self._entries[0].size
            batch.append(self._entries.popleft())
        if batch:
            self._running = True
            done = self._threads.write(lambda: self._write(batch))
            done.addBoth(self._written, batch)
        elif not self._entries:
            idle, self._idle = self._idle, []
            for each in idle:
                each.callback(None)

    def _write(self, batch: Sequence[_Entry]) -> _Result:
        """Write entries in a thread; return what was written, of how many of them."""
        written: list[tuple[Written, Change]] = []
        for done, entry in enumerate(batch):
            rest = deque(memoryview(each) for each in entry.pieces)
            try:
                for chunk, start, stop in in_chunks(entry.at, entry.at + entry.size):
                    mine = _taken(rest, stop - start)
                    written.append(self._write_to(entry, chunk, start, mine))
            except OSError as error:
                return written, done, error
        return written, len(batch), None

    def _write_to(
        self, entry: _Entry, chunk: int, start: int, pieces: Sequence[memoryview]
    ) -> tuple[Written, Change]:
        disk, file = self._folder.disk, entry.file.id
        began = self._reactor.seconds()
        size = sum(map(len, pieces))
        directly = size >= _MANY and not entry.hurried and self._directly.may(began)
        descriptor = disk.open(self._folder.chunk(file, chunk), os.O_WRONLY | os.O_CREAT)
        try:
            before = stamp_of(disk.fstat(descriptor))
            at = start - chunk * CHUNK
            sums = self._blocks.write(descriptor, file, chunk, at, pieces, directly)
            found = disk.fstat(descriptor)
        finally:
            with suppress(OSError):  # what it would say, checksums say later
                disk.close(descriptor)
        if directly:
            now = self._reactor.seconds()
            self._directly.wrote(size, now - began, now)
        blocks = Blocks()
        for block, checksum in sums:
            blocks.add(block, checksum)
        written = Written(file, chunk, blocks, found.st_blocks * 512, anew=not size_in(before))
        return written, Change(blocks.bits, before, stamp_of(found))

    def _written(self, result: _Result | Failure, batch: Sequence[_Entry]) -> None:
        self._running = False
        written, ended, error = ([], 0, None) if isinstance(result, Failure) else result
        if error is not None:
            self._threads.failed(error)
            self._threads.rest()
        elif isinstance(result, Failure):
            result.trap(CacheTrouble)
        files = {entry.file.id: entry.file for entry in batch}
        for each, change in written:
            if each.anew:
                files[each.file].lose(each.chunk, None)
            files[each.file].keep(each.chunk, each.blocks)
            files[each.file].wrote(each.chunk, change)
            self._upkeep.written(each)
        self._upkeep.spent(sum(entry.cost for entry in batch))
        for done, entry in enumerate(batch):
            self._end(entry, done < ended)
        self._step()

    def _end(self, entry: _Entry, kept: bool) -> None:
        self.waiting -= entry.size
        if kept:
            self._figures.written += entry.size
        else:
            self._figures.refused += entry.size
        entry.done.callback(kept)


def _taken(pieces: deque[memoryview], count: int) -> list[memoryview]:
    """Take the first `count` bytes of these pieces."""
    taken = []
    while count:
        piece = pieces.popleft()
        if len(piece) > count:
            pieces.appendleft(piece[count:])
            piece = piece[:count]
        taken.append(piece)
        count -= len(piece)
    return taken
