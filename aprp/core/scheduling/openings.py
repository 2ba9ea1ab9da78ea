"""Connections that are opened for granted slots, before it is decided what to fetch on them.

Rules:
- a granted slot is passed on to the scheduler when its connection is open, so that the nearest
  source gets the head block;
- while a connection is being opened, wants and withdrawals for its source don't reach the arbiter:
  they say whether the slot is still wanted when it is open;
- a slot that isn't wanted by then goes back to the arbiter, and its connection to the pool.
"""

from __future__ import annotations


class Openings:
    """The connections that one transfer is opening, at most one for each source."""

    def __init__(self) -> None:
        self._wanted: dict[str, bool] = {}

    def want(self, source: str) -> bool:
        """Record that a slot is wanted. Return whether to request one from the arbiter."""
        if source in self._wanted:
            self._wanted[source] = True
            return False
        return True

    def withdraw(self, source: str) -> None:
        """Record that a slot is no longer wanted."""
        if source in self._wanted:
            self._wanted[source] = False

    def begin(self, source: str) -> bool:
        """Note that a slot was granted. Return whether to open a connection for it.

        Not if one is being opened already: a slot that was wanted again before the transfer heard
        of an earlier grant is one too many.
        """
        if source in self._wanted:
            return False
        self._wanted[source] = True
        return True

    def end(self, source: str) -> bool:
        """Note that opening succeeded or failed; return whether the slot is still wanted."""
        return self._wanted.pop(source)
