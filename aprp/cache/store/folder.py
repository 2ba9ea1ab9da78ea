"""The directory of a cache: what is in it, who may use it, and what is put right at the start.

    lock            held by the daemon that uses the directory
    index.sqlite    the index, with index.sqlite-wal and -shm
    data/xx/        the data files of chunks; xx is the last byte of the file's number

Everything here waits for the disk.
"""

from __future__ import annotations

import errno
import os
import re
import sqlite3
from collections.abc import Callable, Sequence, Set
from contextlib import suppress

from aprp.cache.store.disk import Disk
from aprp.cache.store.index import Index
from aprp.cache.store.schema import WrongVersion, configure, is_made, make_or_check
from aprp.cache.store.store import CacheTrouble

_NAME = re.compile(r"([0-9a-f]{16})-([0-9a-f]+)")
_GROUPS = 256
Say = Callable[[str], object]


class NotReady(Exception):
    """Raised while the process that keeps the directory in order hasn't opened it yet."""


def _family() -> bytes:
    """Return what the processes of one daemon have in common: their parent, and when it began."""
    parent, began = os.getppid(), 0
    with suppress(OSError, ValueError, IndexError), open(f"/proc/{parent}/stat", "rb") as stat:
        began = int(stat.read().rpartition(b")")[2].split()[19])
    return b"%20d %20d\n" % (parent, began)


