"""What the store asks of the operating system. Everything here waits for the disk: threads only."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import suppress
from typing import Protocol

from aprp.cache.store.page_cache import cached


class Disk(Protocol):
    """The file system. Errors are OSError, and sqlite3.Error from what `connect` returns."""

    def open(self, path: str, flags: int) -> int: ...
    def close(self, descriptor: int) -> None: ...
    def read_into(self, descriptor: int, buffer: memoryview, offset: int) -> int: ...
    def cached(self, descriptor: int, offset: int, count: int) -> bool: ...
    def prefetch(self, descriptor: int, offset: int, count: int) -> None: ...
    def write(self, descriptor: int, data: memoryview, offset: int) -> int: ...
    def write_directly(self, descriptor: int, data: memoryview, offset: int) -> int: ...
    def fstat(self, descriptor: int) -> os.stat_result: ...
    def stat(self, path: str) -> os.stat_result: ...
    def unlink(self, path: str) -> None: ...
    def rename(self, path: str, to: str) -> None: ...
    def mkdir(self, path: str) -> None: ...
    def names(self, path: str) -> list[str]: ...
    def lock(self, descriptor: int) -> None: ...
    def connect(self, path: str) -> sqlite3.Connection: ...


class SystemDisk:
    """The real one."""

    def open(self, path: str, flags: int) -> int:
        return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def read_into(self, descriptor: int, buffer: memoryview, offset: int) -> int:
        return os.preadv(descriptor, [buffer], offset)

    def cached(self, descriptor: int, offset: int, count: int) -> bool:
        """Return whether these bytes can be read without waiting for the disk."""
        return cached(descriptor, offset, count)

    def prefetch(self, descriptor: int, offset: int, count: int) -> None:
        """Have the kernel begin to read these bytes into memory."""
        with suppress(OSError):  # not all file systems do
            os.posix_fadvise(descriptor, offset, count, os.POSIX_FADV_WILLNEED)

    def write(self, descriptor: int, data: memoryview, offset: int) -> int:
        return os.pwrite(descriptor, data, offset)

    def write_directly(self, descriptor: int, data: memoryview, offset: int) -> int:
        """Write whole pages, which begin on one, past the page cache, to the disk itself.

        It fails with EINVAL where the file system can't.
        """
        fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_DIRECT)
        try:
            return os.pwrite(descriptor, data, offset)
        finally:
            fcntl.fcntl(descriptor, fcntl.F_SETFL, 0)

    def fstat(self, descriptor: int) -> os.stat_result:
        return os.fstat(descriptor)

    def stat(self, path: str) -> os.stat_result:
        return os.stat(path)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def rename(self, path: str, to: str) -> None:
        os.rename(path, to)

    def mkdir(self, path: str) -> None:
        os.mkdir(path, 0o700)

    def names(self, path: str) -> list[str]:
        return os.listdir(path)

    def lock(self, descriptor: int) -> None:
        """Lock an open file against other processes, or raise BlockingIOError."""
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def connect(self, path: str) -> sqlite3.Connection:
        """Open a database, whose files only this user can read."""
        with suppress(FileExistsError):  # SQLite's other files get its mode
            os.close(self.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL))
            # only if it is new: closing a file gives up all locks that the process has on it
        return sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
