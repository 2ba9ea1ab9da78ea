"""Count what each source sends, for progress, the summary and the plot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from aprp.core.spans import Spans
from aprp.simulator.mirror import Mirror
from aprp.simulator.plot import svg
from aprp.simulator.trace import Line, Trace
from aprp.upstream.transfer.transfer import Transfer

RECENT = 3.0
"""Seconds over which the rate is averaged."""


class Tally:
    """Counts of one transfer, in bytes, by the names of its sources.

    `written` has the bytes that reached the target by the source that sent them, so that they add
    up to `done`; `twice` counts those that came again. With `draw`, every piece is remembered for
    `picture`.
    """

    def __init__(self, sources: Sequence[str], now: Callable[[], float], draw: bool) -> None:
        self.sources = tuple(sources)
        self.written: Counter[str] = Counter()
        self.twice = 0
        self.requests: Counter[str] = Counter()
        self.done = 0
        self.first_byte: float | None = None
        self._transfers: list[Transfer] = []
        self._now = now
        self._began = now()
        self._draw = draw
        self._waiting = {source: Spans() for source in self.sources}
        self._lines: dict[int, Line] = {}
        self._delivered: list[tuple[float, int]] = []
        self._recent: list[tuple[float, int]] = [(0.0, 0)]

    def use(self, sources: Sequence[str]) -> None:
        """Count these sources from now on; those of before stay counted, but aren't shown."""
        self.sources = tuple(sources)
        for source in sources:
            self._waiting.setdefault(source, Spans())

    def watch(self, transfer: Transfer) -> None:
        """Observe a transfer. Call it before the transfer begins."""
        self._transfers.append(transfer)
        transfer.observe = self._came
        transfer.observe_asked = self._asked

    @property
    def seconds(self) -> float:
        """The seconds since the start."""
        return self._now() - self._began

    @property
    def spoken(self) -> dict[str, str]:
        """The version of HTTP that each source spoke last, as far as it has answered."""
        return {
            name: each for transfer in self._transfers for name, each in transfer.spoken.items()
        }

    def took(self, count: int, offset: int) -> None:
        """Record that the next bytes were written, up to an offset in the file."""
        seconds = self.seconds
        if self.first_byte is None:
            self.first_byte = seconds
        self.done += count
        self._attribute(offset - count, offset)
        self._recent.append((seconds, self.done))
        while len(self._recent) > 2 and self._recent[1][0] < seconds - RECENT:
            del self._recent[0]
        if self._draw:
            self._delivered.append((seconds, offset))

    @property
    def rate(self) -> float:
        """The recent rate in bytes per second."""
        (before, had), (_, has) = self._recent[0], self._recent[-1]
        return (has - had) / max(self.seconds - before, 1e-6)

    def picture(self, complete: int, title: str) -> str:
        """Return an SVG plot of offset over time, one colour per source."""
        seconds = max(self.seconds, 1e-6)
        mirrors = tuple(
            Mirror(name, self.written[name] / seconds, self._latency(name)) for name in self.sources
        )
        trace = Trace(complete, mirrors)
        trace.delivered, trace.lines, trace.done = self._delivered, self._lines, seconds
        return svg(trace, title)

    def _hold(self, source: str, start: int, stop: int) -> None:
        """Record that a source sent [start, stop), not written yet. The latest sender counts."""
        for name, spans in self._waiting.items():
            if name != source:
                spans.remove(start, stop)
        self._waiting[source].add(start, stop)

    def _attribute(self, start: int, stop: int) -> None:
        """Attribute [start, stop), which was written, to the sources that sent it."""
        for name, spans in self._waiting.items():
            self.written[name] += spans.count(start, stop)
            spans.remove(start, stop)

    def _latency(self, source: str) -> float:
        waits = [
            line.points[1][0] - line.points[0][0]
            for line in self._lines.values()
            if line.source == source and len(line.points) > 1
        ]
        return min(waits, default=0.0)

    def _asked(self, source: str, attempt: int, start: int, stop: int) -> None:
        self.requests[source] += 1
        if self._draw:
            self._lines[attempt] = Line(source, [(self.seconds, start)])

    def _came(self, source: str, attempt: int, offset: int, count: int, kept: int) -> None:
        self.twice += count - kept
        if kept:
            self._hold(source, offset, offset + count)
        line = self._lines.get(attempt)
        if line is not None:
            seconds = self.seconds
            if len(line.points) == 1:
                line.points.append((seconds, offset))
            line.points.append((seconds, offset + count))
