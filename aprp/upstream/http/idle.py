"""Connections that wait for their next request."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from aprp.upstream.exchange import Origin
from aprp.upstream.http.connection import Connection

if TYPE_CHECKING:
    from aprp.upstream.http.h2_connection import SharedConnection

AnyConnection: TypeAlias = "Connection | SharedConnection"
PER_ORIGIN = 64


class IdleConnections:
    """Idle connections of all origins, in the order in which they became idle.

    The one that came last to its origin is taken first; the one that has been idle longest, at any
    origin, is closed first.
    """

    def __init__(self) -> None:
        self._origins: dict[Origin, dict[AnyConnection, None]] = {}
        self._order: dict[AnyConnection, Origin] = {}

    def __len__(self) -> int:
        return len(self._order)

    def ready(self, origin: Origin) -> bool:
        """Return whether one can take a request to that origin now."""
        return any(connection.idle for connection in self._origins.get(origin, ()))

    def add(self, origin: Origin, connection: AnyConnection) -> bool:
        """Keep a connection; return whether there was room for it."""
        there = self._origins.setdefault(origin, {})
        if len(there) >= PER_ORIGIN:
            return False
        there[connection] = None
        self._order[connection] = origin
        return True

    def take(self, origin: Origin) -> AnyConnection | None:
        """Remove and return the one that came last, or None if there is none."""
        there = self._origins.get(origin)
        while there:
            connection, _ = there.popitem()
            del self._order[connection]
            if not there:
                del self._origins[origin]
            if connection.idle:
                return connection
        return None

    def take_all(self, place: str) -> list[AnyConnection]:
        """Remove and return those to a place, as `Url.place` has it."""
        there = [each for each, origin in self._order.items() if origin.place == place]
        for connection in there:
            self.discard(connection)
        return there

    def take_longest(self) -> AnyConnection | None:
        """Remove and return the one that has been idle longest, or None if there is none."""
        connection = next(iter(self._order), None)
        if connection is not None:
            self.discard(connection)
        return connection

    def discard(self, connection: AnyConnection) -> None:
        """Remove a connection that is no longer idle, if it is there."""
        origin = self._order.pop(connection, None)
        if origin is not None:
            there = self._origins[origin]
            del there[connection]
            if not there:
                del self._origins[origin]
