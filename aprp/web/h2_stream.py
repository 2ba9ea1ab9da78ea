"""One request over HTTP/2 and its response, on a stream of a client's connection.

Requests are judged by the same rules as those of HTTP/1.1 (`aprp.web.request_rules`); what RFC 9113
calls malformed resets its stream instead. A response that can't be completed ends with RST_STREAM,
never with the end of its stream.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

from twisted.internet.error import ConnectionAborted
from twisted.python.failure import Failure

from aprp.core.http.fields import Fields, Pairs
from aprp.core.http2.fields import response_fields, size_of
from aprp.core.http2.frames import Code
from aprp.core.http2.requests import BodyLength, RequestHead, ends_without_body, request_head
from aprp.upstream.http.h2_outgoing import OutgoingBody
from aprp.upstream.wall_clock import time
from aprp.upstream.watchdog import Watchdog
from aprp.web.access_record import record_of
from aprp.web.failures import Refusal
from aprp.web.inflow import Inflow
from aprp.web.request import ProxyRequest
from aprp.web.request_rules import (
    BodyLimits,
    Limits,
    body_length,
    check_host_field,
    parse_request_line,
    wants_continue,
)
from aprp.web.spooled_request import too_large

SPOOLED = 1 << 20
"""Bytes more that may be on their way of a body that is spooled, since nothing holds it up."""
PAID = 32768
"""Bytes of a request's body after which the client may send as many more."""


class Carrier(Protocol):
    """The connection, as far as a stream needs it."""

    site: Any
    reactor: Any
    limits: Limits

    def getPeer(self) -> Any: ...
    def getHost(self) -> Any: ...
    def isSecure(self) -> bool: ...
    def send_head(self, stream: int, pairs: Pairs, ends: bool) -> None: ...
    def body(self, stream: int) -> OutgoingBody: ...
    def allow(self, stream: int, count: int) -> None: ...
    def reset(self, stream: int, code: int) -> None: ...
    def over(self, stream: int) -> None: ...


class Http2Request(ProxyRequest):
    """A request whose channel is a stream."""

    def _send_head(self, status: int, fields: Fields, reason: bytes) -> None:
        self.channel.send_head(status, fields, self._bodiless)

    def takes_unframed(self, n: int) -> bool:
        return False

    def interim(self, status: int, fields: Fields, reason: bytes) -> None:
        if self.channel is not None and not self.startedWriting and status != 101:
            self.channel.send_interim(status, fields.without((b"content-length",)))

    def cut(self, stuck: bool = False) -> None:
        self.ended = self.ended or "cut"
        if self.channel is not None and not self.finished:
            self.channel.cut(stuck)


