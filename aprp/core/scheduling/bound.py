"""The least time in which a file can come from several sources, however it is scheduled.

Source i can deliver its first byte at a_i (two latencies after the request on a cold connection,
one on a warm one) and from then on no more than its rate. So no plan is done before the least T
with Σ rate_i · max(0, T − a_i) = size; nor, where the client takes at most ``drain`` bytes a
second, before the first byte and size / drain.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf


def least_time(size: float, sources: Sequence[tuple[float, float]], drain: float = inf) -> float:
    """The lower bound, in seconds from the first request.

    Args:
        size: bytes.
        sources: (rate in bytes a second, seconds until its first possible byte) of each.
        drain: bytes a second that the client takes at most.

    Returns:
        The least T; infinite where no source has a rate.
    """
    usable = sorted((first, rate) for rate, first in sources if rate > 0)
    if not usable:
        return inf
    least = water_level(size, [(rate, first) for first, rate in usable])
    return max(least, usable[0][0] + size / drain)


def water_level(size: float, lanes: Sequence[tuple[float, float]]) -> float:
    """Return the least T with Σ rate · max(0, T − free) = size, for (rate, free) pairs; infinite
    without any.

    If ``free`` is when each lane finishes what it has, T is when the rest of a file can be
    complete, and ``rate · (T − free)`` is each lane's share of it.
    """
    total = weighted = 0.0
    level = inf
    for free, rate in sorted((free, rate) for rate, free in lanes if rate > 0):
        if free >= level:
            break
        total += rate
        weighted += rate * free
        level = (size + weighted) / total
    return level
