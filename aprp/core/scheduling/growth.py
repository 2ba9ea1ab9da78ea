"""How fast a number of connections is, once they are through slow start.

TCP doubles what it has in flight with each round trip until packets are lost or the line is full. A
rate that was measured before then says what the connection had done so far, not what it can do; a
further connection would seem to make the source faster only because time has passed. The end of
that growth is found as BBR finds it: in several round trips the rate was hardly higher than before.
Where packets are lost, the rate swings from then on, so how far it swings is measured as well.
"""

from __future__ import annotations

from math import inf, sqrt

_GROWN = 1.25
"""How many times the highest rate so far counts as growth."""
_FLAT = 3
"""Round trips without growth after which it has ended."""
_KEEP = 1 - 1 / 64
"""What an earlier round trip weighs beside the next one."""
_LATELY = 1 / 4
"""What the last round trip weighs in the recent rate."""
_FALLEN = 0.5
"""The part of the rate to which the recent one has to fall to show that it holds no longer."""
_LEAST_SWING = 0.1
"""The part by which single rounds are assumed to differ, at least."""
_SHORTEST = 0.02
"""Seconds of a round, at least: chunks come less evenly than packets."""


class Growth:
    """The growth of the rate of some connections, from their first byte on; and the rate after it.

    ``peak`` is the highest rate of a round trip in which it grew, ``rounds`` counts the round trips
    since it last did; those long ago count for less.
    """

    __slots__ = ("_bytes", "_flat", "_recent", "_seconds", "_squares", "_sum", "peak", "rounds")

    def __init__(self) -> None:
        self.peak = self.rounds = 0.0
        self._flat = 0
        self._recent = 0.0
        self._bytes = 0
        self._seconds = 0.0
        self._sum = self._squares = 0.0

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._flat >= _FLAT

    @property
    def mean(self) -> float:
        """The rate since its end, or the latest sign of it, in bytes per second; 0 if unknown."""
        return self._sum / self.rounds if self.rounds else 0.0

    @property
    def error(self) -> float:
        """The part by which that rate is off: its standard error."""
        mean = self.mean
        if not mean:
            return inf
        variance = max(0.0, self._squares / self.rounds - mean * mean)
        return max(sqrt(variance) / mean, _LEAST_SWING) / sqrt(self.rounds)

    @property
    def fallen(self) -> bool:
        """Whether the rate of the last round trips is far below what it was since its end."""
        return self.over and self._recent < self.mean * _FALLEN

    def add(self, count: int, seconds: float, round_trip: float) -> None:
        """Record that ``count`` bytes came within ``seconds``."""
        self._bytes += count
        self._seconds += seconds
        if self._seconds < max(round_trip, _SHORTEST):
            return
        rate = self._bytes / self._seconds
        self._bytes, self._seconds = 0, 0.0
        if not self.over:
            self._flat += 1
            if rate > self.peak * _GROWN:
                self._flat = 0
                self.peak = self._recent = rate
                self.rounds = self._sum = self._squares = 0.0
                return
        self._recent += (rate - self._recent) * _LATELY
        self.rounds = self.rounds * _KEEP + 1
        self._sum = self._sum * _KEEP + rate
        self._squares = self._squares * _KEEP + rate * rate
