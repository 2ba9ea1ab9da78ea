"""A file that is open for reading in threads. A change after it was opened is detected."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from aprp.core.values import dataclass
from aprp.upstream.files.threads import DiskThreads

_ABSENT = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.ENXIO))
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY

Version = tuple[int, int, int, int]


class FileChanged(Exception):
    """Raised when a file was written to or truncated since it was opened."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file that was opened: its descriptor, its length, and when it was modified (unix time)."""

    descriptor: int
    size: int
    modified: int
    version: Version


def open_regular(path: bytes) -> Found | None:
    """Open a file, or return None where there is none; raises OSError. Waits for the disk.

    Symbolic links are followed. Anything but a regular file counts as none, and isn't opened, since
    opening a FIFO or a device may have effects. If one replaces a file between the check and the
    open, the open doesn't block.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return None
        descriptor = os.open(path, _FLAGS)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise
    try:
        found = os.fstat(descriptor)
    except OSError:
        os.close(descriptor)
        raise
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        return None
    return Found(descriptor, found.st_size, int(found.st_mtime), _version(found))


def read_unchanged(file: Found, start: int, count: int) -> bytes:
    """Return `count` bytes; raises FileChanged, or OSError. Waits for the disk.

    The version is compared after the read, so the bytes are of the version that was opened.
    """
    pieces = []
    while count:
        piece = os.pread(file.descriptor, count, start)
        if not piece:
            raise FileChanged
        pieces.append(piece)
        start, count = start + len(piece), count - len(piece)
    if _version(os.fstat(file.descriptor)) != file.version:
        raise FileChanged
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _version(found: os.stat_result) -> Version:
    """Return what identifies a version; st_ctime shows writes after which st_mtime was reset."""
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class OpenFile:
    """A file that was opened in `threads`. `closed` is called when its descriptor is closed."""

    def __init__(self, found: Found, threads: DiskThreads, closed: Callable[[], None]) -> None:
        self.found = found
        self._threads = threads
        self._closed = closed
        self._reading = False
        self._done = False

    def read(self, start: int, count: int) -> Deferred[bytes]:
        """Read `count` bytes, one call at a time; fails with FileChanged or OSError."""
        self._reading = True
        return self._threads.run(lambda: read_unchanged(self.found, start, count)).addBoth(
            self._was_read
        )

    def close(self) -> None:
        """Close it, as soon as no thread reads it any more."""
        if self._done:
            return
        self._done = True
        if not self._reading:
            self._close()

    def _was_read(self, result: Any) -> Any:
        self._reading = False
        if self._done:
            self._close()
        return result

    def _close(self) -> None:
        descriptor = self.found.descriptor
        self._threads.run(lambda: os.close(descriptor)).addBoth(lambda _: self._closed())
