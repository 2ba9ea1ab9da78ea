"""A transfer as a picture: time to the right, offset upwards, a colour per source.

Each attempt is a line from its request (dotted, while it waits for the first byte) through its
bytes; the black line is what the client has. Plain SVG.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from aprp.core.scheduling.messages import MIB
from aprp.simulator.ticks import ticks
from aprp.simulator.trace import Trace

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#999999")
WIDTH, HEIGHT = 900, 520
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 20, 40, 45


def svg(trace: Trace, title: str, until: float | None = None) -> str:
    """The picture.

    Args:
        trace: of a transfer.
        title: above it.
        until: seconds shown; None for all.
    """
    last = trace.delivered[-1][0] if trace.delivered else 1.0
    end = min(until or last, last)
    top = _top(trace, end)

    def place(time: float, offset: float) -> str:
        x = _LEFT + (WIDTH - _LEFT - _RIGHT) * time / end
        y = HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * offset / top
        return f"{x:.1f},{y:.1f}"

    def path(points: Sequence[tuple[float, int]], style: str) -> str:
        shown = [place(time, offset) for time, offset in points]
        return f'<polyline points="{" ".join(shown)}" fill="none" {style}/>'

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="20" font-size="14">{escape(title)}</text>',
        *_axes(end, top),
    ]
    names = [mirror.name for mirror in trace.mirrors]
    for attempt in trace.lines.values():
        colour = COLOURS[names.index(attempt.source) % len(COLOURS)]
        points = _thin([point for point in attempt.points if point[0] <= end])
        wait = f'stroke="{colour}" stroke-width="0.8" stroke-dasharray="2 2"'
        parts.append(path(points[:2], wait))
        parts.append(path(points[1:], f'stroke="{colour}" stroke-width="2.2"'))
    parts.append(path(_thin(_steps(trace, end)), 'stroke="black" stroke-width="1.2"'))
    parts += _legend(trace)
    return "\n".join([*parts, "</svg>\n"])


def _top(trace: Trace, end: float) -> int:
    offsets = (
        offset for attempt in trace.lines.values() for time, offset in attempt.points if time <= end
    )
    return max(max(offsets, default=1), 1)


def _steps(trace: Trace, end: float) -> list[tuple[float, int]]:
    steps, have = [(0.0, 0)], 0
    for time, offset in trace.delivered:
        if time > end:
            break
        steps += [(time, have), (time, offset)]
        have = offset
    return [*steps, (end, have)]


def _thin(points: Sequence[tuple[float, int]]) -> list[tuple[float, int]]:
    """Without the points in the middle of straight runs."""
    kept: list[tuple[float, int]] = []
    for point in points:
        if len(kept) > 2:
            (t0, o0), (t1, o1) = kept[-2], kept[-1]
            on_line = (o1 - o0) * (point[0] - t1) - (point[1] - o1) * (t1 - t0)
            if abs(on_line) <= 2000 * (point[0] - t0):
                kept[-1] = point
                continue
        kept.append(point)
    return kept


def _axes(end: float, top: int) -> Iterator[str]:
    left, right, bottom = _LEFT, WIDTH - _RIGHT, HEIGHT - _BOTTOM
    yield f'<path d="M{left},{_TOP}V{bottom}H{right}" fill="none" stroke="#444"/>'
    for time, label in ticks(end):
        x = left + (right - left) * time / end
        yield f'<path d="M{x:.1f},{bottom}v4" stroke="#444"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{label}</text>'
    for amount, label in ticks(top / MIB):
        y = bottom - (bottom - _TOP) * amount * MIB / top
        yield f'<path d="M{left},{y:.1f}h-4" stroke="#444"/>'
        yield f'<text x="{left - 7}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    yield f'<text x="{right}" y="{bottom + 34}" text-anchor="end">seconds</text>'
    yield f'<text x="8" y="{_TOP - 8}">MiB</text>'


def _legend(trace: Trace) -> Iterator[str]:
    x = _LEFT + 12
    for index, mirror in enumerate(trace.mirrors):
        y = _TOP + 16 + 16 * index
        colour = COLOURS[index % len(COLOURS)]
        text = f"{mirror.name}: {mirror.rate / 1e6:.3g} MB/s, {mirror.latency * 1000:.3g} ms"
        yield f'<rect x="{x}" y="{y - 8}" width="14" height="4" fill="{colour}"/>'
        yield f'<text x="{x + 20}" y="{y}">{escape(text)}</text>'
    y = _TOP + 16 + 16 * len(trace.mirrors)
    yield f'<rect x="{x}" y="{y - 8}" width="14" height="2" fill="black"/>'
    yield f'<text x="{x + 20}" y="{y}">the client has</text>'
