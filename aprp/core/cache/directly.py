"""Decides whether blocks are written to the disk directly, or through the page cache.

A disk that is fast enough takes them directly. One that is slow, or seeks for each write, gets
them through the page cache, which collects them. It is tried again after a while.
"""

from __future__ import annotations

FAST = 64 * 1024 * 1024
"""Bytes a second that a disk has to take."""
SLOW_FOR = 10.0
"""Seconds until a slow disk is tried again."""
_WEIGHT = 0.25
"""Of the latest write in the average, so that one late write doesn't count for much."""


class Directly:
    """What is known of the disk, by the direct writes so far."""

    def __init__(self) -> None:
        self._each = 0.0  # seconds for a byte
        self._slow_since: float | None = None

    def may(self, now: float) -> bool:
        """Return whether to write directly."""
        if self._slow_since is not None and not 0 <= now - self._slow_since < SLOW_FOR:
            self._slow_since = None
            self._each = 0.0
        return self._slow_since is None

    def wrote(self, size: int, seconds: float, now: float) -> None:
        """Take note of a direct write."""
        self._each += _WEIGHT * (seconds / size - self._each)
        if self._each * FAST > 1:
            self._slow_since = now
