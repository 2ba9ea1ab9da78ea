"""The other processes that share the store, as the cache sees them.

They save traffic, and nothing depends on them: whatever they don't give in time is fetched. Only
what one of them invalidates counts for all at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from twisted.internet.protocol import Protocol as _Protocol

from aprp.core.http.ranges import Range

YES = b"y"
"""Precedes what a process lends."""
Lend = Callable[[int, Range, Any, bool], Awaitable[None] | None]
"""Writes `YES` and a range of the file with that number to a transport, as far as it is there or
comes soon. None: its first byte isn't. Where two processes ask each other for the same bytes, the
one fetches them whose last argument is true.
"""


class Peers(Protocol):
    """The other processes. Stored files are known by their number."""

    def lend_by(self, lend: Lend) -> None:
        """Have that called for what others ask for."""
        ...

    def claim(self, number: int, at: int, fetched: Range) -> Sequence[int]:
        """Return the processes that may have the byte `at` of a file; if there are none, note that
        `fetched` is all that this one fetches of it.
        """
        ...

    def note(self, number: int, fetched: Range | None) -> None:
        """Note what this process fetches of a file."""
        ...

    def may_have(self, number: int, at: int) -> Sequence[int]:
        """Return the processes that may have the byte `at` of a file."""
        ...

    def borrow(self, process: int, number: int, wanted: Range, protocol: _Protocol) -> bool:
        """Ask a process for a range; `protocol` gets what it writes. False: it can't be asked."""
        ...

    def pulse(self, process: int) -> int:
        """Return a number that changes as long as that process runs and lends."""
        ...

    def epoch(self, key: bytes) -> int:
        """Return a number that another one takes the place of when a process ends the epoch."""
        ...

    def end_epoch(self, key: bytes) -> None:
        """Have all processes know that what they found under a key may not be there any more."""
        ...

    async def turn(self, key: bytes) -> None:
        """Begin to ask the sources for something; wait before for another process that does so, at
        most a few seconds.
        """
        ...

    def end_turn(self, key: bytes) -> None:
        """Take note that the sources were asked, and that what they answered can be found."""
        ...
