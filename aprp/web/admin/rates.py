"""Rates of the past minute, second by second, from counts that only grow."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping

SECONDS = 60
NOW = 5
"""Seconds over which the current rate is averaged; sockets take bytes in bursts."""


class Rates:
    """Rates over the last `SECONDS` seconds: what was added to each count in each of them. Pure."""

    def __init__(self) -> None:
        self._totals: dict[Hashable, int] = {}
        self._history: dict[Hashable, deque[int]] = {}

    def sample(self, totals: Mapping[Hashable, int], elapsed: float) -> None:
        """Take the counts as they are, `elapsed` > 0 seconds after the last time.

        A count that is new begins now; one that is missing is forgotten.
        """
        for key in [key for key in self._totals if key not in totals]:
            del self._totals[key], self._history[key]
        for key, total in totals.items():
            history = self._history.setdefault(key, deque(maxlen=SECONDS))
            history.append(max(0, round((total - self._totals.get(key, total)) / elapsed)))
            self._totals[key] = total

    def history(self, key: Hashable) -> list[int]:
        """Return units a second, the latest last; fewer than `SECONDS` of them at first."""
        return list(self._history.get(key, ()))

    def now(self, key: Hashable) -> int:
        """Return the mean of the last moments."""
        last = self.history(key)[-NOW:]
        return sum(last) // len(last) if last else 0
