"""How the running answers of a route share its bytes per second: max-min fairness.

Whoever writes more than the limit allows waits, and the one that was served least goes next
(start-time fair queueing: Goyal, Vin and Cheng, SIGCOMM 1996). An answer that wants less than its
share never waits, and what it leaves goes to the others. Among processes that share one limit,
`divide` does the same by what each of them reports.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Sequence

from aprp.core.rate_limit import RateLimit
from aprp.core.values import dataclass

GROWTH = 1.25
"""Of what a process uses, what it gets while it doesn't use its share."""
RESERVED = 0.05
"""The part of a limit that is divided equally in any case, so that new responses can start."""


class FairShare:
    """Decides whose turn it is. Those who write are any hashable values.

    Args:
        rate: bytes per second of all together; None: no limit.
        now: seconds on the caller's clock.
    """

    def __init__(self, rate: int | None, now: float) -> None:
        self._limit = RateLimit(rate, now)
        self._level = 0
        """What the one whose turn came last had been served, in bytes."""
        self._served: dict[Hashable, int] = {}
        self._waiting: dict[Hashable, int] = {}
        self._queue: list[tuple[int, int, Hashable]] = []
        self._count = 0

    @property
    def rate(self) -> int | None:
        """The rate of all together, in bytes per second; None means no limit."""
        rate = self._limit.rate
        return None if rate is None else int(rate)

    @rate.setter
    def rate(self, rate: int | None) -> None:
        self._limit.rate = rate

    @property
    def writers(self) -> int:
        """The number of writers that have written and aren't done."""
        return len(self._served)

    @property
    def waiting(self) -> int:
        """The number of writers that wait for their turn."""
        return len(self._waiting)

    def wrote(self, who: Hashable, count: int, now: float) -> None:
        """Count bytes that were written."""
        self._served[who] = self._standing(who) + count
        self._limit.wait(count, now)

    def is_free(self, now: float) -> bool:
        """Whether anyone may write now without waiting for a turn."""
        return not self._waiting and self._limit.wait(0, now) <= 0

    def wait(self, who: Hashable) -> None:
        """Queue for a turn."""
        if who not in self._waiting:
            self._count += 1
            self._waiting[who] = self._count
            heapq.heappush(self._queue, (self._standing(who), self._count, who))

    def leave(self, who: Hashable) -> None:
        """Leave the queue, without a turn."""
        self._waiting.pop(who, None)
        if not self._waiting:
            self._queue.clear()

    def done(self, who: Hashable) -> None:
        """Forget one that writes no more."""
        self.leave(who)
        self._served.pop(who, None)

    def pause(self, now: float) -> float | None:
        """Return the seconds until the next turn; None where nobody waits."""
        return self._limit.wait(0, now) if self._waiting else None

    def next(self, now: float) -> Hashable | None:
        """Remove and return the writer whose turn it is, or None if it is nobody's yet."""
        if self._limit.wait(0, now) > 0:
            return None
        while self._queue:
            standing, number, who = heapq.heappop(self._queue)
            if self._waiting.get(who) == number:
                del self._waiting[who]
                self._level = max(self._level, standing)
                return who
        return None

    def _standing(self, who: Hashable) -> int:
        """Return the bytes that a writer counts as served: one that is new or has rested starts
        level with the others.
        """
        return max(self._level, self._served.get(who, 0))


@dataclass(frozen=True, slots=True)
class Demand:
    """What one process does with its part of a limit.

    Args:
        used: bytes per second.
        writers: running answers.
        short: whether answers had to wait.
    """

    used: int
    writers: int
    short: bool


def divide(limit: int, demands: Sequence[Demand]) -> list[int]:
    """Return the part of `limit` that each process gets; together they are never more.

    Those that are short get equal parts for each answer; what nobody needs is divided equally.
    """
    if not demands:
        return []
    least = int(limit * RESERVED) // len(demands)
    wants = [
        float("inf") if each.short else max(0.0, each.used * GROWTH - least) for each in demands
    ]
    weights = [max(1, each.writers) for each in demands]
    left, weight = limit - least * len(demands), sum(weights)
    parts = [least] * len(demands)
    for index in sorted(range(len(demands)), key=lambda n: wants[n] / weights[n]):
        part = int(min(wants[index], left * weights[index] // weight))
        parts[index] += part
        left, weight = left - part, weight - weights[index]
    return [part + left // len(parts) for part in parts]