class Folder:
    """The names of files in the directory `path`."""

    def __init__(self, path: str, disk: Disk) -> None:
        self.path = path
        self.disk = disk
        self.index = os.path.join(path, "index.sqlite")
        self.resumed = False
        """Whether the same daemon had claimed it before: other workers may be using it."""

    def group(self, low: int) -> str:
        """Return the directory of files whose numbers end in this byte."""
        return os.path.join(self.path, "data", f"{low:02x}")

    def chunk(self, file: int, chunk: int) -> str:
        """Return the data file of a chunk."""
        return os.path.join(self.group(file & 255), f"{file:016x}-{chunk:x}")

    def index_size(self) -> int:
        """Return the bytes on disk of the index."""
        size = 0
        for ending in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                size += self.disk.stat(self.index + ending).st_size
        return size

    def unlink(self, chunks: Sequence[tuple[int, int]]) -> None:
        """Remove the data files of chunks, if they are there."""
        for file, chunk in chunks:
            with suppress(FileNotFoundError, IsADirectoryError):
                self.disk.unlink(self.chunk(file, chunk))

    def has_data(self, file: int, chunk: int) -> bool:
        """Return whether the data file of a chunk is there."""
        try:
            self.disk.stat(self.chunk(file, chunk))
        except FileNotFoundError:
            return False
        return True

    def claim(self) -> int:
        """Create the directory if need be and lock it; return the descriptor that holds the lock.

        Raise `CacheTrouble` if it can't be used.
        """
        self._own()
        descriptor = -1
        try:
            descriptor = self.disk.open(os.path.join(self.path, "lock"), os.O_RDWR | os.O_CREAT)
            self.disk.lock(descriptor)
            self.resumed = self._family_in(descriptor) == _family()
            self.disk.write(descriptor, memoryview(_family()), 0)
        except BlockingIOError:
            self.disk.close(descriptor)
            raise self._taken() from None
        except OSError as error:
            if descriptor >= 0:
                self.disk.close(descriptor)
            raise self._unusable(error) from None
        try:
            for path in (os.path.join(self.path, "data"), *map(self.group, range(_GROUPS))):
                with suppress(FileExistsError):
                    self.disk.mkdir(path)
        except OSError as error:
            self.disk.close(descriptor)
            raise self._unusable(error) from None
        return descriptor

    def join(self) -> None:
        """Raise `NotReady` unless a process of the same daemon has claimed the directory."""
        try:
            descriptor = self.disk.open(os.path.join(self.path, "lock"), os.O_RDWR)
        except OSError:
            raise NotReady from None
        try:
            family = self._family_in(descriptor)
            with suppress(BlockingIOError):
                self.disk.lock(descriptor)
                raise NotReady
        finally:
            self.disk.close(descriptor)
        if family != _family():
            raise self._taken()

    def _family_in(self, descriptor: int) -> bytes:
        """Return which daemon has claimed the directory last."""
        family = bytearray(len(_family()))
        with memoryview(family) as view:
            self.disk.read_into(descriptor, view, 0)
        return bytes(family)

    def _taken(self) -> CacheTrouble:
        return CacheTrouble(f"{self.path} is used by another daemon; give each its own directory")

    def _own(self) -> None:
        try:
            with suppress(FileExistsError):
                self.disk.mkdir(self.path)
            owner = self.disk.stat(self.path).st_uid
        except OSError as error:
            raise self._unusable(error) from None
        if owner != os.geteuid():
            raise CacheTrouble(
                f"{self.path} belongs to another user than the one who runs aprp; "
                "change its owner, or name another directory"
            )

    def _unusable(self, error: OSError) -> CacheTrouble:
        advice = "create it for the user who runs aprp, or name another directory"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            advice = "make room on its disk"
        elif error.errno == errno.EROFS:
            advice = "let aprp write there (systemd: ReadWritePaths=), or name another directory"
        elif error.errno == errno.EIO:
            advice = "check its disk"
        return CacheTrouble(f"{self.path} can't be used: {error.strerror}; {advice}")

    def open_index(self) -> Index:
        """Open the index that the holder of the lock has put right. Raise `NotReady` before."""
        self.join()
        connection = self.disk.connect(self.index)
        if not is_made(connection):
            connection.close()
            raise NotReady
        configure(connection)
        return Index(connection)

    def recover(self, say: Say, resumes: bool = False) -> Index:
        """Open the index, or begin a new one if it's corrupt or of another version.

        `resumes`: other workers are using it, and have written what it doesn't have yet.
        """
        try:
            index = self._checked()
            if resumes:
                with index.changing():
                    index.chunks.leave_reserved()
                return index
        except (sqlite3.DatabaseError, WrongVersion, ValueError) as error:
            if _is_passing(error):
                raise
            self._set_aside()
            why = str(error)
            if not isinstance(error, WrongVersion):
                why = f"is damaged ({' '.join(why.split())})"
            say(f"the index of the cache {why}; it was set aside, and the cache is empty")
            index = self._checked()
        with index.changing():
            index.chunks.recount()
        index.delete(index.doomed())
        index.delete_empty(index.empty())
        index.set_counter("swept", 0)
        return index

    def _checked(self) -> Index:
        connection = self.disk.connect(self.index)
        try:
            make_or_check(connection)
            configure(connection)
        except BaseException:
            connection.close()
            raise
        return Index(connection)

    def _set_aside(self) -> None:
        for ending in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                self.disk.unlink(self.index + ending)
        self.disk.rename(self.index, self.index + ".bad")

    def unknown(self, low: int, index: Index) -> set[str]:
        """Return the names of the data files in one group that the index doesn't have."""
        stored = index.chunks.stored_in(low)
        names = self.disk.names(self.group(low))
        return {name for name in names if (place := _place_of(name)) and place not in stored}

    def sweep(self, low: int, index: Index, only: Set[str] | None = None) -> int:
        """Delete the data files in one group that the index doesn't have; return how many.

        `only`: of these names.

        What the others take on disk is corrected in the index: a process that died may have written
        more than it said.
        """
        stored = index.chunks.stored_in(low)
        removed = 0
        with index.changing():
            for name in self.disk.names(self.group(low)):
                place = _place_of(name)
                if place is None:
                    continue
                path = os.path.join(self.group(low), name)
                allocated = stored.pop(place, None)
                if allocated is None:
                    if only is None or name in only:
                        with suppress(IsADirectoryError):
                            self.disk.unlink(path)
                            removed += 1
                elif (size := self.disk.stat(path).st_blocks * 512) != allocated:
                    index.chunks.resize(*place, size)
            index.chunks.drop(list(stored))
        return removed


def _place_of(name: str) -> tuple[int, int] | None:
    """Return file and chunk of the name of a data file; None: it isn't one."""
    found = _NAME.fullmatch(name)
    return None if found is None else (int(found[1], 16), int(found[2], 16))


def _is_passing(error: Exception) -> bool:
    """Return whether an error says nothing about what the index holds."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and (code & 0xFF) in (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    )
