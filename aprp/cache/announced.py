"""What this process fetches of one file, as it lets the other processes know.

What was fetched is known to them for `LINGER` seconds more: it takes about a second until the index
has told them what is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aprp.cache.peers import Peers
from aprp.core.http.ranges import Range
from aprp.core.sharing.fetches import hull

LINGER = 2.0
"""Seconds."""


class Announced:
    """The fetches of one file. Nothing is announced before the file has a number."""

    def __init__(self, peers: Peers | None, clock: Any) -> None:
        self._peers = peers
        self._clock = clock
        self._number: int | None = None
        self._noted: Range | None = None
        self._fading: Any = None

    def open(self, number: int, fetched: Sequence[Range]) -> None:
        """Take note of the file's number."""
        self._number = number
        if fetched:
            self.look(fetched)

    def may_have(self, at: int) -> Sequence[int]:
        """Return the processes that may have a byte."""
        if self._peers is None or self._number is None:
            return ()
        return self._peers.may_have(self._number, at)

    def claim(self, wanted: Range, fetched: Sequence[Range]) -> Sequence[int]:
        """Return the processes that may have the first byte of a range; if there are none, announce
        that this one fetches it beside what it has `fetched`.
        """
        if self._peers is None or self._number is None:
            return ()
        noted = hull([wanted, *fetched, *self._remembered()])
        assert noted is not None
        lenders = self._peers.claim(self._number, wanted.start, noted)
        if not lenders:
            self._stay(noted)
        return lenders

    def look(self, fetched: Sequence[Range]) -> None:
        """Announce what is fetched now; forget what was fetched a while after its end."""
        if self._peers is None or self._number is None:
            return
        noted = hull([*fetched, *self._remembered()])
        if noted is not None and noted != self._noted:
            self._peers.note(self._number, noted)
            self._noted = noted
        if fetched:
            self._stay(noted)
        elif noted is not None and self._fading is None:
            self._fading = self._clock.callLater(LINGER, self._fade)

    def close(self) -> None:
        """Announce nothing more."""
        self._rest()
        self._fade()

    def _remembered(self) -> list[Range]:
        return [] if self._noted is None else [self._noted]

    def _stay(self, noted: Range | None) -> None:
        self._noted = noted
        self._rest()

    def _rest(self) -> None:
        if self._fading is not None:
            self._fading.cancel()
            self._fading = None

    def _fade(self) -> None:
        self._fading = None
        if self._peers is not None and self._number is not None and self._noted is not None:
            self._peers.note(self._number, None)
        self._noted = None
