"""Writes blocks to data files: past the page cache if they are many, else through it.

What is written directly costs a fraction of the CPU, and pushes nothing out of memory: most films
are viewed once. What is read again gets into the page cache by that. Such a write waits for the
disk itself, so the caller decides whether that is fast enough.
"""

from __future__ import annotations

import errno
import mmap
from collections.abc import Iterator, Sequence

from aprp.cache.store.chunk_io import checksums
from aprp.cache.store.disk import Disk

_BUFFER = 2 * 1024 * 1024
_PAGE = 4096
_CANNOT = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)


class BlockWrites:
    """What writes blocks, in one thread at a time."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._buffer: memoryview | None = None
        self._refused = False  # by the file system

    def write(
        self,
        descriptor: int,
        file: int,
        chunk: int,
        at: int,
        pieces: Sequence[memoryview],
        directly: bool,
    ) -> list[tuple[int, int]]:
        """Write whole blocks, which lie in these pieces, at an offset of the data file.

        Return their numbers and checksums. `directly`: past the page cache, where that can be.
        """
        if not directly or self._refused:
            sums = list(checksums(file, chunk, at, pieces))
            for piece in pieces:
                self._through_cache(descriptor, piece, at)
                at += len(piece)
            return sums
        sums = []
        for part in self._gathered(pieces):
            sums += checksums(file, chunk, at, [part])
            self._past_cache(descriptor, part, at)
            at += len(part)
        return sums

    def _gathered(self, pieces: Sequence[memoryview]) -> Iterator[memoryview]:
        """Yield these bytes from a buffer that begins on a page, which is used again each time."""
        buffer = self._buffer
        if buffer is None:
            buffer = self._buffer = memoryview(mmap.mmap(-1, _BUFFER))
        filled = 0
        for piece in pieces:
            while piece:
                now = piece[: _BUFFER - filled]
                buffer[filled : filled + len(now)] = now
                filled, piece = filled + len(now), piece[len(now) :]
                if filled == _BUFFER:
                    yield buffer
                    filled = 0
        if filled:
            yield buffer[:filled]

    def _past_cache(self, descriptor: int, data: memoryview, at: int) -> None:
        """Write whole pages directly, and what is left of the file's last one as usual."""
        done = 0
        whole = data[: len(data) // _PAGE * _PAGE]
        if whole and not self._refused:
            try:
                done = self._disk.write_directly(descriptor, whole, at)
            except OSError as error:
                if error.errno not in _CANNOT:
                    raise
                self._refused = True
        self._through_cache(descriptor, data[done:], at + done)

    def _through_cache(self, descriptor: int, data: memoryview, at: int) -> None:
        while data:
            written = self._disk.write(descriptor, data, at)
            data, at = data[written:], at + written
