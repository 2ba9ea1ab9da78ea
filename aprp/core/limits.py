"""How much one client, and all together, may have open at once.

Clients are counted by `aprp.core.http.client_address.limit_key`; None isn't counted by address.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum


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


def memory_is_short(has: int, limit: int, was_short: bool) -> bool:
    """Return whether a process that has so many bytes of memory is over its limit; 0: none."""
    return limit > 0 and has > (limit * ENOUGH if was_short else limit)


class ClientCounts:
    """Counts of what is open now. Each `opened` or `began` that succeeds must be matched by its
    opposite.
    """

    def __init__(self) -> None:
        self.connections = 0
        self._connections: Counter[str] = Counter()
        self._requests: Counter[str] = Counter()

    def opened(self, key: str | None, limits: ClientLimits) -> Over | None:
        """Count a connection, or say which limit it is over."""
        if 0 < limits.connections <= self.connections:
            return Over.CONNECTIONS
        if key is not None and 0 < limits.connections_per_address <= self._connections[key]:
            return Over.CONNECTIONS_PER_ADDRESS
        self.connections += 1
        _add(self._connections, key, 1)
        return None

    def closed(self, key: str | None) -> None:
        """A connection that was counted has ended."""
        self.connections -= 1
        _add(self._connections, key, -1)

    def began(self, key: str | None, limits: ClientLimits) -> Over | None:
        """Count a request, or say which limit it is over."""
        if key is not None and 0 < limits.requests_per_address <= self._requests[key]:
            return Over.REQUESTS_PER_ADDRESS
        _add(self._requests, key, 1)
        return None

    def ended(self, key: str | None) -> None:
        """A request that was counted has ended."""
        _add(self._requests, key, -1)


def _add(counter: Counter[str], key: str | None, change: int) -> None:
    if key is None:
        return
    counter[key] += change
    if not counter[key]:
        del counter[key]
