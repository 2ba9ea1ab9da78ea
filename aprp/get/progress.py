"""Show progress in lines, or not at all; `aprp.get.bars` shows it on a terminal."""

from __future__ import annotations

from typing import Protocol, TextIO

from aprp.get.tally import Tally

LINE_SECONDS = 5.0
MANY = 8
"""Sources; if there are more, only those that were asked are shown."""


class Display(Protocol):
    """A progress display, updated every `seconds`."""

    seconds: float

    def begin(self, title: str, length: int, already: int) -> None:
        """Start the display: `length` bytes in total, of which `already` exist."""
        ...

    def show(self) -> None:
        """Show the current progress."""
        ...

    def say(self, text: str) -> None:
        """Print a message on its own line."""
        ...

    def end(self) -> None:
        """End the display."""
        ...


class Lines:
    """A line every few seconds; with `quiet`, only messages."""

    seconds = LINE_SECONDS

    def __init__(self, tally: Tally, out: TextIO, quiet: bool = False) -> None:
        self._tally = tally
        self._out = out
        self._quiet = quiet
        self._length = 0
        self._already = 0

    def begin(self, title: str, length: int, already: int) -> None:
        self._length, self._already = length, already
        if not self._quiet:
            self.say(f"{title}: {size(length)}" + (f", {size(already)} here" if already else ""))

    def show(self) -> None:
        if self._quiet or not self._length:
            return
        tally = self._tally
        done = self._already + tally.done
        parts = [
            f"{size(done)} of {size(self._length)} ({done * 100 // self._length}%)",
            f"{size(tally.rate)}/s",
            f"{clock(left(self._length - done, tally.rate))} left",
            f"{size(tally.twice)} twice",
            *(_said(tally, name) for name in shown(tally)),
        ]
        self.say(", ".join(parts))

    def say(self, text: str) -> None:
        print(text, file=self._out, flush=True)

    def end(self) -> None:
        """Say which source sent how much, in which version of HTTP."""
        spoken = self._tally.spoken
        if spoken and not self._quiet:
            self.say(
                ", ".join(
                    _said(self._tally, name) for name in self._tally.sources if name in spoken
                )
            )


def shown(tally: Tally) -> list[str]:
    """Return the sources to show, in their order."""
    few = len(tally.sources) <= MANY
    return [name for name in tally.sources if few or tally.requests[name]]


def _said(tally: Tally, name: str) -> str:
    """Return what a source sent, and in which version of HTTP."""
    text, version = f"{short(name)} {size(tally.written[name])}", tally.spoken.get(name)
    return text if version is None else f"{text} over {version}"


def size(count: float) -> str:
    """Format a number of bytes: ``1.5 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def clock(seconds: float | None) -> str:
    """Format seconds as ``m:ss`` or ``h:mm:ss``; None is unknown."""
    if seconds is None:
        return "-:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def left(count: int, rate: float) -> float | None:
    """Return the seconds that a number of bytes takes, or None if the rate is unknown."""
    return count / rate if rate > 0 else None


def short(source: str) -> str:
    """Return a source's name without its scheme."""
    return source.partition("://")[2] or source
