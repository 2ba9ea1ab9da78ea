"""The connections to sources that are open: which of them a request takes, and which are closed.

Idle ones are bounded over all origins, and all of them by the limit of open files: idle ones are
closed to make room, the longest idle first, and where that isn't enough, the new one is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredList

from aprp.core.http2.counts import Http2Counts
from aprp.upstream.errors import ConnectFailed
from aprp.upstream.exchange import Origin, SourceRequest
from aprp.upstream.http.connection import Connection
from aprp.upstream.http.descriptors import Descriptors
from aprp.upstream.http.idle import AnyConnection, IdleConnections
from aprp.upstream.http.shared import SharedConnections
from aprp.upstream.http.wire import H2
from aprp.upstream.splice.pipes import Pipes

if TYPE_CHECKING:
    from aprp.upstream.http.h2_connection import SharedConnection

IDLE_SECONDS = 55.0
"""Shorter than the 60 s or more after which common servers close a kept connection."""


class Connections:
    """Those to all origins; `others` counts what is open beside them, within the same limit."""

    def __init__(
        self, reactor: Any, descriptors: Descriptors, pipes: Pipes, others: Callable[[], int]
    ) -> None:
        self._reactor = reactor
        self._descriptors = descriptors
        self._pipes = pipes
        self._others = others
        self.shared = SharedConnections()
        self._idle = IdleConnections()
        self._open: dict[AnyConnection, Deferred[None]] = {}
        self._closing: set[AnyConnection] = set()  # of those open, closed for others
        self.dialling = 0

    @property
    def count(self) -> int:
        """The number of connections open or being opened now, including idle ones and others."""
        return len(self._open) - len(self._closing) + self.dialling + self._others()

    @property
    def idle(self) -> int:
        """The number of connections that wait for a request."""
        return len(self._idle)

    @property
    def http2(self) -> Http2Counts:
        """The connections of HTTP/2, which are among `count`."""
        return self.shared.counts()

    def in_use(self) -> Counter[str]:
        """Return how many connections have a request under way, by host and port."""
        return Counter(each.where for each in self._open if each.busy)

    # Taken and kept

    def take(
        self, request: SourceRequest, wait: bool = True
    ) -> AnyConnection | Deferred[None] | None:
        """Return an open connection for the request, if there is one.

        If the request may `wait` and will share the one that is being opened, return what fires
        when that is there, or has failed.
        """
        origin = request.origin
        if self.shared:
            shared = self.shared.take(origin, request.sharing.lanes, request.repeatable)
            if shared is not None:
                self._idle.discard(shared)
                return shared
            if wait and (opening := self.shared.wait(origin)) is not None:
                return opening
        return self._idle.take(origin) if request.repeatable else None

    def ready(self, origin: Origin, lanes: int) -> bool:
        """Return whether a request that may be sent twice needs no new connection."""
        if self._idle.ready(origin):
            return True
        return self.shared.take(origin, lanes, idle_too=True) is not None

    def keep(self, origin: Origin, connection: AnyConnection) -> None:
        """Keep a connection for later requests."""
        if not self._idle.add(origin, connection):
            connection.abandon()
            return
        connection.rest(IDLE_SECONDS)
        if len(self._idle) > self._descriptors.least_idle:
            self._close_idle(len(self._idle) - self._descriptors.most_idle)

    # Opened

    def new(self, origin: Origin) -> Connection:
        """Return the protocol of a connection, counted from now on."""
        released = partial(self.keep, origin)
        connection = Connection(self._reactor, str(origin), released, self._lost, self._pipes)
        self._open[connection] = Deferred()
        return connection

    def new_shared(self, origin: Origin) -> SharedConnection:
        """Return the protocol of a connection that speaks HTTP/2, counted from now on.

        HTTP/2 is loaded when the first source speaks it.
        """
        from aprp.upstream.http.h2_connection import SharedConnection

        def lost(connection: SharedConnection) -> None:
            self.shared.discard(origin, connection)
            self._lost(connection)

        released = partial(self.keep, origin)
        connection = SharedConnection(self._reactor, str(origin), released, lost, self._pipes)
        self._open[connection] = Deferred()
        return connection

    def speaking(self, origin: Origin, connection: AnyConnection) -> AnyConnection:
        """Return the connection as one of the protocol that both sides chose."""
        if isinstance(connection, Connection):
            if connection.negotiated != H2:
                self.shared.forget(origin)
                return connection
            plain, connection = connection, self.new_shared(origin)
            plain.hand_over(connection)
            self._forget(plain)
        self.shared.add(origin, connection)
        return connection

    def make_room(self, origin: Origin) -> None:
        """See that one more may be open; raises ConnectFailed."""
        over = self.count + 1 - self._descriptors.most_for_sources
        if over > len(self._idle):
            self._descriptors.note_reached("sources")
            raise ConnectFailed(
                str(origin),
                ": no connection is left for it; all that may be open are in use",
                kind="connection_limit_reached",
            )
        self._close_idle(over)

    # Closed

    def close_idle_at(self, place: str) -> None:
        """Close the idle connections to a place, as `Url.place` has it."""
        for connection in self._idle.take_all(place):
            self._close_one(connection)

    def close(self) -> Deferred[None]:
        """Close every connection, busy ones too; fires when all are gone."""
        gone = DeferredList(list(self._open.values()))
        for connection in list(self._open):
            connection.abandon()
        done: Deferred[None] = Deferred()
        gone.addCallback(lambda _: done.callback(None))
        return done

    def _close_idle(self, count: int) -> None:
        """Close a number of connections, longest idle first."""
        for _ in range(count):
            connection = self._idle.take_longest()
            if connection is not None:
                self._close_one(connection)

    def _close_one(self, connection: AnyConnection) -> None:
        if connection in self._open:
            self._closing.add(connection)
            connection.abandon()

    def _lost(self, connection: AnyConnection) -> None:
        self._idle.discard(connection)
        self._closing.discard(connection)
        self._forget(connection)

    def _forget(self, connection: AnyConnection) -> None:
        if (gone := self._open.pop(connection, None)) is not None:
            gone.callback(None)
