"""The files and streams that logs are written to.

A file is opened for appending, rotated by size with a number of old files kept (``log.1`` is the
newest), and reopened on request after an external rotation. Writing never raises and never waits
for a reader: a line that can't be written is dropped and counted, and the number is logged when
writing succeeds again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from aprp.daemon.descriptor import Descriptor


class Losses:
    """Lines of one log that couldn't be written; `total` are those since the process began."""

    _log = Logger()

    def __init__(self, name: str) -> None:
        self.total = 0
        self._name = name
        self._unreported = 0

    def add(self) -> None:
        """Count a dropped line."""
        self.total += 1
        self._unreported += 1

    def written(self) -> None:
        """A line was written: if some were dropped before it, say how many."""
        if self._unreported:
            count, self._unreported = self._unreported, 0
            self._log.warn(
                "{count} lines of the {name} were dropped because they couldn't be written",
                count=count,
                name=self._name,
            )


class StreamSink:
    """A stream of the process, as standard output or standard error.

    Its descriptor is looked up at the first line: a process that goes to the background changes it.
    """

    def __init__(self, stream: Any, losses: Losses | None = None) -> None:
        self._stream = stream
        self._losses = losses or Losses("stream")
        self._descriptor: Descriptor | None = None

    def write(self, data: bytes) -> None:
        try:
            if self._descriptor is None:
                self._descriptor = Descriptor.of_stream(self._stream.fileno())
            written = self._descriptor.write(data)
        except (OSError, ValueError):
            written = False  # the reader is gone, and with it whom we could tell
        if written:
            self._losses.written()
        else:
            self._losses.add()

    def reopen(self) -> None:
        """Do nothing: a stream can't be reopened."""

    def close(self) -> None:
        """Do nothing: the stream belongs to the process."""


class RotatingFile:
    """A file of lines that is renamed ``path.1`` once it holds ``max_size`` bytes.

    Older ones move on to ``path.2`` up to ``path.keep``; a write is never split over two. What
    isn't a regular file (a pipe, /dev/null) never rotates. Opening raises OSError.
    """

    def __init__(
        self,
        path: Path,
        max_size: int,
        keep: int,
        losses: Losses | None = None,
        complain: Callable[[str], object] | None = None,
    ) -> None:
        self._path = path.absolute()
        self._max_size = max_size
        self._keep = keep
        self._losses = losses or Losses("file")
        self._complain = complain or _tell_standard_error
        self._failing = False
        self._open()

    def _open(self) -> None:
        self._file = Descriptor.of_path(self._path)
        self._size = self._file.size

    def write(self, data: bytes) -> None:
        try:
            if self._file.regular and self._size and self._size + len(data) > self._max_size:
                self._rotate()
            written = self._file.write(data)
        except (OSError, ValueError) as error:
            self._losses.add()
            if not self._failing:
                self._complain(f"lines are lost: {self._path} can't be written: {error}")
            self._failing = True
            return
        self._failing = False
        if written:
            self._size += len(data)
            self._losses.written()
        else:
            self._losses.add()

    def _rotate(self) -> None:
        for number in range(self._keep, 1, -1):
            older = self._numbered(number - 1)
            if older.exists():
                older.rename(self._numbered(number))
        if self._keep:
            self._path.rename(self._numbered(1))
        else:
            self._path.unlink()
        self._file.close()
        self._open()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def reopen(self) -> None:
        """Reopen the path after an external rotation.

        If that fails, keep writing to the old file.
        """
        before = self._file
        try:
            self._open()
        except OSError as error:
            self._complain(f"{self._path} can't be reopened: {error}")
        else:
            before.close()

    def close(self) -> None:
        self._file.close()


Sink = StreamSink | RotatingFile


def standard_output() -> StreamSink:
    """The current standard output."""
    return StreamSink(sys.stdout)


@cache
def _standard_error() -> StreamSink:
    return StreamSink(sys.__stderr__)


def _tell_standard_error(message: str) -> None:
    if sys.__stderr__ is not None:
        _standard_error().write(f"aprp: {message}\n".encode())
