"""What one side may cost the other without getting on: frames that carry nothing, streams that are
reset (rapid reset), refusals."""

from __future__ import annotations

from aprp.core.http2.frames import Broken, Code

USELESS_MOST, USELESS_RATE = 1000, 200.0
"""Frames that carry nothing: at once, and a second."""
WORTH = 4096
"""Bytes that we sent for which a WINDOW_UPDATE is of use."""


class Allowance:
    """`most` at once, and `rate` a second over time. Times are seconds."""

    def __init__(self, most: int, rate: float) -> None:
        self._most = float(most)
        self._rate = rate
        self._left = float(most)
        self._at: float | None = None

    def spend(self, now: float, count: float = 1.0) -> bool:
        """Take from the allowance; return whether there was enough."""
        if self._at is not None:
            self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        self._left -= count
        return self._left >= 0

    def earn(self, count: float) -> None:
        """Allow so many more, because the other side got on."""
        self._left = min(self._most, self._left + count)


class UselessFrames:
    """Bounds the frames that carry nothing for us."""

    def __init__(self) -> None:
        self._allowance = Allowance(USELESS_MOST, USELESS_RATE)

    def note(self, now: float, taken: int) -> None:
        """Count one; raise Broken if they are too many.

        `taken` is what the other side took of our bytes since the last one, which it has to say.
        """
        self._allowance.earn(taken / WORTH)
        if not self._allowance.spend(now):
            raise Broken(Code.ENHANCE_YOUR_CALM, "it sends frames without use")
