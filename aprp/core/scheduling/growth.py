"""When connections are through slow start: their rate has stopped growing.

TCP doubles what it has in flight with each round trip until packets are lost or the line is full. A
rate that was measured before then says what the connection had done so far, not what it can do; a
further connection would seem to make the source faster only because time has passed. The end of
that growth is found as BBR finds it: in several round trips the rate was hardly higher than before.
Where packets are lost, the rate swings from then on, so it is averaged over many round trips.
"""

from __future__ import annotations

from aprp.core.scheduling.meter import Meter

_GROWN = 1.25
"""How many times the highest rate so far counts as growth."""
_FLAT = 3
"""Round trips without growth after which it has ended."""
_STEADY = 8
"""Round trips after that in which a rate can be measured."""
_DECAY = 3.0
"""Seconds after which what was measured weighs 1/e."""
_SHORTEST = 0.02
"""Seconds of a round, at least: chunks come less evenly than packets."""


class Growth:
    """The growth of one number of connections, from their first byte on."""

    __slots__ = ("_best", "_bytes", "_flat", "_meter", "_round", "_seconds")

    def __init__(self) -> None:
        self._best = 0.0
        self._flat = 0
        self._meter = Meter(_DECAY)
        self._round = _SHORTEST
        self._bytes = 0
        self._seconds = 0.0

    @property
    def steady(self) -> float:
        """The rate since it ended, in bytes per second; 0 until that is known."""
        return (self._meter.rate or 0.0) if self._meter.total >= _STEADY * self._round else 0.0

    def add(self, count: int, seconds: float, round_trip: float) -> None:
        """Record that ``count`` bytes came within ``seconds``."""
        self._round = max(round_trip, _SHORTEST)
        if self._flat >= _FLAT:
            self._meter.add(count, seconds)
            return
        self._bytes += count
        self._seconds += seconds
        if self._seconds < self._round:
            return
        rate = self._bytes / self._seconds
        self._bytes, self._seconds = 0, 0.0
        if rate > self._best * _GROWN:
            self._flat = 0
        else:
            self._flat += 1
        self._best = max(self._best, rate)
