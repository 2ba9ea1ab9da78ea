"""A limit on bytes a second, kept by waiting before more is taken."""

from __future__ import annotations

BURST = 0.1
"""Seconds' worth of bytes that may come at once."""


class Pace:
    """A bucket that fills with `rate` bytes a second; None: no limit. `now` in seconds."""

    def __init__(self, rate: int | None, now: float) -> None:
        self._rate = rate
        self._full_at = now
        """When everything that was taken will have been paid for."""

    def wait(self, taken: int, now: float) -> float:
        """Seconds to wait, after `taken` bytes were taken, before the next."""
        if self._rate is None:
            return 0.0
        self._full_at = max(self._full_at, now - BURST) + taken / self._rate
        return max(0.0, self._full_at - now)
