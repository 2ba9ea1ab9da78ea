"""What a simulated transfer left behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from aprp.simulator.mirror import Mirror


@dataclass(slots=True)
class Line:
    """The course of one attempt: (time, offset) as its bytes came."""

    source: str
    points: list[tuple[float, int]]


@dataclass(slots=True)
class Trace:
    """The course of a transfer. Times are seconds from the start, offsets bytes of the file."""

    size: int
    mirrors: tuple[Mirror, ...]
    delivered: list[tuple[float, int]] = field(default_factory=list)
    lines: dict[int, Line] = field(default_factory=dict)
    wasted: float = 0.0
    buffer: int = 0
    requests: int = 0
    failed: tuple[tuple[str, str], ...] | None = None
    done: float = inf
