"""Where the daemon's lines go: what is logged, by level, and the files that hold them.

A file rotates by size, keeps so many old ones (``log.1`` is the newest of them), is opened for
appending, and is opened anew when asked, for those who rotate it from outside. Writing never
fails its caller: a daemon that can't log goes on, and says so once on standard error.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from twisted.logger import ILogObserver, LogEvent, LogLevel, eventAsText, formatTime
from zope.interface import implementer

from aprp.config import LogSettings

LEVELS = {
    "debug": LogLevel.debug,
    "info": LogLevel.info,
    "warn": LogLevel.warn,
    "error": LogLevel.error,
}


class _Stream(Protocol):
    def write(self, data: bytes, /) -> object: ...
    def flush(self) -> object: ...


class StreamSink:
    """Standard output or standard error, as they were when the sink was made.

    Twisted puts files of its own in their places later, which lead back into the log.
    """

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    def write(self, data: bytes) -> None:
        try:
            self._stream.write(data)
            self._stream.flush()
        except (OSError, ValueError):
            pass  # the reader is gone, and with it whom we could tell

    def reopen(self) -> None:
        """Nothing to do: a stream has no name to open anew."""

    def close(self) -> None:
        """Nothing to do: the stream is the process's, not ours."""


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
        complain: Callable[[str], object] | None = None,
    ) -> None:
        self._path = path.absolute()
        self._max_size = max_size
        self._keep = keep
        self._complain = complain or _tell_standard_error
        self._failing = False
        self._open()

    def _open(self) -> None:
        self._file: BinaryIO = open(self._path, "ab", buffering=0)  # noqa: SIM115
        status = os.fstat(self._file.fileno())
        self._size = status.st_size
        self._rotates = stat.S_ISREG(status.st_mode)

    def write(self, data: bytes) -> None:
        try:
            if self._rotates and self._size and self._size + len(data) > self._max_size:
                self._rotate()
            self._file.write(data)
        except (OSError, ValueError) as error:
            if not self._failing:
                self._complain(f"lines are lost: {self._path} can't be written: {error}")
            self._failing = True
        else:
            self._size += len(data)
            self._failing = False

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
        """Open the path anew, after something outside has moved the file away.

        If that fails, writing goes on where it went before.
        """
        before = self._file
        try:
            self._open()
        except OSError as error:
            self._complain(f"{self._path} can't be opened anew: {error}")
        else:
            before.close()

    def close(self) -> None:
        self._file.close()


Sink = StreamSink | RotatingFile


def standard_error() -> StreamSink:
    """Standard error as it is now."""
    return StreamSink(sys.stderr.buffer)


def standard_output() -> StreamSink:
    """Standard output as it is now."""
    return StreamSink(sys.stdout.buffer)


@dataclass(frozen=True, slots=True)
class Streams:
    """What the process was started with: Twisted puts others in their places later."""

    error: StreamSink
    output: StreamSink


def _tell_standard_error(message: str) -> None:
    if sys.__stderr__ is not None:
        StreamSink(sys.__stderr__.buffer).write(f"aprp: {message}\n".encode())


@implementer(ILogObserver)
class LogWriter:
    """Writes events of at least ``level`` (debug, info, warn, error) as lines of text.

    ``2026-01-31T12:00:00+0000 warn aprp.web.site: what happened``. Further lines of one event
    (a traceback) begin with a tab, so that no event can pass for two; control characters are
    shown, not sent.
    """

    def __init__(self, sink: Sink, level: str) -> None:
        self.change(sink, level)

    def change(self, sink: Sink, level: str) -> None:
        """Write there from now on, events of at least that level."""
        self._sink = sink
        self._least = LEVELS[level]

    def __call__(self, event: LogEvent) -> None:
        level = event.get("log_level") or LogLevel.info
        if level < self._least:
            return
        text = eventAsText(event, includeTimestamp=False, includeSystem=False)
        if not text:
            return
        at = formatTime(event.get("log_time"))
        name = event.get("log_namespace") or "-"
        line = f"{at} {level.name} {name}: {_harmless(text)}\n"
        self._sink.write(line.encode("utf-8", "backslashreplace"))


def _harmless(text: str) -> str:
    if text.isprintable():
        return text
    shown = "".join(
        character if character.isprintable() or character in "\n\t" else ascii(character)[1:-1]
        for character in text
    )
    return shown.rstrip("\n").replace("\n", "\n\t")


class Logs:
    """The log and the access log of a daemon, as its settings have them. Opening raises OSError.

    `access` is where the lines of the access log go, None where there is none.
    """

    def __init__(self, settings: LogSettings, streams: Streams | None = None) -> None:
        self._streams = streams or Streams(standard_error(), standard_output())
        self._open(settings)
        self.observer = LogWriter(self._log, settings.level)

    def _open(self, settings: LogSettings) -> None:
        def file(path: Path) -> RotatingFile:
            return RotatingFile(path, settings.max_size, settings.keep)

        self._settings = settings
        self._log: Sink = self._streams.error if settings.file is None else file(settings.file)
        self.access: Sink | None = None
        if settings.access == "-":
            self.access = self._streams.output
        elif settings.access is not None:
            try:
                self.access = file(Path(settings.access))
            except OSError:
                self._log.close()
                raise

    @property
    def on_standard_error(self) -> bool:
        """Whether the log goes to standard error."""
        return self._settings.file is None

    def opened(self, settings: LogSettings) -> Logs:
        """Open what other settings name, to `adopt` it later; raises OSError."""
        return Logs(settings, self._streams)

    def adopt(self, other: Logs) -> None:
        """Write where the other does, by its settings, and close what was open."""
        before = (self._log, self.access)
        self._settings, self._log, self.access = other._settings, other._log, other.access
        self.observer.change(self._log, self._settings.level)
        for sink in before:
            if sink is not None:
                sink.close()

    def reopen(self) -> None:
        """Open the files anew, for those who rotate them from outside."""
        self._log.reopen()
        if self.access is not None:
            self.access.reopen()

    def close(self) -> None:
        self._log.close()
        if self.access is not None:
            self.access.close()
