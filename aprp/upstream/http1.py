"""HTTP/1.1 to a source: the connection parses and frames, the exchange moves body bytes.

Nothing is read ahead of a consumer but what one read of the socket brings: while no pump runs,
or the consumer has paused, the socket isn't read. A connection serves one exchange at a time and
goes back to its pool when the body's end was seen and both sides keep it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IConsumer,
    IPushProducer,
    IReactorTime,
    ITCPTransport,
    ITransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.basic import FileSender
from twisted.python.failure import Failure
from zope.interface import implementer

from aprp.core.chunked import ChunkedDecoder
from aprp.core.head import (
    Framing,
    MalformedMessage,
    ResponseHead,
    parse_response_head,
    response_framing,
)
from aprp.upstream.errors import (
    AnswerTimeout,
    BodyBroken,
    BodyStalled,
    HeadTooLarge,
    SourceError,
    SourceLied,
    lost_before_answer,
)
from aprp.upstream.exchange import SourceRequest, Timings
from aprp.upstream.watchdog import Watchdog

MAX_HEAD = 65536
MAX_FIELDS = 256
MAX_INTERIM = 16
READ_SIZE = 262144
"""Bytes asked of the kernel at once: larger reads cost less per byte than Twisted's 64 KiB."""


@implementer(IPushProducer)
class Http1Exchange:
    """The answer to one request; see `aprp.upstream.exchange.Exchange`."""

    def __init__(
        self, connection: Connection, head: ResponseHead, framing: Framing, timings: Timings
    ) -> None:
        self.head = head
        self.length = framing.length
        self.delimited = not framing.by_close
        self.timings = timings
        self.reused = connection.served > 1
        self.moved = 0
        self._connection: Connection | None = connection
        self._held: deque[bytes] = deque()
        self._ended = False
        self._error: SourceError | None = None
        self._sink: IConsumer | None = None
        self._goal: int | None = None
        self._start = 0
        self._pumped: Deferred[int] | None = None
        self._paused = False

    def pump(self, sink: IConsumer, n: int | None = None) -> Deferred[int]:
        assert self._pumped is None, "one pump at a time"
        pumped: Deferred[int] = Deferred(lambda _: self._cancelled())
        self._sink, self._paused, self._pumped = sink, False, pumped
        self._start = self.moved
        self._goal = None if n is None else self.moved + n
        sink.registerProducer(self, True)
        self._flush()
        if self._pumped is not None and self._connection is not None:
            self._connection.read_on()
        return pumped

    def abort(self) -> None:
        connection, self._connection = self._connection, None
        self._held.clear()
        if connection is not None:
            self.failed(BodyBroken("stopped by the proxy itself"))
            connection.abandon()

    def _cancelled(self) -> None:
        sink, self._sink, self._pumped = self._sink, None, None
        if sink is not None:
            sink.unregisterProducer()
        self.abort()

    # What the connection says.

    @property
    def hungry(self) -> bool:
        """Whether a pump runs whose consumer wants more."""
        return self._pumped is not None and not self._paused

    def received(self, data: bytes) -> None:
        self._held.append(data)
        self._flush()

    def ended(self) -> None:
        """The body is complete: the connection is no longer ours."""
        self._connection = None
        self._ended = True
        self._flush()

    def failed(self, error: SourceError) -> None:
        self._connection = None
        if self._error is None and not self._ended:
            self._error = error
        self._flush()

    def _flush(self) -> None:
        """Write what is held, as far as it is wanted; tell the pump when that was all."""
        while self._pumped is not None and self._sink is not None:
            left = None if self._goal is None else self._goal - self.moved
            if left == 0:
                self._finish_pump()
            elif self._paused and not self._error:
                return
            elif self._held:
                self._write(self._sink, self._held.popleft(), left)
            elif self._error is not None or self._ended:
                self._finish_pump()
            else:
                return

    def _write(self, sink: IConsumer, data: bytes, left: int | None) -> None:
        if left is not None and len(data) > left:
            self._held.appendleft(data[left:])
            data = data[:left]
        self.moved += len(data)
        sink.write(data)

    def _finish_pump(self) -> None:
        pumped, self._pumped = self._pumped, None
        sink, self._sink = self._sink, None
        assert pumped is not None and sink is not None
        sink.unregisterProducer()
        if self._error is not None and self.moved != self._goal:
            pumped.errback(self._error)
        else:
            pumped.callback(self.moved - self._start)

    # What the consumer says.

    def pauseProducing(self) -> None:
        self._paused = True
        if self._connection is not None:
            self._connection.read_no_more()

    def resumeProducing(self) -> None:
        self._paused = False
        self._flush()
        if self.hungry and self._connection is not None:
            self._connection.read_on()

    def stopProducing(self) -> None:
        self.abort()


