"""Show progress: bars on a terminal, lines elsewhere, or nothing."""

from __future__ import annotations

from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from aprp.get.tally import Tally

BAR_SECONDS = 0.2
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
            *(_said(tally, name) for name in _shown(tally)),
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


class Bars:
    """A bar for the whole file and one for each source."""

    seconds = BAR_SECONDS

    def __init__(self, tally: Tally, console: Console) -> None:
        self._tally = tally
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[text]}", markup=False),
            console=console,
            auto_refresh=False,
            expand=True,
        )
        self._whole: TaskID | None = None
        self._sources: dict[str, TaskID] = {}
        self._length = 0
        self._total = 1
        self._already = 0
        self._before: dict[str, tuple[float, float]] = {}

    def begin(self, title: str, length: int, already: int) -> None:
        self._length, self._already = length, already
        self._total = max(length, 1)
        self._whole = self._progress.add_task(title, total=self._total, text="")
        self._add_sources()
        self._progress.start()

    def _add_sources(self) -> None:
        for name in _shown(self._tally):
            if name not in self._sources:
                task = self._progress.add_task("  " + short(name), total=self._total, text="")
                self._sources[name] = task

    def show(self) -> None:
        if self._whole is None:
            return
        tally = self._tally
        done = self._already + tally.done
        text = f"{size(done)}  {size(tally.rate)}/s  {clock(left(self._length - done, tally.rate))}"
        if tally.twice:
            text += f"  {size(tally.twice)} twice"
        self._progress.update(self._whole, completed=done if self._length else 1, text=text)
        self._add_sources()
        for name, task in self._sources.items():
            written = tally.written[name]
            text = f"{size(written)}  {size(self._rate(name, written))}/s"
            text += f"  {tally.spoken.get(name, '')}"
            self._progress.update(task, completed=written, text=text)
        self._progress.refresh()

    def _rate(self, name: str, written: int) -> float:
        """Return a source's smoothed rate in bytes per second."""
        had, rate = self._before.get(name, (0.0, 0.0))
        rate += ((written - had) / self.seconds - rate) * 0.2
        self._before[name] = (written, rate)
        return rate

    def say(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def end(self) -> None:
        if self._whole is not None:
            self.show()
            self._progress.stop()


def _shown(tally: Tally) -> list[str]:
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
