"""The figures of a trace."""

from __future__ import annotations

import itertools
from math import inf

from aprp.core.values import dataclass
from aprp.simulator.ideal import bound, nearest
from aprp.simulator.trace import Trace

PLAYER = 0.9
"""A player's rate, as a part of the mean rate that the bound allows after the first byte."""


@dataclass(frozen=True, slots=True)
class Row:
    """One transfer.

    Args:
        seconds: completion; infinite for a transfer that failed.
        over_bound: completion over the lower bound.
        first: seconds by which the first byte came after the nearest source's could.
        gap: longest wait between two deliveries, in seconds.
        start_delay: D90, seconds a player at PLAYER has to wait after the first byte so as never
            to stop.
        twice: part of the file's size that was wasted.
        buffer: greatest number of bytes waiting for the client.
        over_fastest: completion over what the fastest source alone could do.
        requests: how many were made.
    """

    seconds: float
    over_bound: float
    first: float
    gap: float
    start_delay: float
    twice: float
    buffer: int
    over_fastest: float
    requests: int


def measure(trace: Trace, drain: float = inf) -> Row:
    """The row of a trace whose client takes ``drain`` bytes a second."""
    least = bound(trace.mirrors, trace.size, drain)
    alone = min(bound([mirror], trace.size, drain) for mirror in trace.mirrors)
    times = [time for time, _ in trace.delivered]
    if not times or trace.done == inf:
        return Row(inf, inf, inf, inf, inf, inf, trace.buffer, inf, trace.requests)
    gap = max((b - a for a, b in itertools.pairwise(times)), default=0.0)
    return Row(
        seconds=trace.done,
        over_bound=trace.done / least,
        first=times[0] - nearest(trace.mirrors),
        gap=gap,
        start_delay=start_delay(trace, least),
        twice=trace.wasted / trace.size,
        buffer=trace.buffer,
        over_fastest=trace.done / alone,
        requests=trace.requests,
    )


def start_delay(trace: Trace, least: float) -> float:
    """Return the seconds after the first byte at which a player may start and never stop."""
    first = trace.delivered[0][0]
    rate = PLAYER * trace.size / max(least - nearest(trace.mirrors), 1e-9)
    before = [0, *(offset for _, offset in trace.delivered)]
    return max(
        time - first - offset / rate
        for (time, _), offset in zip(trace.delivered, before, strict=False)
    )