class Connection(Protocol):
    """One HTTP/1.1 connection. `released` is called when it can serve again, `lost` when it's gone.

    `where` names it in errors.
    """

    def __init__(
        self,
        clock: IReactorTime,
        where: str,
        released: Callable[[Connection], None],
        lost: Callable[[Connection], None],
    ) -> None:
        self.served = 0
        self._clock = clock
        self._where = where
        self._released = released
        self._lost = lost
        self._watchdog = Watchdog(clock, self._expired)
        self._buffer = b""
        self._request: SourceRequest | None = None
        self._answered: Deferred[Http1Exchange] | None = None
        self._exchange: Http1Exchange | None = None
        self._asked = 0.0
        self._interims = 0
        self._left: int | None = None
        self._decoder: ChunkedDecoder | None = None
        self._sending = False
        self._reusable = True
        self._reading = True
        self._gone = False

    @property
    def idle(self) -> bool:
        return not self._gone and self._request is None

    def _socket(self) -> Any:
        """The transport: an ITransport that is an IPushProducer and has abortConnection too."""
        return cast(Any, self.transport)

    def connectionMade(self) -> None:
        if ITCPTransport.providedBy(self.transport):
            self._socket().setTcpNoDelay(True)
            self._socket().bufferSize = READ_SIZE

    def ask(self, request: SourceRequest) -> Deferred[Http1Exchange]:
        """Send a request; fires when the final answer's head is there, fails with SourceError."""
        assert self.idle, "one exchange at a time"
        self.served += 1
        self._request = request
        self._interims = 0
        self._asked = self._clock.seconds()
        self._answered = Deferred(lambda _: self._cancelled())
        self.read_on()
        lines = [b"%s %s HTTP/1.1\r\n" % (request.method, request.target)]
        lines += [b"%s: %s\r\n" % pair for pair in request.fields.pairs]
        lines.append(b"\r\n")
        transport = cast(ITransport, self.transport)
        transport.write(b"".join(lines))
        self._watchdog.expect(request.timeouts.first_byte)
        if request.body is not None:
            request.body.seek(0)
            self._sending = True
            sender = FileSender().beginFileTransfer(request.body, transport)
            sender.addCallbacks(self._sent, lambda _: None)
        return self._answered

    def _cancelled(self) -> None:
        self._answered = None
        self.abandon()

    def _sent(self, _: object) -> None:
        self._sending = False
        if self._answered is not None and self._request is not None:
            self._watchdog.expect(self._request.timeouts.first_byte)

    def rest(self, seconds: float) -> None:
        """Stay open for that long without a request; reads on, to notice that it was closed."""
        self._watchdog.expect(seconds)
        self.read_on()

    def abandon(self) -> None:
        """Close now, whatever is under way."""
        self._watchdog.close()
        self._reusable = False
        if not self._gone:
            self._socket().abortConnection()

    # Reading is on or off; the transport is told only of changes.

    def read_on(self) -> None:
        if self._exchange is not None and self._request is not None:
            self._watchdog.expect(self._request.timeouts.between_bytes)
        if not self._reading and not self._gone:
            self._reading = True
            self._socket().resumeProducing()

    def read_no_more(self) -> None:
        if self._exchange is not None:
            self._watchdog.rest()
        if self._reading and not self._gone:
            self._reading = False
            self._socket().pauseProducing()

    def dataReceived(self, data: bytes) -> None:
        try:
            if self._exchange is not None:
                self._body_received(data)
            elif self._answered is not None:
                self._head_received(data)
            else:
                self.abandon()
        except MalformedMessage as malformed:
            self._fail(SourceLied(f"{self._where}: {malformed}"))

    def _head_received(self, data: bytes) -> None:
        self._buffer += data
        while self._answered is not None:
            end = self._buffer.find(b"\r\n\r\n")
            if max(end, 0 if end >= 0 else len(self._buffer)) > MAX_HEAD:
                self._fail(HeadTooLarge(f"{self._where}: the head of its answer is too large"))
                return
            if end < 0:
                if not b"HTTP/1.".startswith(self._buffer[:7]):
                    raise MalformedMessage("the answer isn't HTTP/1.x")
                return
            head = parse_response_head(self._buffer[:end])
            self._buffer = self._buffer[end + 4 :]
            if len(head.fields.pairs) > MAX_FIELDS:
                self._fail(HeadTooLarge(f"{self._where}: its answer has too many fields"))
                return
            if head.status >= 200:
                self._begin_body(head)
            else:
                self._interim(head)

    def _interim(self, head: ResponseHead) -> None:
        self._interims += 1
        if head.status == 101:
            raise MalformedMessage("it switches to a protocol that wasn't asked for")
        if self._interims > MAX_INTERIM:
            raise MalformedMessage("interim answers without end")
        if self._request is not None and self._request.interim is not None:
            self._request.interim(head)

    def _begin_body(self, head: ResponseHead) -> None:
        assert self._request is not None and self._answered is not None
        framing = response_framing(head, self._request.method)
        self._reusable = head.keeps_alive and not framing.by_close
        self._left = framing.length
        self._decoder = ChunkedDecoder() if framing.chunked else None
        timings = Timings(self._asked, self._clock.seconds())
        exchange = self._exchange = Http1Exchange(self, head, framing, timings)
        answered, self._answered = self._answered, None
        data, self._buffer = self._buffer, b""
        self._watchdog.rest()
        if data or framing.length == 0:
            self._body_received(data)
        answered.callback(exchange)
        self._read_if_hungry()

    def _body_received(self, data: bytes) -> None:
        exchange = self._exchange
        assert exchange is not None
        if self._decoder is not None:
            for piece in self._decoder.feed(data):
                exchange.received(piece)
            if self._decoder.done:
                self._body_complete(self._decoder.rest)
                return
        elif self._left is not None:
            excess = data[self._left :] if len(data) > self._left else b""
            data = data[: self._left] if excess else data
            self._left -= len(data)
            if data:
                exchange.received(data)
            if self._left == 0:
                self._body_complete(excess)
                return
        else:
            exchange.received(data)
        self._read_if_hungry()

    def _read_if_hungry(self) -> None:
        if self._exchange is None:
            return
        if self._exchange.hungry:
            self.read_on()
        else:
            self.read_no_more()

    def _body_complete(self, rest: bytes) -> None:
        exchange, self._exchange = self._exchange, None
        self._request = None
        self._decoder = None
        self._watchdog.rest()
        if rest or self._sending or not self._reusable:
            self.abandon()
        else:
            self._released(self)
        if exchange is not None:
            exchange.ended()

    def _expired(self) -> None:
        if self._answered is not None:
            seconds = self._request.timeouts.first_byte if self._request else 0
            self._fail(AnswerTimeout(f"{self._where} sent no answer within {seconds:g} s"))
        elif self._exchange is not None:
            seconds = self._request.timeouts.between_bytes if self._request else 0
            self._fail(BodyStalled(f"{self._where} sent nothing for {seconds:g} s"))
        else:
            self.abandon()

    def _fail(self, error: SourceError) -> None:
        """End what is under way with `error` and close."""
        self.abandon()
        answered, self._answered = self._answered, None
        exchange, self._exchange = self._exchange, None
        self._request = None
        if answered is not None:
            answered.errback(error)
        if exchange is not None:
            exchange.failed(error)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._gone = True
        self._watchdog.close()
        self._lost(self)
        if self._answered is not None:
            if self._buffer:
                self._fail(SourceLied(f"{self._where} closed the connection within its head"))
            else:
                self._fail(lost_before_answer(self._where, reason.value))
        elif self._exchange is not None:
            by_close = self._decoder is None and self._left is None
            if by_close and isinstance(reason.value, ConnectionDone):
                self._reusable = False
                self._body_complete(b"")
            else:
                self._fail(BodyBroken(f"{self._where} closed the connection within its answer"))
