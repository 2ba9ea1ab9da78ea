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
        self._logged: OrderedDict[int, float] = OrderedDict()

    def should_log(self, event: Hashable, now: float) -> bool:
        """Whether the event wasn't logged lately; from now on it was."""
        key = hash(event)
        logged = self._logged.get(key)
        if logged is not None and now - logged < self._lately:
            return False
        self._logged[key] = now
        self._logged.move_to_end(key)
        if len(self._logged) > MOST:
            self._logged.popitem(last=False)
        return True
