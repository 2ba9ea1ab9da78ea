"""The bytes of all files that wait for the disk: they are bounded.

When too many wait, fetches pause until half of them have been written, also those that would have
waited for more. If the disk does nothing for
a moment, they resume all the same, and nothing more is kept until half has been written: a disk
that is slow limits how fast files are received, one that hangs doesn't stop them.
"""

from __future__ import annotations

from typing import Any, Protocol

from aprp.core.scheduling.messages import MIB
from aprp.upstream.watchdog import Watchdog

MOST = 16 * MIB
"""Bytes."""
PATIENCE = 0.5
"""Seconds without a completed write after which a disk hangs."""


class Paced(Protocol):
    """A fetch."""

    def pace(self) -> None:
        """Pause, or resume; while the backlog holds fetches, have what waits for more written."""
        ...


class Backlog:
    """The bytes that wait, of which there may be `most`."""

    def __init__(self, clock: Any, most: int = MOST) -> None:
        self.most = most
        self.size = 0
        self.holds = False
        """Whether fetches pause."""
        self.full = False
        """Whether nothing more is kept."""
        self._watchdog = Watchdog(clock, self._hangs)
        self._fetches: set[Paced] = set()

    def join(self, fetch: Paced) -> None:
        """Have a fetch paced."""
        self._fetches.add(fetch)

    def leave(self, fetch: Paced) -> None:
        """Undo `join`."""
        self._fetches.discard(fetch)

    @property
    def behind(self) -> bool:
        """Whether so much waits that fetches are about to pause."""
        return self.size >= self.most // 4 * 3

    def add(self, count: int) -> None:
        """Count bytes that wait from now on."""
        self.size += count
        if self.size >= self.most and not self.holds and not self.full:
            self.holds = True
            self._watchdog.expect(PATIENCE)
            self._wake()

    def drop(self, count: int, written: bool) -> None:
        """Count bytes that don't wait any more, since they are written, or won't be."""
        self.size -= count
        if not written and self.size:
            return
        if self.size <= self.most // 2 and (self.holds or self.full):
            self._watchdog.close()
            self.holds = self.full = False
            self._wake()
        elif self.holds:
            self._watchdog.expect(PATIENCE)

    def _hangs(self) -> None:
        self.holds, self.full = False, True
        self._wake()

    def _wake(self) -> None:
        for fetch in tuple(self._fetches):
            fetch.pace()
