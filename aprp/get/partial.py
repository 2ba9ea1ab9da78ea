"""A partial file under a temporary name, and the record of its progress.

- ``FILE.aprp-part`` has the bytes and is allocated at full size at the start;
``FILE.aprp-part.json``
  records how many bytes are good, and of which version of the file. Bytes are synced to disk before
  the record is, so the record never claims more than the disk has.
- FILE appears atomically, by a rename. Only one process writes to it at a time.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aprp.core.values import dataclass
from aprp.get.naming import PART, RECORD, CannotWrite

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class PartialVersion:
    """A version of a file, and the range of it that is downloaded.

    `complete` is its length and [start, stop) the range, in bytes; `last_modified` is Unix time.
    """

    complete: int
    last_modified: int | None
    start: int
    stop: int

    def difference(self, now: PartialVersion) -> str | None:
        """Return why this version can't be resumed from the other, or None if it can."""
        if self.complete != now.complete:
            return f"it was {self.complete} bytes long and is {now.complete} now"
        if None not in (self.last_modified, now.last_modified) and (
            self.last_modified != now.last_modified
        ):
            return "its Last-Modified is another now"
        if (self.start, self.stop) != (now.start, now.stop):
            return "another range of it was asked for"
        return None


class Partial:
    """A partial file. `written` is the number of good bytes from the start."""

    def __init__(self, path: Path, keep: bool) -> None:
        """Open an existing partial file to resume it (`keep`), or start over. Raise CannotWrite."""
        self.path = path
        self.part = path.with_name(path.name + PART)
        self.record = path.with_name(path.name + RECORD)
        self.written = 0
        self.version: PartialVersion | None = None
        try:
            self._file = os.open(self.part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise CannotWrite(f"{self.part} can't be written: {error.strerror}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise CannotWrite(f"{self.part} is being written by another process") from None
        if keep:
            self._recall()
        if self.version is None:
            os.ftruncate(self._file, 0)
            self.record.unlink(missing_ok=True)

    def begin(self, version: PartialVersion) -> None:
        """Allocate the whole file when starting."""
        if self.version is not None:
            return
        self.version = version
        length = version.stop - version.start
        if length:
            try:
                os.posix_fallocate(self._file, 0, length)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
                    self.discard()
                    raise CannotWrite(
                        f"{self.path} needs {length} bytes: {error.strerror}"
                    ) from None
        self.save()

    def write(self, data: bytes) -> None:
        """Write the next bytes. Raise CannotWrite."""
        view = memoryview(data)
        try:
            while view:
                count = os.pwrite(self._file, view, self.written)
                self.written += count
                view = view[count:]
        except OSError as error:
            raise CannotWrite(f"{self.part} can't be written: {error.strerror}") from None

    def keep(self, count: int) -> None:
        """Count only the first `count` bytes as written: the others are wrong."""
        self.written = min(self.written, count)

    def read(self, start: int, stop: int) -> bytes:
        """Return the written bytes [start, stop), counted from the start of the range."""
        return os.pread(self._file, min(stop, self.written) - start, start)

    def pieces(self) -> Any:
        """Yield everything that was written, piece by piece."""
        for start in range(0, self.written, _PIECE):
            yield self.read(start, start + _PIECE)

    def save(self) -> None:
        """Sync the bytes to disk, then the record. May block."""
        assert self.version is not None
        written = self.written
        os.fdatasync(self._file)
        text = json.dumps({"written": written, **asdict(self.version)})
        fresh = self.record.with_name(self.record.name + ".new")
        fresh.write_text(text + "\n")
        os.replace(fresh, self.record)

    def finish(self) -> None:
        """Rename the complete file to its final name."""
        try:
            os.ftruncate(self._file, self.written)
            os.fsync(self._file)
            os.replace(self.part, self.path)
        except OSError as error:
            raise CannotWrite(f"{self.path} can't be written: {error.strerror}") from None
        self.record.unlink(missing_ok=True)
        self.close()

    def discard(self) -> None:
        """Delete the partial file and its record."""
        self.part.unlink(missing_ok=True)
        self.record.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Close the file and keep it. Calling it again does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _recall(self) -> None:
        """Read the record, if it is plausible."""
        try:
            members = json.loads(self.record.read_text())
            written = members.pop("written")
            version = PartialVersion(**members)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return
        numbers = (written, version.complete, version.start, version.stop)
        if not all(type(each) is int and each >= 0 for each in numbers):
            return
        if written > version.stop - version.start or written > os.fstat(self._file).st_size:
            return
        self.version, self.written = version, written
