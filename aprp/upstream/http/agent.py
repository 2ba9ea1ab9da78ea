"""The agent: every byte from a source comes through it. It keeps connections warm per origin.

`open` takes an idle connection or makes one; `connect` makes one ahead of its first request. A kept
connection may have been closed by the source at the moment it is used: a request that may be sent
twice is then sent again at once, over a new connection and for free; one that may not gets a new
connection to begin with (RFC 9112 section 9.3.1).
"""

from __future__ import annotations

import ipaddress
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    wrapClientTLS,
)
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory

from aprp.upstream.errors import NoAnswer, connect_failed
from aprp.upstream.exchange import Exchange, Origin, SourceRequest
from aprp.upstream.http.connection import Connection
from aprp.upstream.http.names import PinnedNames
from aprp.upstream.http.tls import client_options

IDLE_SECONDS = 55.0
"""Shorter than the 60 s or more after which common servers close a kept connection."""
IDLE_PER_ORIGIN = 64


class Agent:
    """Connections to sources, over one reactor (TCP, time and names)."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._idle: dict[Origin, list[Connection]] = {}
        self._open: dict[Connection, Deferred[None]] = {}

    async def open(self, request: SourceRequest) -> Exchange:
        """Ask; gives the exchange once the head of the final answer is there.

        Raises a `SourceError`. Cancelling the coroutine's Deferred closes the connection.
        """
        if request.repeatable and (kept := self._take(request.origin)) is not None:
            try:
                return await kept.ask(request)
            except NoAnswer:
                if kept.fresh:
                    raise
        connection = await self._connect(request.origin, request.timeouts.connect)
        return await connection.ask(request)

    async def connect(self, origin: Origin, timeout: float) -> float | None:
        """Have a connection to the origin idle, over TLS one whose other side is verified.

        Gives the seconds that it took to open it; None: one was idle already. `timeout` are
        seconds for each of TCP and TLS. Nothing is reserved: whoever asks first takes it. Raises
        a `SourceError`. Cancelling the coroutine's Deferred closes the connection.
        """
        if any(connection.idle for connection in self._idle.get(origin, ())):
            return None
        began = self._reactor.seconds()
        connection = await self._connect(origin, timeout)
        await connection.opened(timeout)
        self._keep(origin, connection)
        return float(self._reactor.seconds() - began)

    def close(self) -> Deferred[None]:
        """Close every connection, busy ones too; fires when all are gone."""
        gone = DeferredList(list(self._open.values()))
        for connection in list(self._open):
            connection.abandon()
        done: Deferred[None] = Deferred()
        gone.addCallback(lambda _: done.callback(None))
        return done

    @property
    def connections(self) -> int:
        """How many are open now, idle ones too."""
        return len(self._open)

    def _take(self, origin: Origin) -> Connection | None:
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.idle:
                return connection
        return None

    async def _connect(self, origin: Origin, timeout: float) -> Connection:
        factory = Factory.forProtocol(lambda: self._connection(origin))
        factory.noisy = False
        try:
            endpoint = self._endpoint(origin, timeout)
            connection = await _stoppable(endpoint.connect(factory))
        except CancelledError:
            raise
        except Exception as reason:
            raise connect_failed(str(origin), reason) from None
        assert isinstance(connection, Connection)
        return connection

    def _connection(self, origin: Origin) -> Connection:
        def released(connection: Connection) -> None:
            self._keep(origin, connection)

        def lost(connection: Connection) -> None:
            idle = self._idle.get(origin, [])
            if connection in idle:
                idle.remove(connection)
            if not idle:
                self._idle.pop(origin, None)
            if (gone := self._open.pop(connection, None)) is not None:
                gone.callback(None)

        connection = Connection(self._reactor, str(origin), released, lost)
        self._open[connection] = Deferred()
        return connection

    def _keep(self, origin: Origin, connection: Connection) -> None:
        idle = self._idle.setdefault(origin, [])
        if len(idle) < IDLE_PER_ORIGIN:
            idle.append(connection)
            connection.rest(IDLE_SECONDS)
        else:
            connection.abandon()

    def _endpoint(self, origin: Origin, timeout: float) -> IStreamClientEndpoint:
        endpoint: IStreamClientEndpoint
        try:
            version = ipaddress.ip_address(origin.host).version
        except ValueError:
            host = origin.host.encode("ascii")
            pinned = origin.addresses
            reactor = PinnedNames(self._reactor, pinned) if pinned else self._reactor
            endpoint = HostnameEndpoint(reactor, host, origin.port, timeout=timeout)
        else:
            literal = TCP4ClientEndpoint if version == 4 else TCP6ClientEndpoint
            endpoint = literal(self._reactor, origin.host, origin.port, timeout=timeout)
        if origin.scheme == "http":
            return endpoint
        return wrapClientTLS(client_options(origin.host, origin.trust), endpoint)


def _stoppable(attempt: Deferred[Any]) -> Deferred[Any]:
    """The same result; a cancel is told as such, where endpoints tell it like their timeouts."""

    def stop(stopped: Deferred[Any]) -> None:
        stopped.errback(CancelledError())
        attempt.cancel()

    result: Deferred[Any] = Deferred(stop)
    attempt.addBoth(lambda outcome: None if result.called else result.callback(outcome))
    return result
