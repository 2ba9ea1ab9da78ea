"""Reads blocks in threads, and lets none out that isn't what was written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from aprp.cache.store.chunk_io import (
    TRUSTED_FOR,
    BlocksLost,
    Trust,
    expected,
    open_chunk,
    read_verified,
    verify,
)
from aprp.cache.store.disk_file import DiskFile
from aprp.cache.store.opening import known_already
from aprp.cache.store.store import CacheTrouble, Verified
from aprp.cache.store.tools import Tools
from aprp.core.cache.extents import BLOCK
from aprp.core.cache.layout import CHUNK, Blocks, numbers_of
from aprp.core.cache.naming import shown

IN_MEMORY = 262144
"""The most bytes that one read returns in memory."""
UNSEEN = 1048576
"""The most bytes that one read returns in a descriptor, if they have to be looked at first."""

Lost = Callable[[int, int, "list[int] | None"], Deferred[bool]]


@dataclass(slots=True)
class VerifiedBytes:
    """A `Verified`."""

    start: int
    stop: int
    data: bytes | None
    descriptor: int
    offset: int
    close: Callable[[int], object]

    def release(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            self.close(descriptor)


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
        self.descriptors = 0
        """How many data files are open for those who read."""

    def read(self, file: DiskFile, start: int, stop: int, into_memory: bool) -> Deferred[Verified]:
        """Return the first bytes of [start, stop), which are present."""
        if self._threads.resting:
            return fail(CacheTrouble("the disk is left alone for a while after a failure"))
        chunk = start // CHUNK
        stop = min(stop, (chunk + 1) * CHUNK)
        if into_memory:
            stop = min(stop, start + IN_MEMORY)
        elif not _seen(file.trusted.get(chunk), start, stop):
            stop = min(stop, start + UNSEEN)
        blocks = Blocks(bytes(file.chunks[chunk]))  # as they are now: a thread looks at them
        read = self._into_memory if into_memory else self._open

        def job() -> VerifiedBytes:
            return read(file, chunk, start, stop, blocks)

        done = self._threads.read(job, self._unwanted)
        return done.addCallbacks(self._came, self._not_read, errbackArgs=(file, chunk))

    def _came(self, verified: VerifiedBytes) -> Verified:
        self._figures.read += verified.stop - verified.start
        if verified.descriptor >= 0:
            self.descriptors += 1
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
        self._figures.lost += 1 if error.blocks is None else len(error.blocks)
        what = f"chunk {chunk}" if error.blocks is None else f"block {chunk * 64 + error.blocks[0]}"
        self._log.error(
            "cache: {what} of {key} {said}; it will be fetched again",
            what=what,
            key=shown(file.key),
            said=str(error),
        )

    # In threads

    def _into_memory(
        self, file: DiskFile, chunk: int, start: int, stop: int, blocks: Blocks
    ) -> VerifiedBytes:
        disk = self._folder.disk
        numbers = range(start % CHUNK // BLOCK, (stop - 1) % CHUNK // BLOCK + 1)
        wanted = expected(blocks, chunk, file.meta.complete, numbers)
        descriptor, _ = open_chunk(disk, self._folder.chunk(file.id, chunk))
        try:
            buffer = read_verified(disk, descriptor, file.id, chunk, wanted)
        finally:
            disk.close(descriptor)
        skipped = start - chunk * CHUNK - wanted[0].offset
        data = bytes(memoryview(buffer)[skipped : skipped + stop - start])
        return VerifiedBytes(start, stop, data, -1, 0, self._close)

    def _open(
        self, file: DiskFile, chunk: int, start: int, stop: int, blocks: Blocks
    ) -> VerifiedBytes:
        disk = self._folder.disk
        descriptor, stamp = open_chunk(disk, self._folder.chunk(file.id, chunk))
        try:
            now = self._reactor.seconds()
            trust = file.trusted.get(chunk)
            if trust is None or trust.stamp != stamp or not 0 <= now - trust.since < TRUSTED_FOR:
                trust = Trust(stamp, now)
            unseen = numbers_of(_wanted(start, stop) & ~trust.bits)
            verify(
                disk,
                descriptor,
                file.id,
                chunk,
                expected(blocks, chunk, file.meta.complete, unseen),
            )
            trust.bits |= _wanted(start, stop)
            file.trusted[chunk] = trust
        except BaseException:
            disk.close(descriptor)
            raise
        return VerifiedBytes(start, stop, None, descriptor, start - chunk * CHUNK, self._close)

    def _unwanted(self, verified: VerifiedBytes) -> None:
        if verified.descriptor >= 0:
            self._folder.disk.close(verified.descriptor)

    # In the reactor's thread

    def _close(self, descriptor: int) -> None:
        self.descriptors -= 1
        self._threads.later(lambda: self._folder.disk.close(descriptor))


def _wanted(start: int, stop: int) -> int:
    """Return the blocks of [start, stop), which lie in a chunk, as bits."""
    first, last = start % CHUNK // BLOCK, (stop - 1) % CHUNK // BLOCK
    return (1 << last + 1) - (1 << first)


def _seen(trust: Trust | None, start: int, stop: int) -> bool:
    """Return whether all blocks of [start, stop), which lie in a chunk, have been looked at."""
    return trust is not None and not _wanted(start, stop) & ~trust.bits
