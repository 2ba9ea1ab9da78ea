"""One request over HTTP/2 and its response, on a stream of a client's connection.

Requests are judged by the same rules as those of HTTP/1.1 (`aprp.web.request_rules`); what RFC 9113
calls malformed resets its stream instead. A response that can't be completed ends with RST_STREAM,
never with the end of its stream.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.error import ConnectionAborted
from twisted.python.failure import Failure

from aprp.core.http.fields import Fields, Pairs
from aprp.core.http2.fields import response_fields, size_of
from aprp.core.http2.frames import Code
from aprp.core.http2.receiving import ReceiveWindow
from aprp.core.http2.requests import RequestHead, ends_without_body, request_head
from aprp.upstream.http.h2_body import OutgoingBody
from aprp.upstream.wall_clock import time
from aprp.upstream.watchdog import Watchdog
from aprp.web.access_record import record_of
from aprp.web.failures import Refusal
from aprp.web.h2_request_body import RequestBody
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
        whole, self._whole = self._whole, b""
        self.write(whole)

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
        self._body: RequestBody | None = None
        self._window = ReceiveWindow()
        self._received = False
        self._taken = 0
        self._over = False

    def getPeer(self) -> Any:
        return self._carrier.getPeer()

    def getHost(self) -> Any:
        return self._carrier.getHost()

    def isSecure(self) -> bool:
        return self._carrier.isSecure()

    @property
    def credit(self) -> ReceiveWindow | None:
        """What the client may still send; None once it has sent everything."""
        return None if self._received else self._window

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
            self.refuse(refusal)

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
        found: BodyLimits = self.site.body_limits(request.authority, request.target)
        if length is not None and length > found.most:
            raise too_large(found.most)
        clock, window = self._carrier.reactor, self._window
        self._body = RequestBody(self, clock, self._watchdog, self._limits, found, length, window)
        streamed = found.streamed and request.method not in (b"GET", b"HEAD")
        request.gotLength(0 if streamed else length)
        if expected:
            self.send_interim(100, Fields())
        self._body.begin(streamed)
        if streamed:
            request.inflow = self._body.inflow
            request.requestReceived(request.method, request.uri, b"HTTP/2.0")

    def data_came(self, data: bytes, cost: int) -> None:
        """Take bytes of the body, and let more come; raise MalformedMessage."""
        if self._body is not None:
            self._body.came(data, cost)

    def ended(self) -> None:
        """The client has sent its request; raise MalformedMessage if that is too early."""
        if self._received or self._over:
            return
        self._received = True
        request, body = self._request, self._body
        if body is None or not body.ended() or request is None or body.inflow is not None:
            return
        request.requestReceived(request.method, request.uri, b"HTTP/2.0")

    # What the body says

    def allow(self, count: int) -> None:
        """Let the client send more of it."""
        if not self._over:
            self._carrier.allow(self.number, count)

    def spool(self, pieces: list[bytes]) -> None:
        """Keep bytes of it until it is whole."""
        assert self._request is not None
        for piece in pieces:
            self._request.handleContentChunk(piece)

    def refuse(self, refusal: Refusal) -> None:
        """Respond to a request that isn't served."""
        request = self._request
        if request is None or request.startedWriting:
            return
        if self._body is not None:
            self._body.drop()
        self._watchdog.rest()
        request.fail(refusal)

    def _too_slow(self) -> None:
        outgoing = self._outgoing
        if outgoing is not None and outgoing.ending:
            if outgoing.code is None and outgoing.sent > self._taken:
                self._await_client(outgoing)
            else:
                self._end(Code.CANCEL)
        elif self._body is None or not self._body.timed_out():
            self.refuse(Refusal(408, "the request's body timed out"))

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
        if self._outgoing is None:
            self.sent()
            return
        self._outgoing.end()
        if not self._over:
            self._await_client(self._outgoing)

    def _await_client(self, outgoing: OutgoingBody) -> None:
        """Let the client take what is left of the response, as long as it takes some of it."""
        self._taken = outgoing.sent
        self._watchdog.expect(self._limits.idle_seconds)

    def sent(self) -> None:
        """Everything was sent, or the stream was reset behind what was written."""
        if self._over:
            return
        cut = self._outgoing is not None and self._outgoing.code is not None
        self._end(None if cut or self._received else Code.NO_ERROR)

    def cut(self, stuck: bool) -> None:
        """Reset the stream behind what was written; at once for a client that takes nothing."""
        if self._over:
            return
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
        if self._body is not None:
            self._body.close()
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
        if self._body is not None:
            self._body.client_left()
        if request is not None:
            request.connectionLost(reason)

    def malformed(self, text: str) -> None:
        """Reset the stream of a request that breaks the rules of HTTP/2, and record it."""
        request = self._request
        if request is not None and not request.startedWriting:
            request.error, request.ended = "http_request_error", "refused"
            self.site.observe(record_of(request, time())._replace(status=400))
        self._end(Code.PROTOCOL_ERROR)
