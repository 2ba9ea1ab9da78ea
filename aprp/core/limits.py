"""How much one client, and all together, may have open at once.

Clients are counted by `aprp.core.http.client_address.limit_key`; None isn't counted by address.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum
from typing import Protocol, Self

from aprp.core.values import dataclass


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """The connections of all clients, and the connections and requests of one address, allowed at
    once. 0 means no limit.
    """

    connections: int = 10_000
    connections_per_address: int = 64
    requests_per_address: int = 32


class Over(Enum):
    """The limit that is reached."""

    CONNECTIONS = "connections"
    CONNECTIONS_PER_ADDRESS = "connections_per_address"
    REQUESTS_PER_ADDRESS = "requests_per_address"
    MEMORY = "memory"


ENOUGH = 0.95
"""The part of a memory limit that must be free again before memory is no longer short."""


def memory_limit(setting: int, allowed: int) -> int:
    """Return the limit of memory for the setting; 0: none.

    Below 0 it is 4/5 of what the system allows, which also counts the buffers of sockets.
    """
    return setting if setting >= 0 else allowed * 4 // 5


def memory_is_short(has: int, limit: int, was_short: bool) -> bool:
    """Return whether a process that has so many bytes of memory is over its limit; 0: none."""
    return limit > 0 and has > (limit * ENOUGH if was_short else limit)


class Others(Protocol):
    """What other processes count, and are told of this one. Entering it makes the others wait."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def count(self, kind: str, name: str) -> int:
        """Return what all other processes count."""
        ...

    def note(self, kind: str, name: str, count: int) -> None:
        """Tell what this process counts."""
        ...


CONNECTIONS, REQUESTS = "connections", "requests"
"""The kinds of counts that processes share, by client; those of all clients have no name."""


class ClientCounts:
    """Counts of what is open now. Each `opened` or `began` that succeeds must be matched by its
    opposite.

    `others` are the processes that share the limits; None where there are none.
    """

    def __init__(self, others: Others | None = None) -> None:
        self.connections = 0
        """The connections of this process."""
        self._others = others
        self._connections: Counter[str] = Counter()
        self._requests: Counter[str] = Counter()

    def opened(self, key: str | None, limits: ClientLimits, most: int = 0) -> Over | None:
        """Count a connection, or say which limit it is over.

        This process may have `most` connections, whatever the limits say; 0: any number.
        """
        if 0 < most <= self.connections:
            return Over.CONNECTIONS
        if self._others is None:
            return self._opened(key, limits, 0, 0)
        with self._others as others:
            known = 0 if key is None else others.count(CONNECTIONS, key)
            over = self._opened(key, limits, others.count(CONNECTIONS, ""), known)
            if over is None:
                self._note_connections(others, key)
        return over

    def _opened(self, key: str | None, limits: ClientLimits, all_: int, same: int) -> Over | None:
        """Like `opened`; others have so many connections, and so many of the same client."""
        if 0 < limits.connections <= self.connections + all_:
            return Over.CONNECTIONS
        if key is not None and 0 < limits.connections_per_address <= self._connections[key] + same:
            return Over.CONNECTIONS_PER_ADDRESS
        self.connections += 1
        _add(self._connections, key, 1)
        return None

    def closed(self, key: str | None) -> None:
        """A connection that was counted has ended."""
        self.connections -= 1
        _add(self._connections, key, -1)
        if self._others is not None:
            with self._others as others:
                self._note_connections(others, key)

    def _note_connections(self, others: Others, key: str | None) -> None:
        others.note(CONNECTIONS, "", self.connections)
        if key is not None:
            others.note(CONNECTIONS, key, self._connections[key])

    def began(self, key: str | None, limits: ClientLimits) -> Over | None:
        """Count a request, or say which limit it is over."""
        if self._others is None or key is None:
            return self._began(key, limits, 0)
        with self._others as others:
            over = self._began(key, limits, others.count(REQUESTS, key))
            if over is None:
                others.note(REQUESTS, key, self._requests[key])
        return over

    def _began(self, key: str | None, limits: ClientLimits, same: int) -> Over | None:
        if key is None:
            return None
        if 0 < limits.requests_per_address <= self._requests[key] + same:
            return Over.REQUESTS_PER_ADDRESS
        self._requests[key] += 1
        return None

    def ended(self, key: str | None) -> None:
        """A request that was counted has ended."""
        _add(self._requests, key, -1)
        if self._others is not None and key is not None:
            with self._others as others:
                others.note(REQUESTS, key, self._requests[key])


def _add(counter: Counter[str], key: str | None, change: int) -> None:
    if key is None:
        return
    counter[key] += change
    if not counter[key]:
        del counter[key]
