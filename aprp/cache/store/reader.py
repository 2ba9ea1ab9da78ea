"""Reads blocks in threads, and lets none out that isn't what was written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from aprp.cache.store.chunk_io import (
    TRUSTED_FOR,
    BlocksLost,
    Stamp,
    Trust,
    expected,
    open_chunk,
    read_verified,
    verify,
)
from aprp.cache.store.disk import Disk
from aprp.cache.store.disk_file import DiskFile
from aprp.cache.store.opening import known_already
from aprp.cache.store.store import CacheTrouble, Verified
from aprp.cache.store.tools import Tools
from aprp.core.cache.extents import BLOCK
from aprp.core.cache.layout import CHUNK, Blocks, in_chunks, numbers_of
from aprp.core.cache.naming import shown
from aprp.upstream.splice.file_splice import FilePart

IN_MEMORY = 262144
"""The most bytes that one read returns in memory."""
UNSEEN = 1048576
"""The most bytes that one read looks at, or a quarter of what it should return if that is more."""

SAY_LOST = 60.0
"""Seconds within which one line is logged for all blocks that turn out to be lost."""

Lost = Callable[[int, int, "list[int] | None"], Deferred[bool]]


@dataclass(slots=True)
class VerifiedBytes:
    """A `Verified`."""

    start: int
    stop: int
    data: bytes | None
    parts: Sequence[FilePart]
    close: Callable[[Sequence[FilePart]], object]

    def release(self) -> None:
        parts, self.parts = self.parts, ()
        if parts:
            self.close(parts)


class Reader:
    """Reads for all files of a store.

    `lost` is called with what can't be read, and says whether it hasn't made room meanwhile.
    """

    _log = Logger()

    def __init__(self, tools: Tools, lost: Lost) -> None:
        self._folder = tools.folder
        self._threads = tools.threads
        self._reactor = tools.reactor
        self._figures = tools.figures
        self._lost = lost
        self._said_at = -SAY_LOST
        self._unsaid = 0
        self.descriptors = 0
        """How many data files are open for those who read."""

    def read(self, file: DiskFile, start: int, stop: int, into_memory: bool) -> Deferred[Verified]:
        """Return the first bytes of [start, stop), which are present."""
        if self._threads.resting:
            return fail(CacheTrouble("the disk is left alone for a while after a failure"))
        if into_memory:
            stop = min(stop, start + IN_MEMORY, (start // CHUNK + 1) * CHUNK)
        wanted = [
            # as they are now: a thread looks at them
            _Wanted(chunk, first, last, Blocks(bytes(file.chunks[chunk])))
            for chunk, first, last in in_chunks(start, stop)
        ]
        read = self._into_memory if into_memory else self._open

        def job() -> VerifiedBytes:
            return read(file, wanted)

        done = self._threads.read(job, self._unwanted)
        return done.addCallbacks(self._came, self._not_read, errbackArgs=(file, start // CHUNK))

    def _came(self, verified: VerifiedBytes) -> Verified:
        self._figures.read += verified.stop - verified.start
        self.descriptors += len(verified.parts)
        return verified

    def _not_read(self, failure: Failure, file: DiskFile, chunk: int) -> Failure:
        error = failure.value
        if not isinstance(error, BlocksLost):
            failure.trap(CacheTrouble)
            file.lose(chunk, None)
            return failure
        lost = self._lost(file.id, chunk, error.blocks)
        lost.addCallbacks(self._lost_indeed, known_already, callbackArgs=(file, chunk, error))
        return Failure(CacheTrouble(str(error)))

    def _lost_indeed(self, is_so: bool, file: DiskFile, chunk: int, error: BlocksLost) -> None:
        if not is_so:
            return
        count = 1 if error.blocks is None else len(error.blocks)
        self._figures.lost += count
        now = self._reactor.seconds()
        if 0 <= now - self._said_at < SAY_LOST:
            self._unsaid += count
            return
        what = f"chunk {chunk}" if error.blocks is None else f"block {chunk * 64 + error.blocks[0]}"
        more = f" There were {self._unsaid} more since the last such line." if self._unsaid else ""
        self._said_at, self._unsaid = now, 0
        self._log.error(
            "cache: {what} of {key} {said}; it will be fetched again. "
            "Unless the machine has lost power, check its disk.{more}",
            what=what,
            key=shown(file.key),
            said=str(error),
            more=more,
        )

    # In threads

    def _into_memory(self, file: DiskFile, wanted: Sequence[_Wanted]) -> VerifiedBytes:
        disk, (this,) = self._folder.disk, wanted
        numbers = range(this.start % CHUNK // BLOCK, (this.stop - 1) % CHUNK // BLOCK + 1)
        blocks = expected(this.blocks, this.chunk, file.meta.complete, numbers)
        descriptor, _ = open_chunk(disk, self._folder.chunk(file.id, this.chunk))
        try:
            buffer = read_verified(disk, descriptor, file.id, this.chunk, blocks)
        finally:
            disk.close(descriptor)
        skipped = this.start - this.chunk * CHUNK - blocks[0].offset
        data = bytes(memoryview(buffer)[skipped : skipped + this.stop - this.start])
        return VerifiedBytes(this.start, this.stop, data, (), self._close)

    def _open(self, file: DiskFile, wanted: Sequence[_Wanted]) -> VerifiedBytes:
        start, stop = wanted[0].start, wanted[-1].stop
        most = max(UNSEEN, (stop - start) // 4) // BLOCK
        parts: list[FilePart] = []
        at = start
        for each in wanted:
            try:
                part, looked_at = self._part(file, each, most)
            except Exception:
                if not parts:
                    raise
                break  # who reads on from there meets it again
            parts.append(part)
            at += part.size
            most -= looked_at
            if at < each.stop or not most:
                break
        return VerifiedBytes(start, at, None, parts, self._close)

    def _part(self, file: DiskFile, wanted: _Wanted, most: int) -> tuple[FilePart, int]:
        """Return what may be sent of a chunk, and how many blocks had to be looked at for it."""
        disk, chunk, start, stop = self._folder.disk, wanted.chunk, wanted.start, wanted.stop
        descriptor, stamp = open_chunk(disk, self._folder.chunk(file.id, chunk))
        try:
            trust = self._trust(file, wanted, descriptor, stamp)
            unseen = [*numbers_of(_bits(start, stop) & ~trust.bits)]
            if len(unseen) > most:
                stop = chunk * CHUNK + unseen[most] * BLOCK
                del unseen[most:]
            if unseen:
                blocks = expected(wanted.blocks, chunk, file.meta.complete, unseen)
                verify(disk, descriptor, file.id, chunk, blocks)
                trust.bits |= _bits(start, stop)
        except BaseException:
            disk.close(descriptor)
            raise
        return FilePart(descriptor, start - chunk * CHUNK, stop - start), len(unseen)

    def _trust(self, file: DiskFile, wanted: _Wanted, descriptor: int, stamp: Stamp) -> Trust:
        """Return what of a chunk needn't be looked at: it was right, and is in memory."""
        now, disk, chunk = self._reactor.seconds(), self._folder.disk, wanted.chunk
        trust = file.trusted.get(chunk)
        if trust is None or trust.stamp != stamp or not 0 <= now - trust.since < TRUSTED_FOR:
            trust = file.trusted[chunk] = Trust(stamp, now)
        offset, size = wanted.start - chunk * CHUNK, wanted.stop - wanted.start
        if disk.cached(descriptor, offset, size):
            return trust
        if trust.bits:
            missing = _missing(disk, descriptor, offset, offset + size)
            trust = file.trusted[chunk] = Trust(stamp, trust.since, trust.bits & ~missing)
        disk.prefetch(descriptor, offset, size)
        return trust

    def _unwanted(self, verified: VerifiedBytes) -> None:
        self._close_now(verified.parts)

    def _close_now(self, parts: Sequence[FilePart]) -> None:
        for part in parts:
            self._folder.disk.close(part.descriptor)

    # In the reactor's thread

    def _close(self, parts: Sequence[FilePart]) -> None:
        self.descriptors -= len(parts)
        self._threads.later(lambda: self._close_now(parts))


class _Wanted(NamedTuple):
    """The bytes [start, stop) of a file, which lie in a chunk that has these blocks."""

    chunk: int
    start: int
    stop: int
    blocks: Blocks


def _missing(disk: Disk, descriptor: int, start: int, stop: int) -> int:
    """Return the blocks of a chunk, as bits, that aren't wholly in memory."""
    if disk.cached(descriptor, start, stop - start):
        return 0
    half = (start + stop) // 2 // BLOCK * BLOCK
    if half <= start:
        half = (start // BLOCK + 1) * BLOCK
    if half >= stop:
        return 1 << start // BLOCK
    return _missing(disk, descriptor, start, half) | _missing(disk, descriptor, half, stop)


def _bits(start: int, stop: int) -> int:
    """Return the blocks of [start, stop), which lie in a chunk, as bits."""
    first, last = start % CHUNK // BLOCK, (stop - 1) % CHUNK // BLOCK
    return (1 << last + 1) - (1 << first)
