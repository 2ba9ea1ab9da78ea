"""How far ahead of the client bytes are requested.

Rules:
- read-ahead begins with a few blocks and grows by what the client takes, so that it doubles each
  time the client has taken all of it, up to the window;
- while the client waits, it's at least what the sources deliver in half a second: otherwise a
  distant source would idle until the head block has come from a slow one;
- it's never less than a piece, where bytes are verified in pieces;
- it's otherwise never more than what the client takes in AHEAD seconds at its own rate, measured
  only while bytes are ready for it;
- where it is sparing, since nobody may need the bytes, or another fetches them already, it begins
  with less, and is what the client takes while a source brings SPARING_BLOCKS blocks, one after the
  other, within the bounds of SPARING_AHEAD: a client that has to wait counts as faster, and gets
  more;
- a client that takes nothing for DROP_AFTER seconds while bytes are ready has paused: what was read
  ahead is dropped, except for a little to resume with, until it takes again.
"""

from __future__ import annotations

from math import exp, inf

from aprp.core.scheduling.blocks import EDGE
from aprp.core.scheduling.messages import MIB

AHEAD = 10.0
SPARING_AHEAD = (0.1, 1.0)
"""Seconds, at least and at most."""
SPARING_BLOCKS = 2
DROP_AFTER = 30.0
KEPT = EDGE
"""Bytes that are kept for a paused client to resume with."""

SMALLEST_WINDOW = 4 * EDGE

_FIRST = 8 * MIB
_LEAST = MIB
_SPARING_FIRST = 4 * EDGE
_SPARING_LEAST = EDGE
_DECAY = 5.0

_HUNGRY = 0.5
"""Seconds of what the sources deliver that may be ahead of a client that waits for them."""

_PROMPT = 0.05
"""Seconds in which a client takes what is ready if it waited for it."""


def sparing_ahead(delay: float) -> float:
    """Return the seconds of the client's rate that a sparing read-ahead has."""
    least, most = SPARING_AHEAD
    return min(most, max(least, SPARING_BLOCKS * delay))


class ReadAhead:
    """The client's side of one transfer.

    Args:
        window: bytes; the most that may be ahead.
        sources: how many there are; each gets its first block within the first read-ahead.
        piece: bytes that the client can only be given together; 0: there are no pieces.
        sparing: whether to request little more than what the client takes.
    """

    def __init__(self, window: int, sources: int, piece: int = 0, *, sparing: bool = False) -> None:
        self._piece = piece + EDGE if piece else 0
        self._smallest = max(SMALLEST_WINDOW, self._piece)
        self._window = max(window, self._smallest)
        first = _SPARING_FIRST if sparing else max(_FIRST, 2 * (sources + 1) * MIB)
        self._first = max(first, self._smallest)
        self._least = _SPARING_LEAST if sparing else _LEAST
        self.sparing = sparing
        self._hungry_from = _FIRST if sparing else 0
        self._grown = self._first
        self._bytes = 0.0
        self._seconds = 0.0
        self._since: float | None = None
        self.asleep = False

    @property
    def rate(self) -> float:
        """The bytes per second that the client takes if it can; infinite while it never waited."""
        return self._bytes / self._seconds if self._seconds > 0.01 else inf

    def window(self, now: float, rates: float, delay: float = 0.0) -> int:
        """Return how many bytes may be ahead of the client now.

        Args:
            now: the time.
            rates: what the sources deliver together, in bytes per second.
            delay: seconds in which each of them brings a block, from the request on; it counts
                where the read-ahead is sparing.
        """
        if self.asleep:
            return KEPT
        waits = self._since is None or now < self._since + _PROMPT
        waits = waits and self._grown >= self._hungry_from
        most = min(self._window, max(self._grown, int(rates * _HUNGRY) if waits else 0))
        own = self.rate * (sparing_ahead(delay) if self.sparing else AHEAD)
        return most if own >= most else max(int(own), min(self._least, most), self._piece)

    def resize(self, window: int) -> None:
        """Change the limit."""
        self._window = max(window, self._smallest)

    def offered(self, now: float) -> None:
        """Note that there are bytes for the client to take."""
        if self._since is None:
            self._since = now

    def took(self, count: int, now: float, more: bool) -> None:
        """Note that the client took ``count`` bytes; ``more``: others are ready."""
        if self.asleep:
            self.asleep = False
            self._grown, self._bytes, self._seconds = self._first, 0.0, 0.0
            self._since = now
        waited = now - (now if self._since is None else self._since)
        keep = exp(-waited / _DECAY)
        self._bytes = self._bytes * keep + count
        self._seconds = self._seconds * keep + waited
        self._grown = min(self._grown + count, max(self._window, self._first))
        self._since = now if more else None

    def sleep(self) -> None:
        """Stop reading ahead until the paused client takes something."""
        self.asleep = True

    def drop_at(self) -> float | None:
        """Return when the client counts as paused, unless it takes something before."""
        return None if self.asleep or self._since is None else self._since + DROP_AFTER
