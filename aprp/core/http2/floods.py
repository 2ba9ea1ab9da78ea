"""What one side may cost the other without getting on: frames that carry nothing, streams that are
reset (rapid reset), refusals."""

from __future__ import annotations


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
