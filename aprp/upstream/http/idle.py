"""Connections that wait for their next request."""

from __future__ import annotations

from aprp.upstream.exchange import Origin
from aprp.upstream.http.connection import Connection


class IdleConnections:
    """Idle connections of all origins, in the order in which they came to rest.

    The one that came last to its origin is taken first; the one that has been idle longest, at
    whatever origin, is given up first.
    """

    def __init__(self) -> None:
        self._origins: dict[Origin, dict[Connection, None]] = {}
        self._order: dict[Connection, Origin] = {}

    def __len__(self) -> int:
        return len(self._order)

    def at(self, origin: Origin) -> int:
        """How many wait for requests to that origin, with any that are being closed."""
        return len(self._origins.get(origin, ()))

    def ready(self, origin: Origin) -> bool:
        """Whether one is there that can take a request to that origin."""
        return any(connection.idle for connection in self._origins.get(origin, ()))

    def add(self, origin: Origin, connection: Connection) -> None:
        self._origins.setdefault(origin, {})[connection] = None
        self._order[connection] = origin

    def take(self, origin: Origin) -> Connection | None:
        """The one that came last, which is no longer among them; None where there is none."""
        there = self._origins.get(origin)
        while there:
            connection = next(reversed(there))
            self.discard(connection)
            if connection.idle:
                return connection
        return None

    def take_longest(self) -> Connection | None:
        """The one that has been idle longest, which is no longer among them."""
        connection = next(iter(self._order), None)
        if connection is not None:
            self.discard(connection)
        return connection

    def discard(self, connection: Connection) -> None:
        """It isn't idle any longer; no effect where it wasn't."""
        origin = self._order.pop(connection, None)
        if origin is not None:
            there = self._origins[origin]
            del there[connection]
            if not there:
                del self._origins[origin]
