"""An upstream of our own that does to order whatever an upstream can do, on a real socket.

An `Origin` listens on a loopback address and asks its `answer` what to do with each request. The
answer is a `Reply` or plain steps (see `tests.support.replies`): bytes to send, `Wait`, `Stall`,
`Close`, `Reset`. A `File` answers like an honest server; its replies can then be spoiled:

    origin = Origin(lambda received: File(content).reply(received).broken(1000, Reset()))
    await origin.start()           # then origin.url; `await origin.stop()` when done

Several origins at once stand on 127.0.0.1, 127.0.0.2 and so on. All connections of one share its
`rate`. It reads requests strictly and notes what was malformed, so that a test of a proxy can say
that nothing malformed arrived. Nothing here knows of the proxy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IPullProducer
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

from aprp.core.rate_limit import RateLimit
from tests.support.eventually import eventually
from tests.support.replies import (
    PIECE,
    Close,
    End,
    Received,
    Reply,
    Reset,
    Section,
    Step,
    Wait,
    pieces,
)

BURST = 0.02
"""Seconds' worth of bytes that an origin with a rate sends at once."""

Responder = Callable[[Received], Reply | Iterable[Step]]
"""Says what an origin does with a request."""


class Origin:
    """An upstream at `host`. `answer`, `rate` (bytes a second) and `latency` (seconds from a
    request to its answer's first byte) may be changed at any time.
    """

    def __init__(
        self,
        answer: Responder,
        host: str = "127.0.0.1",
        rate: float | None = None,
        latency: float = 0.0,
        reactor: Any = _reactor,
    ) -> None:
        self.answer = answer
        self.host = host
        self.latency = latency
        self.reactor = reactor
        self.port = 0
        self.ready: Callable[[], object] = lambda: True
        """Requests are answered once this is true."""
        self.answers_at_head = False
        """Whether requests are answered before their bodies came, which are dropped then."""
        self.requests: list[Received] = []
        """Every request, in the order of their arrival."""
        self.malformed: list[bytes] = []
        """What came and wasn't a request of HTTP/1.1 with one reading."""
        self.bytes_sent = 0
        """Handed to the kernel, heads included."""
        self.connections = 0
        """Accepted so far."""
        self.most_open = 0
        """Connections open at one time, at most; one that ends as another begins isn't counted."""
        self._limit = RateLimit(None, 0.0)
        self.rate = rate
        self._open: set[_Served] = set()
        self._port: Any = None

    @property
    def rate(self) -> float | None:
        return self._limit.rate

    @rate.setter
    def rate(self, rate: float | None) -> None:
        self._limit = RateLimit(rate, 0.0, burst=BURST)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def open(self) -> int:
        """Connections open now."""
        return len(self._open)

    @property
    def serving(self) -> int:
        """Connections on which an answer is being sent now."""
        return sum(each.serving for each in self._open)

    def count_open(self) -> None:
        """Called a turn of the reactor after a connection was made: one that the other side closed
        before it is known to be gone only then."""
        self.most_open = max(self.most_open, self.open)

    async def start(self) -> None:
        """Listen; after a `stop`, at the same port again."""
        factory = Factory.forProtocol(lambda: _Served(self))
        factory.noisy = False
        self._port = self.reactor.listenTCP(self.port, factory, interface=self.host)
        address = self._port.getHost()
        assert isinstance(address, IPv4Address)
        self.port = address.port

    async def stop(self) -> None:
        """Die: refuse connections and reset those that are open."""
        port, self._port = self._port, None
        if port is not None:
            await port.stopListening()
        await self.hang_up()

    async def hang_up(self) -> None:
        """Reset every connection that is open; returns when all are gone."""
        for each in list(self._open):
            each.end(Reset())
        for each in list(self._open):
            await each.gone

    @property
    def piece(self) -> int:
        """Bytes to write at once: 20 ms of the rate."""
        return PIECE if self.rate is None else min(PIECE, max(512, int(self.rate / 50)))

    async def delay(self, n: int) -> None:
        """Wait until `n` more bytes may be sent at the origin's rate."""
        if seconds := self._limit.wait(n, self.reactor.seconds()):
            await deferLater(self.reactor, seconds)


