"""A limit on bytes a second, kept by waiting before more is taken."""

from __future__ import annotations

BURST = 0.1
"""Seconds' worth of bytes that may pass at once."""


class RateLimit:
    """A bucket that empties by `rate` bytes a second; None: no limit.

    Args:
        rate: bytes a second.
        now: seconds on the caller's clock.
        free: bytes that pass before the limit holds.
    """

    def __init__(self, rate: int | None, now: float, free: int = 0) -> None:
        self._rate = rate
        self._free = free
        self._even_at = now
        """When everything that was taken will have been paid for."""

    def wait(self, taken: int, now: float) -> float:
        """Seconds to wait, now that `taken` more bytes were taken, before the next."""
        if self._rate is None:
            return 0.0
        free = min(taken, self._free)
        self._free -= free
        self._even_at = max(self._even_at, now - BURST) + (taken - free) / self._rate
        return max(0.0, self._even_at - now)
