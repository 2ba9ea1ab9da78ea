"""A rate that is measured while it changes."""

from __future__ import annotations

from math import exp

DECAY = 0.25
"""Seconds of busy time after which a measurement weighs 1/e."""


class Meter:
    """Decayed bytes over decayed time; ``rate`` is bytes a second, None if nothing was measured."""

    __slots__ = ("_bytes", "_decay", "_seconds", "rate", "total")

    def __init__(self, decay: float = DECAY) -> None:
        self._decay = decay
        self._bytes = 0.0
        self._seconds = 0.0
        self.total = 0.0
        self.rate: float | None = None

    def add(self, count: int, seconds: float) -> None:
        """Record that ``count`` bytes arrived within ``seconds``."""
        keep = exp(-seconds / self._decay)
        self._bytes = self._bytes * keep + count
        self._seconds = self._seconds * keep + seconds
        self.total += seconds
        self._rate()

    def set(self, rate: float, seconds: float) -> None:
        """Reset the measurement to ``rate`` over a number of seconds."""
        self._bytes, self._seconds = rate * seconds, seconds
        self._rate()

    def _rate(self) -> None:
        self.rate = self._bytes / self._seconds if self._seconds > 0 else None
