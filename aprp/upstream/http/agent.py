"""The agent, through which every byte from a source comes. It keeps idle connections per origin.

Where a source speaks HTTP/2, requests share a connection; what it refuses without handling it is
sent again.

`open` takes an idle connection or makes one; `connect` makes one ahead of its first request. A kept
connection may have been closed by the source at the moment it is used: a request that may be sent
twice is then sent again at once, over a new connection and for free; one that may not gets a new
connection to begin with (RFC 9112 section 9.3.1).

Idle connections are bounded over all origins, and all connections by the limit of open files: idle
ones are closed to make room, the longest idle first, and where that isn't enough, the new one is
refused. Requests for files of a directory on disk are passed on to `aprp.upstream.files`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from aprp.core.choices import Http2
from aprp.core.http.addresses import parse_address
from aprp.core.http2.counts import Http2Counts
from aprp.upstream.errors import (
    ConnectFailed,
    NeedsHttp1,
    NoAnswer,
    SourceError,
    StreamRefused,
    connect_failed,
)
from aprp.upstream.exchange import Exchange, Inflow, Origin, SourceRequest
from aprp.upstream.files.agent import FileAgent
from aprp.upstream.http.connection import Connection
from aprp.upstream.http.descriptors import Descriptors
from aprp.upstream.http.dialing import Wrap, dial, dial_unix
from aprp.upstream.http.h2_connection import SharedConnection
from aprp.upstream.http.idle import AnyConnection, IdleConnections
from aprp.upstream.http.names import Addresses, Names, SystemNames
from aprp.upstream.http.shared import SharedConnections
from aprp.upstream.http.tls import H2, client_options
from aprp.upstream.splice.pipes import Pipes
from aprp.upstream.tally import UNCOUNTED, SourceTally

IDLE_SECONDS = 55.0
"""Shorter than the 60 s or more after which common servers close a kept connection."""
IDLE_PER_ORIGIN = 64
MOST_REFUSED = 2
"""Times that a request is sent again because the source refused it without handling it."""

AnyKind = TypeVar("AnyKind", Connection, SharedConnection)


class Agent:
    """The connections to sources, over one reactor (TCP and time).

    `names` knows the addresses of hosts, for whoever connects through this agent; `descriptors`
    says how many connections there may be.
    """

    def __init__(
        self,
        reactor: Any,
        names: Names | None = None,
        descriptors: Descriptors | None = None,
    ) -> None:
        self.names = names or SystemNames(reactor)
        self.descriptors = descriptors or Descriptors(reactor)
        self.descriptors.sources = lambda: self.connections
        self.pipes = Pipes(lambda: self.descriptors.most_pipes)
        self._reactor = reactor
        self._idle = IdleConnections()
        self._files = FileAgent(reactor)
        self._shared = SharedConnections()
        self._open: dict[AnyConnection, Deferred[None]] = {}
        self._closing: set[AnyConnection] = set()  # of those open, closed for others
        self._dialling = 0

    async def open(self, request: SourceRequest) -> Exchange:
        """Send a request and return the exchange, once the head of the final response has come.

        Raises a `SourceError`. Cancelling the coroutine's Deferred closes the connection.
        """
        request.tally.requests += 1
        try:
            exchange = await self._ask(request)
        except SourceError as error:
            request.tally.failed(error, self._reactor.seconds())
            raise
        head, timings = exchange.head, exchange.timings
        spoken = head.protocol if request.origin.directory is None else "disk"
        request.tally.answered(head.status, timings.latency, timings.answered, spoken)
        return exchange

    async def _ask(self, request: SourceRequest) -> Exchange:
        if request.origin.directory is not None:
            self._make_room(request.origin)
            return await self._files.open(request)
        if request.upgrade is not None:  # there is none over HTTP/2
            request = replace(request, origin=replace(request.origin, http2=Http2.OFF))
        for _ in range(MOST_REFUSED):
            try:
                return await self._send(request)
            except StreamRefused:
                if isinstance(request.body, Inflow):
                    raise
            except NeedsHttp1:
                if isinstance(request.body, Inflow) or request.origin.http2 is not Http2.AUTO:
                    raise
                request = replace(request, origin=replace(request.origin, http2=Http2.OFF))
        return await self._send(request)

    async def _send(self, request: SourceRequest) -> Exchange:
        kept = await self._kept(request)
        if kept is not None:
            try:
                return await kept.ask(request)
            except (StreamRefused, NeedsHttp1):
                raise
            except NoAnswer:
                if kept.fresh or not request.repeatable:
                    raise
        connection = await self._connect(request.origin, request.timeouts.connect)
        return await connection.ask(request)

    async def _kept(self, request: SourceRequest) -> AnyConnection | None:
        """Return an open connection for the request, if there is one."""
        origin = request.origin
        shared = self._shared.take(origin, request.sharing.lanes, request.repeatable)
        if shared is None and (waiting := self._shared.wait(origin)) is not None:
            await waiting
            shared = self._shared.take(origin, request.sharing.lanes, request.repeatable)
        if shared is not None:
            self._idle.discard(shared)
            return shared
        return self._idle.take(origin) if request.repeatable else None

    async def connect(
        self, origin: Origin, timeout: float, tally: SourceTally = UNCOUNTED, lanes: int = 1
    ) -> float | None:
        """Make sure that a connection to the origin is idle; over TLS, one whose other side is
        verified.

        Return the seconds that it took to open it; None: one was idle already or can be shared, or
        none is needed, as for a directory. `timeout` are seconds for the name, TCP and TLS
        together; `lanes` is as in `Sharing`. Nothing is reserved: the next request takes it.
        Raises a `SourceError`. Cancelling the coroutine's Deferred closes the connection.
        """
        if origin.directory is not None or self._idle.ready(origin):
            return None
        if self._shared.take(origin, lanes, idle_too=True) is not None:
            return None
        began = self._reactor.seconds()
        try:
            connection = await self._connect(origin, timeout)
        except SourceError as error:
            tally.failed(error, self._reactor.seconds())
            raise
        self._keep(origin, connection)
        return float(self._reactor.seconds() - began)

    def close(self) -> Deferred[None]:
        """Close every connection, busy ones too; fires when all are gone."""
        self._files.close()
        gone = DeferredList(list(self._open.values()))
        for connection in list(self._open):
            connection.abandon()
        self.pipes.close()
        done: Deferred[None] = Deferred()
        gone.addCallback(lambda _: done.callback(None))
        return done

    @property
    def connections(self) -> int:
        """The number of connections open or being opened now, including idle ones."""
        return len(self._open) - len(self._closing) + self._dialling + self._files.open_files

    @property
    def idle(self) -> int:
        """The number of connections that wait for a request."""
        return len(self._idle)

    @property
    def http2(self) -> Http2Counts:
        """The connections of HTTP/2, which are among `connections`."""
        return self._shared.counts()

    def in_use(self) -> Counter[str]:
        """Return how many connections have a request under way, by host and port."""
        return Counter(each.where for each in self._open if each.busy) + self._files.in_use()

    def _make_room(self, origin: Origin) -> None:
        """See that one more may be open; raises ConnectFailed."""
        over = self.connections + 1 - self.descriptors.most_for_sources
        if over > len(self._idle):
            self.descriptors.note_reached("sources")
            raise ConnectFailed(
                str(origin),
                ": no connection is left for it; all that may be open are in use",
                kind="connection_limit_reached",
            )
        self._close_idle(over)

    def _close_idle(self, count: int) -> None:
        """Close a number of connections, longest idle first."""
        for _ in range(count):
            connection = self._idle.take_longest()
            if connection is not None:
                self._close_one(connection)

    def close_idle_at(self, place: str) -> None:
        """Close the idle connections to a place, as `Url.place` has it."""
        for connection in self._idle.take_all(place):
            self._close_one(connection)

    def _close_one(self, connection: AnyConnection) -> None:
        if connection in self._open:
            self._closing.add(connection)
            connection.abandon()

    async def _connect(self, origin: Origin, timeout: float) -> AnyConnection:
        """A new connection on which requests can be sent; one deadline for all that it takes."""
        deadline = self._reactor.seconds() + timeout

        def left() -> float:
            return max(0.0, float(deadline - self._reactor.seconds()))

        addresses = origin.addresses
        if not addresses and origin.socket is None:
            addresses = await self._addresses(origin.host, left())
        self._make_room(origin)
        first = self._shared.begin(origin)
        self._dialling += 1
        try:
            try:
                connection = await self._dial(origin, addresses, left())
            finally:
                self._dialling -= 1
            await connection.opened(left())
            return self._speaking(origin, connection)
        finally:
            if first:
                self._shared.end(origin)

    def _speaking(self, origin: Origin, connection: AnyConnection) -> AnyConnection:
        """Return the connection as one of the protocol that both sides chose."""
        if isinstance(connection, Connection):
            if connection.negotiated != H2:
                self._shared.forget(origin)
                return connection
            plain, connection = connection, self._new(SharedConnection, origin)
            plain.hand_over(connection)
            if (gone := self._open.pop(plain, None)) is not None:
                gone.callback(None)
        self._shared.add(origin, connection)
        return connection

    async def _addresses(self, host: str, seconds: float) -> Addresses:
        return (host,) if parse_address(host) else await self.names.lookup(host, seconds)

    async def _dial(self, origin: Origin, addresses: Addresses, seconds: float) -> AnyConnection:
        def late(*_: object) -> Failure:
            text = "did not accept in time"
            error = ConnectFailed(str(origin), text, kind="connection_timeout", timed_out=True)
            return Failure(error)

        def protocol() -> AnyConnection:
            if origin.http2 is Http2.PRIOR_KNOWLEDGE:
                return self._new(SharedConnection, origin)
            return self._new(Connection, origin)

        factory = Factory.forProtocol(protocol)
        factory.noisy = False
        try:
            if origin.socket is not None:
                dialling = dial_unix(self._reactor, origin.socket, factory)
            else:
                tls = _tls_for(origin)
                dialling = dial(self._reactor, addresses, origin.port, factory, tls)
            connection = await dialling.addTimeout(seconds, self._reactor, late)
        except (CancelledError, ConnectFailed):
            raise
        except Exception as reason:
            raise connect_failed(str(origin), reason) from None
        assert isinstance(connection, Connection | SharedConnection)
        return connection

    def _new(self, kind: type[AnyKind], origin: Origin) -> AnyKind:
        """Return a connection's protocol, counted from now on."""

        def released(connection: AnyKind) -> None:
            self._keep(origin, connection)

        def lost(connection: AnyKind) -> None:
            self._idle.discard(connection)
            if isinstance(connection, SharedConnection):
                self._shared.discard(origin, connection)
            self._closing.discard(connection)
            if (gone := self._open.pop(connection, None)) is not None:
                gone.callback(None)

        connection = kind(self._reactor, str(origin), released, lost, self.pipes)
        self._open[connection] = Deferred()
        return connection

    def _keep(self, origin: Origin, connection: AnyConnection) -> None:
        if self._idle.at(origin) >= IDLE_PER_ORIGIN:
            connection.abandon()
            return
        self._idle.add(origin, connection)
        connection.rest(IDLE_SECONDS)
        self._close_idle(len(self._idle) - self.descriptors.most_idle)


def _tls_for(origin: Origin) -> Wrap:
    """Return what wraps an endpoint of the origin in TLS, if it uses TLS."""
    if origin.scheme == "http":
        return lambda endpoint: endpoint
    return partial(wrapClientTLS, client_options(origin.host, origin.trust, origin.http2))
