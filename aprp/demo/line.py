"""The line of a mirror: a speed that all of its connections share, and that can be changed."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from aprp.core.rate_limit import RateLimit

MOST = 3_000_000
"""Bytes a second of the fastest line."""


class Line:
    """A token bucket of `rate` bytes a second; at 0 nothing passes. It begins full.

    `sent` is called with the number of bytes after each write.
    """

    def __init__(
        self,
        rate: float,
        seconds: Callable[[], float],
        sent: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._seconds = seconds
        self._limit = RateLimit(rate, -inf)
        self.sent = sent

    @property
    def rate(self) -> float:
        """Bytes a second."""
        return self._limit.rate or 0.0

    def change(self, rate: float) -> None:
        """Change the speed to `rate` bytes per second."""
        self._limit = RateLimit(rate, self._seconds())

    def take(self, wanted: int) -> int:
        """Return how many of the `wanted` bytes may pass now, and count them."""
        return self._limit.take(wanted, self._seconds()) if self.rate else 0
