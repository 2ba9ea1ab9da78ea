"""Show progress in bars, on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from aprp.get.progress import clock, left, short, shown, size
from aprp.get.tally import Tally

BAR_SECONDS = 0.2


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
        for name in shown(self._tally):
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
