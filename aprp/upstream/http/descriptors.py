"""The limit of open files, and how near to it the connections of clients and to sources are."""

from __future__ import annotations

import resource
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from aprp.core.descriptors import (
    least_for_each,
    most_accepted,
    most_for_clients,
    most_for_sources,
    most_idle,
    most_pipes,
)

UNLIMITED = 1 << 20
"""Descriptors, where the system sets no limit."""
SAY_EVERY = 60.0
"""Seconds between two lines of the log that say that a share is used up."""


class Descriptors:
    """Shares the process's descriptors out. `clients` and `sources` count connections now.

    `reached` counts the connections that were refused, by side.
    """

    _log = Logger()

    def __init__(self, clock: Any, limit: int | None = None) -> None:
        self.limit = limit or _limit()
        self.clients: Callable[[], int] = int
        self.sources: Callable[[], int] = int
        self.reached = {"clients": 0, "sources": 0}
        self.least_idle = most_idle(least_for_each(self.limit))
        """How many connections to sources may be idle, whatever clients have."""
        self._clock = clock
        self._said: dict[str, float] = {}

    @property
    def least_for_sources(self) -> int:
        return least_for_each(self.limit)

    @property
    def most_for_sources(self) -> int:
        return most_for_sources(self.limit, self.clients())

    @property
    def most_for_clients(self) -> int:
        return most_for_clients(self.limit, self.sources())

    @property
    def most_accepted(self) -> int:
        return most_accepted(self.limit, self.sources())

    @property
    def most_idle(self) -> int:
        return most_idle(self.most_for_sources)

    @property
    def most_pipes(self) -> int:
        return most_pipes(self.limit)

    def note_reached(self, side: str) -> None:
        """Count a connection that was refused for want of descriptors, and say so now and then."""
        self.reached[side] += 1
        now = self._clock.seconds()
        if now - self._said.get(side, -SAY_EVERY) >= SAY_EVERY:
            self._said[side] = now
            self._log.warn(
                "refusing connections of {side}: {clients} clients and {sources} connections to "
                "sources use up the limit of {limit} open files; raise it "
                "(LimitNOFILE= or ulimit -n)",
                side=side,
                clients=self.clients(),
                sources=self.sources(),
                limit=self.limit,
            )


def _limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return UNLIMITED if soft == resource.RLIM_INFINITY else soft
