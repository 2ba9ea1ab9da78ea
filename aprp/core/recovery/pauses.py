"""How long to wait before the next request to a source that failed, and when to give up.

The first failure is retried at once; each one after it waits longer. A transfer is given up after
`resume_for` seconds without progress.
"""

from __future__ import annotations

PAUSES = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Seconds until the next try, by the number of failures in a row; then always the last."""


def pause_after(failures: int) -> float:
    """Return the seconds to wait after a number of failures in a row."""
    return PAUSES[min(max(failures - 1, 0), len(PAUSES) - 1)]


class Patience:
    """The time without progress that a transfer may take. `end` is when it is given up.

    `end` is None while nothing has failed since the last progress.
    """

    def __init__(self, resume_for: float) -> None:
        self.end: float | None = None
        self._resume_for = resume_for

    def failed(self, now: float, least: float = 0.0) -> None:
        """Start the clock, unless it runs already; it runs for `least` seconds at least."""
        end = now + max(self._resume_for, least)
        self.end = end if self.end is None else min(self.end, end)

    def progressed(self) -> None:
        """Stop the clock: it starts again with the next failure."""
        self.end = None


class Pauses:
    """The pauses of one body that is resumed from one place."""

    def __init__(self, resume_for: float) -> None:
        self._patience = Patience(resume_for)
        self._failures = 0

    def progressed(self) -> None:
        """Count the next failure as the first."""
        self._patience.progressed()
        self._failures = 0

    def broke(self, now: float) -> float | None:
        """Return the seconds to wait now, None to give up."""
        self._patience.failed(now)
        assert self._patience.end is not None
        left = self._patience.end - now
        if left <= 0:
            return None
        self._failures += 1
        return min(pause_after(self._failures), left)
