"""Write to a descriptor without ever waiting for its reader.

A pipe, FIFO, terminal or socket accepts nothing more when its reader stalls. Rules:

- Write only when the descriptor is ready, and no more at once than a pipe accepts atomically.
- Open pipes and terminals a second time with O_NONBLOCK if permitted, since another process may
  fill them between poll and write. Don't set the flag on an inherited descriptor: it would affect
  the other processes that share it.
- Complete a partly written line before the next one.
"""

from __future__ import annotations

import os
import select
import stat
from pathlib import Path

PIECE = select.PIPE_BUF


class Descriptor:
    """A file, pipe, terminal or socket to append lines to."""

    def __init__(self, number: int) -> None:
        self._number = number
        status = os.fstat(number)
        self.size = status.st_size
        self.regular = stat.S_ISREG(status.st_mode)
        """Whether it is a regular file, which is always ready."""
        self._rest = b""
        self._poll = select.poll()
        self._poll.register(number, select.POLLOUT)

    @classmethod
    def of_path(cls, path: Path) -> Descriptor:
        """Open a file for appending, or what else is there. Raises OSError.

        A FIFO is opened for reading too: it needs no reader then, and survives one that leaves.
        """
        kind = path.stat().st_mode if path.exists() else stat.S_IFREG
        flags = os.O_RDWR if stat.S_ISFIFO(kind) else os.O_WRONLY
        flags |= os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        return cls(os.open(path, flags, 0o666))

    @classmethod
    def of_stream(cls, number: int) -> Descriptor:
        """Duplicate an open descriptor; closing the result leaves the original open."""
        kind = os.fstat(number).st_mode
        if stat.S_ISFIFO(kind) or stat.S_ISCHR(kind):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            try:
                return cls(os.open(f"/proc/self/fd/{number}", flags))
            except OSError:
                pass  # it may belong to another user: then polling before each write has to do
        return cls(os.dup(number))

    def write(self, line: bytes) -> bool:
        """Write a line. Return False if there is no room; then nothing is written."""
        self._rest = self._rest[self._some(self._rest) :]
        if self._rest:
            return False
        sent = self._some(line)
        self._rest = line[sent:] if sent else b""
        return bool(sent)

    def _some(self, data: bytes) -> int:
        """Write as much as fits and return how much that was. Raise OSError."""
        sent = 0
        piece = len(data) if self.regular else PIECE
        while sent < len(data) and self._has_room():
            try:
                sent += os.write(self._number, data[sent : sent + piece])
            except BlockingIOError:
                break
        return sent

    def _has_room(self) -> bool:
        return self.regular or bool(self._poll.poll(0))

    def close(self) -> None:
        os.close(self._number)
