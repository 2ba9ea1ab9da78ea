"""The time of day, read in one place. A simulation puts its own clock here."""

from __future__ import annotations

import time as _time
from collections.abc import Callable

_read: Callable[[], float] = _time.time


def time() -> float:
    """Return the seconds since the epoch."""
    return _read()


def read_from(source: Callable[[], float]) -> Callable[[], float]:
    """Have `time` read another clock; returns the one that it read before."""
    global _read
    before, _read = _read, source
    return before
