"""How long a source is parked after a Retry-After.

Retry-After parks the requested file. If several files are parked at once, the source as a whole is
overloaded, and all its files are parked.
"""

from __future__ import annotations

from collections.abc import Iterable

SEVERAL = 3
"""Files parked at once by which the whole source is parked."""
MOST = 1024
"""Files of one source that are remembered."""


class Parking:
    """The parked files of one source, each until its own time."""

    def __init__(self) -> None:
        self._files: dict[str, float] = {}

    def park(self, file: str, now: float, seconds: float) -> None:
        """Park the file for these seconds."""
        self._files = {name: until for name, until in self._files.items() if until > now}
        until = max(self._files.pop(file, 0.0), now + seconds)
        if len(self._files) < MOST:
            self._files[file] = until

    def files(self) -> tuple[tuple[str, float], ...]:
        """Return the files that were parked, each with the end of that time."""
        return tuple(sorted(self._files.items()))

    def adopt(self, files: Iterable[tuple[str, float]]) -> None:
        """Park these files, too, each until its time."""
        for file, until in files:
            if file in self._files or len(self._files) < MOST:
                self._files[file] = max(self._files.get(file, 0.0), until)

    def until(self, file: str, now: float) -> float:
        """Return when the file may be requested again; not later than `now` if it may be now."""
        return max(self._files.get(file, 0.0), self.whole_until(now))

    def whole_until(self, now: float) -> float:
        """Return when the source as a whole may be used again: when fewer files are parked."""
        if len(self._files) < SEVERAL:
            return 0.0
        times = sorted((until for until in self._files.values() if until > now), reverse=True)
        return times[SEVERAL - 1] if len(times) >= SEVERAL else 0.0