class ClientStream:
    """The channel of one request, and the producer of its body."""

    persistent = True
    factory = None

    def __init__(self, carrier: Carrier, number: int) -> None:
        self.number = number
        self.site = carrier.site
        self.transport = self
        self._carrier = carrier
        self._limits = carrier.limits
        self._watchdog = Watchdog(carrier.reactor, self._too_slow)
        self._request: Http2Request | None = None
        self._outgoing: OutgoingBody | None = None
        self._decoder: BodyLength | None = None
        self._body_limits: BodyLimits | None = None
        self._inflow: Inflow | None = None
        self._unpaid = 0
        self._paused = False
        self._unnoted = 0
        self._noted_until = 0.0
        self._received = False
        self._over = False

    def getPeer(self) -> Any:
        return self._carrier.getPeer()

    def getHost(self) -> Any:
        return self._carrier.getHost()

    def isSecure(self) -> bool:
        return self._carrier.isSecure()

    # What the client sends

    def begin(self, pairs: Pairs, ended: bool) -> None:
        """Take the request's head; raise MalformedMessage."""
        request = self._request = Http2Request(self)
        request.site = self.site
        request.clientproto, request.fields = b"HTTP/2.0", Fields()
        head = request_head(pairs)
        request.method, request.uri = head.method, head.target
        self._received = ends_without_body(head.fields, ended)
        try:
            self._judge(request, head, pairs)
        except Refusal as refusal:
            self._refuse(refusal)

    def _judge(self, request: Http2Request, head: RequestHead, pairs: Pairs) -> None:
        limits = self._limits
        if len(head.target) > limits.line:
            raise Refusal(414, "the request's path is too long")
        if size_of(pairs) > limits.head + 32 * limits.fields:
            raise Refusal(431, "the request's head is too large")
        if len(pairs) > limits.fields:
            raise Refusal(431, "the request has too many fields")
        line = parse_request_line(b"%s %s HTTP/1.1" % (head.method, head.target))
        request.fields, request.target = head.fields, line.target
        request.authority = check_host_field(line, head.fields)
        length = body_length(line, head.fields)
        expected = wants_continue(line, head.fields)
        if self._received:
            request.gotLength(0)
            request.requestReceived(head.method, head.target, b"HTTP/2.0")
            return
        declared = None if b"content-length" not in head.fields else length
        self._expect_body(request, declared, expected)

    def _expect_body(self, request: Http2Request, length: int | None, expected: bool) -> None:
        found = self.site.body_limits(request.authority, request.target)
        body_limits: BodyLimits = found
        self._body_limits = body_limits
        if length is not None and length > body_limits.most:
            raise too_large(body_limits.most)
        self._decoder = BodyLength(length, body_limits.most)
        if expected:
            self.send_interim(100, Fields())
        self._note_progress(self._limits.body_progress)
        if body_limits.streamed and request.method not in (b"GET", b"HEAD"):
            self._inflow = request.inflow = Inflow(self, self._decoder, self._time_inflow)
            request.gotLength(0)
            request.requestReceived(request.method, request.uri, b"HTTP/2.0")
        else:
            request.gotLength(length)
            self._carrier.allow(self.number, SPOOLED)

    def data_came(self, data: bytes, cost: int) -> None:
        """Take bytes of the body, and let more come; raise MalformedMessage."""
        self._unpaid += cost
        if self._received or self._over or self._decoder is None:
            self._pay()
            return
        self._note_progress(len(data))
        if self._inflow is not None:
            self._inflow.feed(data)
            if self._decoder.over:
                self._inflow.fail(too_large(self._most))
        else:
            self._spool(data)
        self._pay()

    @property
    def _most(self) -> int:
        return 0 if self._body_limits is None else self._body_limits.most

    def _spool(self, data: bytes) -> None:
        assert self._decoder is not None and self._request is not None
        pieces = self._decoder.feed(data)
        try:
            if self._decoder.over:
                raise too_large(self._most)
            for piece in pieces:
                self._request.handleContentChunk(piece)
        except Refusal as refusal:
            self._refuse(refusal)

    def ended(self) -> None:
        """The client has sent its request; raise MalformedMessage if that is too early."""
        if self._received or self._over:
            return
        self._received = True
        self._watchdog.rest()
        if self._decoder is None or self._request is None:
            return
        self._decoder.end()
        if self._inflow is not None:
            self._inflow.feed(b"")
        else:
            request, self._decoder = self._request, None
            request.requestReceived(request.method, request.uri, b"HTTP/2.0")

    def _pay(self) -> None:
        if not self._paused and self._unpaid >= PAID and not self._over and not self._received:
            count, self._unpaid = self._unpaid, 0
            self._carrier.allow(self.number, count)

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        self._pay()

    def _note_progress(self, count: int) -> None:
        """A silent sender has its route's time; one that trickles has to get on."""
        assert self._body_limits is not None
        if self._over:
            return
        now, silence = self._carrier.reactor.seconds(), self._body_limits.seconds
        self._unnoted += count
        if self._unnoted >= self._limits.body_progress:
            self._unnoted = 0
            self._noted_until = now + max(self._limits.body_seconds, silence)
        self._watchdog.expect(min(silence, self._noted_until - now))

    def _time_inflow(self, reading: bool) -> None:
        if not reading or self._received:
            self._watchdog.rest()
            self._unnoted = self._limits.body_progress
        else:
            self._note_progress(0)

    def _too_slow(self) -> None:
        refusal = Refusal(408, "the request's body timed out")
        if self._outgoing is not None and self._outgoing.ending:
            self._end(Code.CANCEL)
        elif self._inflow is not None and self._inflow.unread:
            self._inflow.fail(refusal)
        else:
            self._refuse(refusal)

    def _refuse(self, refusal: Refusal) -> None:
        """Respond to a request that isn't served."""
        request = self._request
        if request is None or request.startedWriting:
            return
        self._decoder = None
        self._watchdog.rest()
        request.fail(refusal)

    # What the request sends

    def send_interim(self, status: int, fields: Fields) -> None:
        """Send a 1xx."""
        self._carrier.send_head(self.number, response_fields(status, fields), False)

    def send_head(self, status: int, fields: Fields, ends: bool) -> None:
        """Send the head of the response."""
        if self._over:
            return
        self._carrier.send_head(self.number, response_fields(status, fields), ends)
        if not ends:
            self._outgoing = self._carrier.body(self.number)

    def write(self, data: bytes) -> None:
        if self._outgoing is not None:
            self._outgoing.write(data)

    def writeSequence(self, pieces: Any) -> None:
        self.write(b"".join(pieces))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        if self._outgoing is not None:
            self._outgoing.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        if self._outgoing is not None:
            self._outgoing.unregisterProducer()

    def requestDone(self, request: Any) -> None:
        """The response is complete: the stream ends once it has been sent."""
        self._request = None
        if self._outgoing is not None:
            self._outgoing.end()
        else:
            self.sent()

    def sent(self) -> None:
        """Everything was sent, or the stream was reset behind what was written."""
        if self._over:
            return
        cut = self._outgoing is not None and self._outgoing.code is not None
        self._end(None if cut or self._received else Code.NO_ERROR)

    def cut(self, stuck: bool) -> None:
        """Reset the stream behind what was written; at once for a client that takes nothing."""
        if self._outgoing is None or stuck:
            self._end(Code.CANCEL if stuck else Code.INTERNAL_ERROR)
        else:
            self._watchdog.expect(self._limits.linger_seconds)
            self._outgoing.cut(Code.INTERNAL_ERROR)

    def loseConnection(self) -> None:
        self.cut(False)

    def abortConnection(self) -> None:
        self.cut(True)

    # The end

    def _end(self, code: int | None) -> None:
        """The stream is over; the request hears of it in the reactor's next turn, if it has to."""
        if self._over:
            return
        self._over = True
        self._watchdog.close()
        if code is not None:
            self._carrier.reset(self.number, code)
        self._carrier.over(self.number)
        if self._request is not None:
            self._carrier.reactor.callLater(0, self.lost, Failure(ConnectionAborted()))

    def lost(self, reason: Failure) -> None:
        """The client left, or the stream was reset."""
        self._over = True
        self._watchdog.close()
        request, self._request = self._request, None
        if self._inflow is not None:
            self._inflow.fail(Refusal(400, "the client left within the request's body"))
        if request is not None:
            request.connectionLost(reason)

    def malformed(self, text: str) -> None:
        """Reset the stream of a request that breaks the rules of HTTP/2, and record it."""
        request = self._request
        if request is not None and not request.startedWriting:
            request.error, request.ended = "http_request_error", "refused"
            self.site.observe(replace(record_of(request, time()), status=400))
        self._end(Code.PROTOCOL_ERROR)