@implementer(IPullProducer)
class _Served(TwistedProtocol):
    """One connection: requests are answered one after the other, in their order."""

    transport: Any

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._held = b""
        self._work: Deferred[None] | None = None
        self._drained: Deferred[None] | None = None
        self._stalled = False
        self.gone: Deferred[None] = Deferred()

    @property
    def serving(self) -> bool:
        """Whether an answer is on its way."""
        return self._work is not None

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self, False)
        self._origin.connections += 1
        self._on = self._origin.connections
        self._origin._open.add(self)
        self._origin.reactor.callLater(0, self._origin.count_open)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._origin._open.discard(self)
        if self._work is not None:
            self._work.cancel()
        self.gone.callback(None)

    def dataReceived(self, data: bytes) -> None:
        if not self._work or not self._origin.answers_at_head:
            self._held += data
            self._next()

    def _next(self) -> None:
        if self._work is None and not self._stalled and (received := self._parse()) is not None:
            self._origin.requests.append(received)
            self._work = Deferred.fromCoroutine(self._serve(received))
            self._work.addCallbacks(self._served, lambda failure: failure.trap(CancelledError))

    def _served(self, _: None) -> None:
        self._work = None
        if self.transport.connected:
            self._next()

    def _parse(self) -> Received | None:
        try:
            parsed = parse_request(self._held, self._origin.answers_at_head)
        except ValueError:
            self._origin.malformed.append(self._held)
            self.end(Reset())
            return None
        if parsed is None:
            return None
        number = len(self._origin.requests) + 1
        self._held = self._held[len(parsed.raw) :]
        return replace(parsed, number=number, on=self._on)

    async def _serve(self, received: Received) -> None:
        answer = self._origin.answer(received)
        await eventually(self._origin.ready, f"what {self._origin.url} waits for")
        if self._origin.latency:
            await deferLater(self._origin.reactor, self._origin.latency)
        for step in answer.steps() if isinstance(answer, Reply) else answer:
            if isinstance(step, Wait):
                await deferLater(self._origin.reactor, step.seconds)
            elif isinstance(step, (bytes, Section)):
                await self._send(step)
            else:
                self.end(step)
                return

    async def _send(self, step: bytes | Section) -> None:
        for piece in pieces(step, self._origin.piece):
            await self._origin.delay(len(piece))
            data = piece if isinstance(piece, bytes) else piece.content[piece.start : piece.stop]
            self._origin.bytes_sent += len(data)
            self._drained = Deferred()
            self.transport.write(data)
            await self._drained

    def end(self, how: End) -> None:
        """Do it now."""
        self._stalled = True
        if isinstance(how, Reset):
            self.transport.abortConnection()
        elif isinstance(how, Close):
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def resumeProducing(self) -> None:
        """What was written is the kernel's now."""
        drained, self._drained = self._drained, None
        if drained is not None:
            drained.callback(None)

    def stopProducing(self) -> None:
        """`connectionLost` follows."""


_REQUEST_LINE = re.compile(rb"([!-~]+) ([!-~]+) (HTTP/1\.1)")
_FIELD = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?((?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*"
    rb"[!-~\x80-\xff])?)?)"
)
_CHUNK = re.compile(rb"([0-9A-Fa-f]+)\r\n")


def parse_request(data: bytes, head_only: bool = False) -> Received | None:
    """The first request in `data`, None while it is incomplete; ValueError where it is malformed.

    With `head_only` everything that came is taken once the head is complete.

    Stricter than RFC 9112 asks of a server: what a careful proxy sends has no odd spaces either.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    first, *lines = data[:end].split(b"\r\n")
    line = _REQUEST_LINE.fullmatch(first)
    matches = [_FIELD.fullmatch(each) for each in lines]
    if line is None or None in matches:
        raise ValueError("malformed head")
    fields = tuple((match[1], match[2]) for match in matches if match is not None)
    received = Received(line[1], line[2], line[3], fields, b"", data[: end + 4], 0, 0)
    lengths, codings = received.all(b"content-length"), received.all(b"transfer-encoding")
    if len(received.all(b"host")) != 1 or len(lengths) + len(codings) > 1:
        raise ValueError("Host or framing isn't there once")
    if head_only:
        return replace(received, raw=data)
    if codings:
        if codings != [b"chunked"]:
            raise ValueError("unknown coding")
        return _chunked(received, data, end + 4)
    length = int(lengths[0]) if lengths else 0
    if len(data) < end + 4 + length:
        return None
    stop = end + 4 + length
    return replace(received, body=data[end + 4 : stop], raw=data[:stop])


def _chunked(received: Received, data: bytes, at: int) -> Received | None:
    body = b""
    while True:
        match = _CHUNK.match(data, at)
        if match is None:
            if b"\r\n" in data[at:]:
                raise ValueError("malformed chunk size")
            return None
        size = int(match[1], 16)
        if size == 0:
            break
        at = match.end() + size + 2
        if len(data) < at:
            return None
        if data[at - 2 : at] != b"\r\n":
            raise ValueError("malformed chunk")
        body += data[match.end() : at - 2]
    end = data.find(b"\r\n\r\n", match.end() - 2)
    if end < 0:
        return None
    return replace(
        received, body=body, raw=data[: end + 4], trailers=data[match.end() : max(end, match.end())]
    )
