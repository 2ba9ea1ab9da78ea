"""Over how many connections requests to one source are spread, where they can share one.

Rules:
- one connection is enough until more were measured to be faster, as on a line that loses packets or
  at a source that limits each connection;
- numbers are compared by what they bring after slow start (`growth.py`), and only as far as the
  swings of their rates allow to tell them apart;
- more are tried as soon as slow start is over, several times as many as are in use: a large gain
  shows through any swing, and where there is none the trial costs little but the handshakes;
- a trial that failed is repeated later, after twice the time with each further failure;
- where several are in use, one that brings nothing any longer is left: times in which one of them
  has nothing to bring show that.
"""

from __future__ import annotations

from math import hypot

from aprp.core.scheduling.growth import Growth

_LEAP = 4
"""How many times as many connections are tried at once."""
_LEAST, _MOST = 4, 48
"""Round trips of a trial before it is judged, and after which it is judged in any case."""
_PLAIN = 2.0
"""How many times faster a single round trip has to be to show a gain by itself."""
_SURE = 2.0
"""Standard errors by which a gain has to be beyond doubt."""
_WORTH = 1.2
"""How many times faster more connections must be."""
_AGAIN = 1.0
"""Seconds until the next trial, doubled with each failure."""
_LONGEST = 6
"""Failures after which that time doesn't grow any longer."""


class Level:
    """What about so many connections brought."""

    def __init__(self) -> None:
        self.growth = Growth()
        self._seconds = self._used = 0.0

    @property
    def connections(self) -> float:
        """How many there were, on average."""
        return self._used / self._seconds if self._seconds else 1.0

    def add(self, count: int, seconds: float, connections: int, round_trip: float) -> None:
        """Record that ``count`` bytes came over so many connections within ``seconds``."""
        self.growth.add(count, seconds, round_trip)
        self._seconds += seconds
        self._used += seconds * connections


class Spreading:
    """What was measured of one source: with as many connections as are worth having (``lanes``),
    with more, and with fewer."""

    def __init__(self) -> None:
        self._these, self._more, self._fewer = Level(), Level(), Level()
        self._tried = self._most = 0  # connections that a trial is to have, and has had
        self._try_at = 0.0
        self._failures = 0

    @property
    def rate(self) -> float:
        """The rate with as many as are worth having, in bytes per second; 0 if not known."""
        return self._these.growth.mean

    @property
    def trying(self) -> bool:
        """Whether a trial of more connections has begun."""
        return self._most > 0

    def to_try(self, lanes: int, most: int, now: float) -> int:
        """Return how many connections to use, to learn whether they are faster than ``lanes``."""
        if not self._these.growth.over or now < self._try_at:
            return lanes
        self._tried = min(_LEAP * lanes, max(most, lanes))
        return self._tried

    def came(
        self, count: int, seconds: float, connections: int, lanes: int, trip: float, now: float
    ) -> int:
        """Record that ``count`` bytes came over so many connections within ``seconds``, while
        ``lanes`` were worth having; return how many are now."""
        if connections > lanes:
            if now < self._try_at:
                return lanes  # what is left of the last trial
            self._most = max(self._most, connections)
            self._more.add(count, seconds, connections, trip)
            return self._raised(lanes, now)
        if connections < lanes:
            self._fewer.add(count, seconds, connections, trip)
        else:
            self._these.add(count, seconds, connections, trip)
            if self._these.growth.fallen:
                self._these, self._try_at = Level(), now
        return self._lowered(lanes)

    def _raised(self, lanes: int, now: float) -> int:
        these, more = self._these.growth, self._more.growth
        if not these.over:
            return lanes
        if more.peak > _PLAIN * these.mean * (1 + _SURE * these.error):
            return self._succeeded()
        if more.rounds < _LEAST or not more.over:
            return lanes
        gain = more.mean / max(these.mean, 1.0)
        doubt = 1 + _SURE * hypot(these.error, more.error)
        worth = 1 + (_WORTH - 1) * min(1.0, self._more.connections / lanes - 1)
        enough = more.rounds >= _MOST
        if gain > worth * (1.0 if enough else doubt):
            return self._succeeded()
        if gain * doubt < 1:
            self._these = Level()  # the line isn't what it was
            self._end_trial()
        elif enough or gain * doubt < worth:
            self._failures += 1
            self._try_at = now + _AGAIN * 2 ** min(self._failures, _LONGEST)
            self._end_trial()
        return lanes

    def _succeeded(self) -> int:
        lanes = max(self._most, self._tried)
        self._failures, self._try_at = 0, 0.0
        self._these, self._fewer = self._more, Level()
        self._end_trial()
        return lanes

    def _end_trial(self) -> None:
        self._more, self._most, self._tried = Level(), 0, 0

    def _lowered(self, lanes: int) -> int:
        these, fewer = self._these.growth, self._fewer.growth
        if min(these.rounds, fewer.rounds) < 2 * _LEAST or not (these.over and fewer.over):
            return lanes
        gain = these.mean / max(fewer.mean, 1.0)
        doubt = 1 + _SURE * hypot(these.error, fewer.error)
        if gain * doubt >= 1 + (_WORTH - 1) * (lanes / self._fewer.connections - 1):
            return lanes
        self._these, self._fewer = self._fewer, Level()
        return lanes - 1
