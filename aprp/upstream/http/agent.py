"""The agent, through which every byte from a source comes. It keeps idle connections per origin.

Where a source speaks HTTP/2, requests share a connection; what it refuses without handling it is
sent again.

`open` takes an idle connection or makes one; `connect` makes one ahead of its first request. A kept
connection may have been closed by the source at the moment it is used: a request that may be sent
twice is then sent again at once, over a new connection and for free; one that may not gets a new
connection to begin with (RFC 9112 section 9.3.1).

Requests for files of a directory on disk are passed on to `aprp.upstream.files`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
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
from aprp.upstream.http.connections import Connections
from aprp.upstream.http.descriptors import Descriptors
from aprp.upstream.http.dialing import Wrap, dial, dial_unix
from aprp.upstream.http.idle import AnyConnection
from aprp.upstream.http.names import Addresses, Names, SystemNames
from aprp.upstream.splice.pipes import Pipes
from aprp.upstream.tally import UNCOUNTED, SourceTally

MOST_REFUSED = 2
"""Times that a request is sent again because the source refused it without handling it."""


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
        self._files = FileAgent(reactor)
        self._there = Connections(
            reactor, self.descriptors, self.pipes, lambda: self._files.open_files
        )

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
            self._there.make_room(request.origin)
            return await self._files.open(request)
        if request.upgrade is not None:  # there is none over HTTP/2
            request = request._replace(origin=replace(request.origin, http2=Http2.OFF))
        for _ in range(MOST_REFUSED):
            try:
                return await self._send(request)
            except StreamRefused:
                if isinstance(request.body, Inflow):
                    raise
            except NeedsHttp1:
                if isinstance(request.body, Inflow) or request.origin.http2 is not Http2.AUTO:
                    raise
                request = request._replace(origin=replace(request.origin, http2=Http2.OFF))
        return await self._send(request)

    async def _send(self, request: SourceRequest) -> Exchange:
        kept = self._there.take(request)
        if isinstance(kept, Deferred):
            await kept
            kept = self._there.take(request, wait=False)
        if kept is not None:
            assert not isinstance(kept, Deferred)
            try:
                return await kept.ask(request)
            except (StreamRefused, NeedsHttp1):
                raise
            except NoAnswer:
                if kept.fresh or not request.repeatable:
                    raise
        connection = await self._connect(request.origin, request.timeouts.connect)
        return await connection.ask(request)

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
        if origin.directory is not None or self._there.ready(origin, lanes):
            return None
        began = self._reactor.seconds()
        try:
            connection = await self._connect(origin, timeout)
        except SourceError as error:
            tally.failed(error, self._reactor.seconds())
            raise
        self._there.keep(origin, connection)
        return float(self._reactor.seconds() - began)

    def close(self) -> Deferred[None]:
        """Close every connection, busy ones too; fires when all are gone."""
        self._files.close()
        gone = self._there.close()
        self.pipes.close()
        return gone

    @property
    def connections(self) -> int:
        """The number of connections open or being opened now, including idle ones."""
        return self._there.count

    @property
    def idle(self) -> int:
        """The number of connections that wait for a request."""
        return self._there.idle

    @property
    def http2(self) -> Http2Counts:
        """The connections of HTTP/2, which are among `connections`."""
        return self._there.http2

    def in_use(self) -> Counter[str]:
        """Return how many connections have a request under way, by host and port."""
        return self._there.in_use() + self._files.in_use()

    def close_idle_at(self, place: str) -> None:
        """Close the idle connections to a place, as `Url.place` has it."""
        self._there.close_idle_at(place)

    async def _connect(self, origin: Origin, timeout: float) -> AnyConnection:
        """A new connection on which requests can be sent; one deadline for all that it takes."""
        deadline = self._reactor.seconds() + timeout

        def left() -> float:
            return max(0.0, float(deadline - self._reactor.seconds()))

        addresses = origin.addresses
        if not addresses and origin.socket is None:
            addresses = await self._addresses(origin.host, left())
        self._there.make_room(origin)
        first = self._there.shared.begin(origin)
        self._there.dialling += 1
        try:
            try:
                connection = await self._dial(origin, addresses, left())
            finally:
                self._there.dialling -= 1
            await connection.opened(left())
            return self._there.speaking(origin, connection)
        finally:
            if first:
                self._there.shared.end(origin)

    async def _addresses(self, host: str, seconds: float) -> Addresses:
        return (host,) if parse_address(host) else await self.names.lookup(host, seconds)

    async def _dial(self, origin: Origin, addresses: Addresses, seconds: float) -> AnyConnection:
        def late(*_: object) -> Failure:
            text = "did not accept in time"
            error = ConnectFailed(str(origin), text, kind="connection_timeout", timed_out=True)
            return Failure(error)

        def protocol() -> AnyConnection:
            if origin.http2 is Http2.PRIOR_KNOWLEDGE:
                return self._there.new_shared(origin)
            return self._there.new(origin)

        factory = Factory.forProtocol(protocol)
        factory.noisy = False
        try:
            if origin.socket is not None:
                dialling = dial_unix(self._reactor, origin.socket, factory)
            else:
                tls = _tls_for(origin)
                dialling = dial(self._reactor, addresses, origin.port, factory, tls)
            return cast(AnyConnection, await dialling.addTimeout(seconds, self._reactor, late))
        except (CancelledError, ConnectFailed):
            raise
        except Exception as reason:
            raise connect_failed(str(origin), reason) from None


def _tls_for(origin: Origin) -> Wrap:
    """Return what wraps an endpoint of the origin in TLS, if it uses TLS."""
    if origin.scheme == "http":
        return lambda endpoint: endpoint
    from aprp.upstream.http.tls import client_options  # what `http` URLs alone don't need

    return partial(wrapClientTLS, client_options(origin.host, origin.trust, origin.http2))
