"""A limit on bytes a second: the token bucket of everything that is slowed down on purpose.

It is asked in one of two ways: `wait` after bytes have passed, `take` before.
"""

from __future__ import annotations

BURST = 0.1
"""Seconds' worth of bytes that may pass at once."""

_ROUNDING = 1e-6
"""Bytes by which sums of times may be off: a whole byte isn't held back for less."""


class RateLimit:
    """A token bucket that fills by `rate` bytes a second; None: no limit.

    Args:
        rate: bytes a second.
        now: seconds on the caller's clock, at which the bucket is empty; -inf: it begins full.
        free: bytes that pass before the limit holds.
        burst: seconds in which an idle bucket is full.
    """

    def __init__(self, rate: float | None, now: float, free: int = 0, burst: float = BURST) -> None:
        self.rate = rate
        self._free = free
        self._burst = burst
        self._even_at = now
        """When everything that was taken will have been paid for."""

    def wait(self, taken: int, now: float) -> float:
        """Return the seconds to wait, now that `taken` more bytes passed, before the next."""
        if self.rate is None:
            return 0.0
        free = min(taken, self._free)
        self._free -= free
        self._even_at = self._idle_since(now) + (taken - free) / self.rate
        return max(0.0, self._even_at - now)

    def take(self, wanted: int, now: float) -> int:
        """Return how many of the `wanted` bytes may pass now, and count them."""
        if self.rate is None:
            return wanted
        saved = max(0, int((now - self._idle_since(now)) * self.rate + _ROUNDING))
        taken = min(wanted, self._free + saved)
        self.wait(taken, now)
        return taken

    def _idle_since(self, now: float) -> float:
        """Return when the bucket, as full as it is now, would have been empty."""
        return max(self._even_at, now - self._burst)
