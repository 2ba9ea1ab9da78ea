"""The least time a scenario can take; `aprp.core.scheduling.bound` has the plain case.

Where rates change, stop or have to be found, rate_i · max(0, T − a_i) becomes what source i can
deliver from a_i to T: the integral of its rate, or less where connections are limited or start
slowly. Sources that share a bottleneck count once, from the first of their a_i.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from math import exp, inf, log

from aprp.core.scheduling.bound import least_time
from aprp.simulator.mirror import GROWTH, INITIAL_WINDOW, Mirror

_PRECISION = 1e-4


def first_possible(mirror: Mirror) -> float:
    """Return when the first byte can come from a source that has to be connected to, in seconds."""
    return mirror.responds_at(0.0) + 2 * mirror.latency


def nearest(mirrors: Sequence[Mirror]) -> float:
    """Return when the first byte can come from any source, in seconds."""
    return min(first_possible(mirror) for mirror in mirrors)


def bound(mirrors: Sequence[Mirror], size: int, drain: float = inf) -> float:
    """The lower bound of the completion, in seconds; infinite if the sources can't deliver it."""
    groups: dict[str, list[Mirror]] = {}
    for mirror in mirrors:
        groups.setdefault(mirror.bottleneck or mirror.name, []).append(mirror)
    firsts = [min(group, key=first_possible) for group in groups.values()]
    if not any(m.changes or m.slow_start or min(m.dies_at, m.lies_at) < inf for m in firsts):
        return least_time(size, [(_limit(m, m.rate), first_possible(m)) for m in firsts], drain)
    least = _search(lambda time: sum(capacity(m, time) for m in firsts) >= size)
    return max(least, nearest(mirrors) + size / drain)


def capacity(mirror: Mirror, until: float) -> float:
    """The most bytes that the source can have delivered at that time."""
    start = first_possible(mirror)
    until = min(until, mirror.dies_at, mirror.lies_at)
    if until <= start:
        return 0.0
    if mirror.slow_start and not mirror.changes:
        return _ramp(mirror, until - start)
    edges = sorted({start, until, *(time for time, _ in mirror.changes if start < time < until)})
    return sum(
        _limit(mirror, mirror.rate_at(low)) * (high - low)
        for low, high in itertools.pairwise(edges)
    )


def _limit(mirror: Mirror, rate: float) -> float:
    return min(rate, mirror.per_connection * mirror.connections)


def _ramp(mirror: Mirror, seconds: float) -> float:
    """Return the bytes of one connection whose window doubles with each latency until it has the
    rate.
    """
    growth = GROWTH / mirror.latency
    start_rate = INITIAL_WINDOW / mirror.latency
    if start_rate >= mirror.rate:
        return mirror.rate * seconds
    ramp = min(seconds, log(mirror.rate / start_rate) / growth)
    return INITIAL_WINDOW / GROWTH * (exp(growth * ramp) - 1) + mirror.rate * (seconds - ramp)


def _search(enough: Callable[[float], bool]) -> float:
    high = 1.0
    while not enough(high):
        high *= 2
        if high > 1e6:
            return inf
    low = high / 2 if high > 1 else 0.0
    while high - low > _PRECISION:
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
