"""What is worth a warning, and not each time that it happens again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

LATELY = 3600.0
"""Seconds in which a repeated event isn't logged again."""
MOST = 4096
"""Things that are remembered at a time, each in a few bytes."""


class LogThrottle:
    """Tells what happens for the first time in `lately` seconds."""

    def __init__(self, lately: float = LATELY) -> None:
        self._lately = lately
        self._told: OrderedDict[int, float] = OrderedDict()

    def should_log(self, thing: Hashable, now: float) -> bool:
        """Whether the thing wasn't told lately; from now on it was."""
        key = hash(thing)
        told = self._told.get(key)
        if told is not None and now - told < self._lately:
            return False
        self._told[key] = now
        self._told.move_to_end(key)
        if len(self._told) > MOST:
            self._told.popitem(last=False)
        return True
