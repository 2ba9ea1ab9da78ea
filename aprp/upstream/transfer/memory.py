"""The memory for bytes that wait, divided among all who hold some: deliveries and shared fetches.

While the windows of all together fit into it, nothing is divided. If they don't, it is divided anew
every `REVIEW` seconds, by what each holds and would like to hold.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall

from aprp.core.scheduling.shares import MemoryClaim, windows

REVIEW = 0.1
"""Seconds between two reviews of how memory is divided, while it is short."""


class MemoryHolder(Hashable, Protocol):
    """One who holds bytes that wait."""

    @property
    def held(self) -> int:
        """The bytes that it has in memory."""
        ...

    def wanted(self) -> int:
        """The bytes that it would hold or have in flight if it could."""
        ...

    def used(self) -> int:
        """The bytes that it holds or has in flight."""
        ...

    def limit_window(self, window: int | None) -> None:
        """Limit the bytes that it may hold or have in flight; None: to its own maximum."""
        ...


class MemoryPool(Protocol):
    """The memory that several processes share."""

    def part(self, memory: int, most: int, claim: Callable[[], MemoryClaim]) -> int | None:
        """Return how many of `memory` bytes this process may use; None: there is enough for all.

        `most` is what its holders may use at most, `claim` what they use and would use now.
        """
        ...


class MemoryBudget:
    """At most `memory` bytes that wait, in all processes of the `pool`, if there is one."""

    def __init__(self, clock: Any, memory: int, pool: MemoryPool | None = None) -> None:
        self.memory = memory
        self._clock = clock
        self._pool = pool
        self._holders: dict[MemoryHolder, int] = {}
        self._most = 0
        self._divided = False
        self._review: IDelayedCall | None = None

    def join(self, holder: MemoryHolder, window: int) -> None:
        """Register one who may hold up to `window` bytes."""
        self._holders[holder] = window
        self._most += window
        self.look()

    def leave(self, holder: MemoryHolder) -> None:
        """Forget one who holds nothing any more."""
        self._most -= self._holders.pop(holder, 0)
        if not self._holders and self._review is not None:
            self._review.cancel()
            self._review = None
        if self._pool is not None:
            self.look()

    def limit(self, memory: int) -> None:
        """Change the total number of bytes that may wait; windows shrink or grow to fit."""
        self.memory = memory
        self.look()

    def look(self) -> None:
        """Divide the memory, and review that while all windows together exceed it."""
        part = self._part(self._most)
        self._share(part)
        if part is not None and self._holders and self._review is None:
            self._review = self._clock.callLater(REVIEW, self._look_again)

    @property
    def held(self) -> int:
        """The number of bytes that wait in memory."""
        return sum(holder.held for holder in self._holders)

    @property
    def used(self) -> int:
        """The number of bytes that wait in memory or are in flight."""
        return sum(holder.used() for holder in self._holders)

    def _look_again(self) -> None:
        self._review = None
        self.look()

    def _part(self, most: int) -> int | None:
        """Return the memory for the holders here, whose windows add up to `most`; None: enough for
        all.
        """
        if self._pool is not None:
            return self._pool.part(self.memory, most, self._claim)
        return self.memory if most > self.memory else None

    def _claim(self) -> MemoryClaim:
        return MemoryClaim(sum(holder.wanted() for holder in self._holders), self.used)

    def _share(self, memory: int | None) -> None:
        """Give each its window: its own maximum, or its share of the memory."""
        if memory is None or self._most <= memory:
            if self._divided:
                self._divided = False
                for holder in list(self._holders):
                    holder.limit_window(None)
            return
        self._divided = True
        holders = list(self._holders)
        claims = [MemoryClaim(holder.wanted(), holder.used()) for holder in holders]
        for holder, window in zip(holders, windows(memory, claims), strict=True):
            holder.limit_window(window)
