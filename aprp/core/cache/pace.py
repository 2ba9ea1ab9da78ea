"""How far a shared fetch runs ahead of its readers, and how long it waits for new ones.

Rules:
- a fetch runs at the pace of its fastest reader: the slower ones read later, from the disk;
- it runs while that reader waits, and ahead of it by the whole blocks that it takes in AHEAD
  seconds: a viewer at the rate of a film takes none, since what its sources need to be in time is
  requested ahead by the transfer below;
- behind that reader, it holds what readers nearly in step need;
- where memory is short, it holds less, and is less far ahead;
- without readers it completes its block, and waits for GRACE seconds, so that a player that
  reconnects finds it.
"""

from __future__ import annotations

from math import exp
from typing import NamedTuple

from aprp.core.cache.extents import BLOCK, around
from aprp.core.scheduling.messages import KIB, MIB

AHEAD = 0.1
"""Seconds, of what is fetched and of what waits in the kernel for a reader."""
MOST_AHEAD = 4 * MIB
LEAST_HELD = BLOCK // 2
"""Bytes that may wait in the kernel."""
GRACE = 5.0
"""Seconds."""
HELD = MIB
"""Bytes that stay in memory behind the furthest one, for readers nearly in step."""
SLACK = 256 * KIB
"""Bytes that are dropped at once."""
_DECAY = 2.0
_FILLING = 1.0
"""Seconds over which the first bytes that a reader takes are spread."""


class Room(NamedTuple):
    """How many bytes a fetch may hold: `behind` its next byte beside `slack`, `ahead` of its
    furthest reader, and in all.
    """

    behind: int
    slack: int
    ahead: int
    most: int


MOST_ROOM = Room(HELD, SLACK, MOST_AHEAD, HELD + SLACK + MOST_AHEAD)


def room_in(window: int | None) -> Room:
    """Return how many bytes a fetch may hold that has been given so many; None: as many as are of
    use.
    """
    if window is None or window >= MOST_ROOM.most:
        return MOST_ROOM
    behind, slack = min(HELD, window // 4), min(SLACK, window // 8)
    return Room(behind, slack, min(MOST_AHEAD, window // 2), window)


class Speed:
    """The rate of something that is counted in bytes now and then, over the last seconds.

    `idle` seconds without a byte count as having passed before the first.
    """

    __slots__ = ("_bytes", "_seconds", "_since")

    def __init__(self, now: float, idle: float = 0.0) -> None:
        self._bytes = 0.0
        self._seconds = idle
        self._since = now

    def count(self, count: int, now: float) -> None:
        """Count bytes that were moved since the last call."""
        elapsed = max(0.0, now - self._since)
        keep = exp(-elapsed / _DECAY)
        self._bytes = self._bytes * keep + count
        self._seconds = self._seconds * keep + elapsed
        self._since = now

    def skip(self, now: float) -> None:
        """Leave out the time since the last call, in which nothing could be moved."""
        self._since = now

    @property
    def rate(self) -> float | None:
        """Bytes per second, or None while too little is known."""
        return self._bytes / self._seconds if self._seconds > 0.01 else None


def taking(now: float) -> Speed:
    """Return the rate of a reader that begins: what first fills its buffers says little of it."""
    return Speed(now, _FILLING)


def ahead_of(rate: float | None) -> int:
    """Return how many bytes a fetch may be ahead of a reader that takes `rate` bytes a second."""
    return int(min(MOST_AHEAD, (rate or 0.0) * AHEAD)) // BLOCK * BLOCK


def held_for(rate: float | None) -> int:
    """Return how many bytes may wait in the kernel for a reader that takes `rate` a second."""
    held = int(min(MOST_AHEAD, max(LEAST_HELD, (rate or 0.0) * AHEAD)))
    return 1 << held.bit_length() - 1  # a power of 2, so that it seldom changes


def may_run_alone(position: int, left_at: int) -> bool:
    """Return whether a fetch may run on whose last reader left when it was at `left_at`."""
    return position < around(left_at, left_at, None).stop


def may_run(position: int, furthest: int, waits: bool, ahead: int, running: bool) -> bool:
    """Return whether a fetch may run on whose furthest reader is at `furthest`.

    It does if that reader `waits` for its next byte. One that was stopped runs again, too, when
    half of what is ahead has been taken.
    """
    if waits and position <= furthest:
        return True
    return position - furthest < (ahead if running else ahead // 2)
