"""How many requests begin in one turn of the reactor.

A herd of requests that came at the same moment would hold up every running transfer until the last
of them has begun. So only `MOST` begin in one turn; the others wait for the next ones, in order,
and between them the transfers have their turns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

MOST = 8
"""Requests. Beginning one takes up to a millisecond."""


class Turns:
    """The requests of one site."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._waiting: deque[Callable[[], None]] = deque()
        self._begun = 0

    def take(self, begin: Callable[[], None]) -> None:
        """Call `begin`, now or in a later turn."""
        if self._begun == MOST:
            self._waiting.append(begin)
        else:
            self._begin(begin)

    def _begin(self, begin: Callable[[], None]) -> None:
        self._begun += 1
        if self._begun == MOST:
            self._clock.callLater(0, self._turn)
        begin()

    def _turn(self) -> None:
        self._begun = 0
        while self._waiting and self._begun < MOST:
            self._begin(self._waiting.popleft())
