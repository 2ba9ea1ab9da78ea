"""How streams share a connection: who may send how much, decided by the receiver.

Rules:
- the connection's own window is never what holds a sender up: each stream has its own, so that one
  that isn't read can't starve others;
- how much is in flight over all streams follows what the path holds: it begins with `FIRST` bytes
  and doubles while it is used up within two and a half round trips;
- streams of one delivery are served in the order of its bytes: the first of them, with the head
  block, gets what is in flight; the next gets what that one has no use for any longer;
- deliveries share equally, and each stream always has a little.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import NamedTuple

from aprp.core.values import dataclass

FIRST = 1 << 20
MOST = 1 << 25
"""Bytes in flight: at first, and at most."""
LEAST = 65536
"""Bytes that a stream may always have in flight."""
_HELD = 2.5
"""Round trips within which what is in flight must not be used up."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a delivery the bytes of a stream belong."""

    delivery: Hashable
    offset: int = 0


class Claim(NamedTuple):
    """A stream's need: `credit` bytes may come already, and it could take `room` in all.

    With `final`, that room is all that is left of it.
    """

    stream: int
    place: Place
    credit: int
    room: int
    final: bool = False


class InFlight:
    """How many bytes may be in flight to us over one connection. Times are seconds."""

    def __init__(self) -> None:
        self.size = FIRST
        self._trip: float | None = None
        self._came = 0
        self._since: float | None = None

    def round_trip(self, seconds: float) -> None:
        """Note how long an answer to us took; the shortest counts."""
        self._trip = seconds if self._trip is None else min(self._trip, seconds)

    def came(self, count: int, now: float) -> bool:
        """Note received bytes; return whether more may be in flight from now on."""
        if self._since is None:
            self._since = now
        self._came += count
        if self._came < self.size:
            return False
        elapsed, self._since, self._came = now - self._since, now, 0
        if self._trip is None or elapsed > _HELD * self._trip or self.size >= MOST:
            return False
        self.size *= 2
        return True

    def idle(self) -> None:
        """Nothing is on its way: measure again from the next byte on."""
        self._since, self._came = None, 0


def allot(claims: Iterable[Claim], in_flight: int) -> dict[int, int]:
    """Return how many bytes more each stream may send now; those without more are left out."""
    heads: list[Claim] = []
    ahead: list[Claim] = []
    led: set[Hashable] = set()
    for claim in sorted(claims, key=lambda claim: claim.place.offset):
        (ahead if claim.place.delivery in led else heads).append(claim)
        led.add(claim.place.delivery)
    share = max(LEAST, in_flight // max(1, len(heads)))
    granted: dict[int, int] = {}
    left = in_flight
    for claim in heads:
        more = _more(claim, min(share, claim.room))
        if more:
            granted[claim.stream] = more
        left -= claim.credit + more
    left -= sum(claim.credit for claim in ahead)
    for claim in ahead:
        more = _more(claim, min(claim.room, claim.credit + max(0, left)))
        if more:
            granted[claim.stream] = more
            left -= more
    return granted


def _more(claim: Claim, aim: int) -> int:
    """Return what leads to the aim, where that is worth a frame."""
    more = aim - claim.credit
    if more <= 0:
        return 0
    enough = more * 4 >= aim or more >= LEAST or (claim.final and aim == claim.room)
    return more if enough else 0
