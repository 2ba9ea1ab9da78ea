"""The daemon's log and access log: the levels, the format, the files and streams."""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.logger import ILogObserver, LogEvent, LogLevel, eventAsText, formatTime
from zope.interface import implementer

from aprp.config import LogSettings
from aprp.core.values import dataclass
from aprp.daemon.log_sinks import Losses, RotatingFile, Sink, StreamSink

LEVELS = {
    "debug": LogLevel.debug,
    "info": LogLevel.info,
    "warn": LogLevel.warn,
    "error": LogLevel.error,
}


@dataclass(frozen=True, slots=True)
class Streams:
    """What the process was started with: Twisted puts others in their places later.

    `log_losses` and `access_losses` are the lines that either log lost, wherever it is written.
    """

    error: StreamSink
    output: StreamSink
    log_losses: Losses
    access_losses: Losses

    @classmethod
    def now(cls) -> Streams:
        """Standard error and standard output as they are now."""
        log, access = Losses("log"), Losses("access log")
        return cls(StreamSink(sys.stderr, log), StreamSink(sys.stdout, access), log, access)


@implementer(ILogObserver)
class LogWriter:
    """Writes events of at least ``level`` (debug, info, warn, error) as lines of text.

    ``2026-01-31T12:00:00+0000 warn aprp.web.site: what happened``. A line that belongs to a
    request or its transfer has its id in brackets before the text (``transfer``). Further lines of
    one event (a traceback) begin with a tab, so that no event can pass for two; control characters
    are shown, not sent.
    """

    def __init__(self, sink: Sink, level: str) -> None:
        self.change(sink, level)

    def change(self, sink: Sink, level: str) -> None:
        """Write there from now on, events of at least that level."""
        self._sink = sink
        self._least = LEVELS[level]

    def __call__(self, event: LogEvent) -> None:
        level = event.get("log_level") or LogLevel.info
        if level is LogLevel.info and event.get("log_namespace") == "log_legacy":
            level = LogLevel.debug  # Twisted's own: which factory starts where
        if level < self._least:
            return
        text = eventAsText(event, includeTimestamp=False, includeSystem=False)
        if not text:
            return
        at = formatTime(event.get("log_time"))
        name = event.get("log_namespace") or "-"
        of = f"[{event['transfer']}] " if event.get("transfer") else ""
        line = f"{at} {level.name} {name}: {of}{_harmless(text)}\n"
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
        self._streams = streams or Streams.now()
        self._open(settings)
        self.observer = LogWriter(self._log, settings.level)

    def _open(self, settings: LogSettings) -> None:
        def file(path: Path, losses: Losses) -> RotatingFile:
            return RotatingFile(path, settings.max_size, settings.keep, losses)

        self._settings = settings
        self._log: Sink = self._streams.error
        if settings.file is not None:
            self._log = file(settings.file, self._streams.log_losses)
        self.access: Sink | None = None
        if settings.access == "-":
            self.access = self._streams.output
        elif settings.access is not None:
            try:
                self.access = file(Path(settings.access), self._streams.access_losses)
            except OSError:
                self._log.close()
                raise

    def dropped(self) -> dict[str, int]:
        """Lines that were lost since the process began, by log."""
        streams = self._streams
        return {"log": streams.log_losses.total, "access": streams.access_losses.total}

    @property
    def on_standard_error(self) -> bool:
        """Whether the log goes to standard error."""
        return self._settings.file is None

    def write(self, line: bytes) -> None:
        """Write a line of another process, as it is."""
        self._log.write(line)

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

    def change_level(self, level: str) -> None:
        """Log at another level, until other settings are adopted."""
        self.observer.change(self._log, level)

    def reopen(self) -> None:
        """Reopen the files after an external rotation."""
        self._log.reopen()
        if self.access is not None:
            self.access.reopen()

    def close(self) -> None:
        self._log.close()
        if self.access is not None:
            self.access.close()
