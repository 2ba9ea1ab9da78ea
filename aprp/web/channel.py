"""HTTP/1.x from clients: Twisted's channel, made strict.

Heads and bodies are read by our own rules (`aprp.web.request_rules`,
`aprp.core.http.framing`) before Twisted or any resource sees the request: what passes has one
reading. `aprp.web.closing` ends connections.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from aprp.core.http.fields import Fields
from aprp.core.http.framing import BodyTooLarge, ChunkedDecoder, Decoder, LengthDecoder
from aprp.core.http.heads import MalformedMessage, check_line_ends, parse_fields
from aprp.web.closing import ClosingChannel
from aprp.web.failures import Refusal
from aprp.web.h2_channel import H2Channel
from aprp.web.inflow import Inflow
from aprp.web.request import ProxyRequest
from aprp.web.request_rules import (
    RequestLine,
    body_length,
    check_host_field,
    parse_request_line,
    wants_continue,
)
from aprp.web.spooled_request import too_large


class StrictChannel(ClosingChannel):
    """One connection of a client. Its factory sets `site`, `reactor` and `limits`."""

    requestFactory = ProxyRequest
    totalHeadersSize = 1 << 30  # counted here, line by line
    _held_back = False
    _begun = False
    _early = b""
    _inflow: Inflow | None = None

    def connectionMade(self) -> None:
        self.MAX_LENGTH = self.limits.line
        self._host = self.transport.getHost()
        self._between_requests()
        super().connectionMade()

    def getHost(self) -> Any:
        """Our address, which each request asks for: the transport would ask the kernel again."""
        return self._host

    def _between_requests(self) -> None:
        self._line: RequestLine | None = None
        self._raw_line = b""
        self._field_lines: list[bytes] = []
        self._head_size = 0
        self._head_began = False
        self._decoder: Decoder | None = None
        self._body_limits = None
        self._unnoted = 0
        self._noted = 0
        self._noted_until = 0.0

    # The head.

    def dataReceived(self, data: bytes) -> None:
        if self._closing:
            return
        if not self._begun:
            data = self._early + data
            if self.site.speaks_http2(self.transport, data):
                self.become(H2Channel(self.site, self.reactor, self.limits, self._release), data)
                return
            if self.site.may_speak_http2(self.transport, data):
                self._early = data
                return
            self._begun, self._early = True, b""
        if self._busyReceiving:  # from within: what is held back is read on below
            super().dataReceived(data)
            return
        checked = len(self._buffer)
        super().dataReceived(data)
        if not self._closing and self.line_mode and self._buffer:
            same_line = len(self._buffer) == checked + len(data)
            try:
                check_line_ends(self._buffer, checked if same_line else 0)  # section 2.2
            except MalformedMessage as malformed:
                self.refuse(Refusal(400, str(malformed)))
        self._time_the_head()

    def _time_the_head(self) -> None:
        """Start the timeout of a request head with its first byte."""
        if self._closing or self._head_began or self._handlingRequest or self._decoder is not None:
            return
        if self._buffer or self._line is not None:
            self._head_began = True
            self._watchdog.expect(self.limits.head_seconds)

    def lineReceived(self, line: bytes) -> None:
        if self._closing:
            return
        try:
            self._head_size += len(line) + 2
            if self._head_size > self.limits.head:
                raise Refusal(431, "the request's head is too large")
            if b"\n" in line or b"\r" in line:
                raise Refusal(400, "a bare CR or LF isn't allowed")  # section 2.2
            if self._line is not None:
                self._field_or_end(line)
            elif line:
                self._raw_line, self._inflow, self._body_limits = line, None, None
                self._line = parse_request_line(line)
                super().lineReceived(line[:-8] + self._line.version)
            else:
                super().lineReceived(line)  # section 2.2: one empty line before it is let pass
        except Refusal as refusal:
            self.refuse(refusal)

    def _field_or_end(self, line: bytes) -> None:
        if line:
            self._field_lines.append(line)
            if len(self._field_lines) > self.limits.fields:
                raise Refusal(431, "the request has too many fields")
            return
        assert self._line is not None
        try:
            fields = parse_fields(self._field_lines)
        except MalformedMessage as malformed:
            raise Refusal(400, str(malformed)) from None
        request = self.requests[-1]
        request.fields = fields
        request.target = self._line.target
        request.authority = check_host_field(self._line, fields)
        self._expect_body(self._line, request.authority, fields)
        super().lineReceived(b"")

    def _expect_body(self, line: RequestLine, authority: bytes, fields: Fields) -> None:
        length = self.length = body_length(line, fields)
        expected = wants_continue(line, fields)
        if length == 0:
            return
        body_limits = self._body_limits = self.site.body_limits(authority, line.target)
        if length is not None and length > body_limits.most:
            raise too_large(body_limits.most)
        if expected:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        decoder: Decoder
        if length is None:
            decoder = ChunkedDecoder(strict=True, most=body_limits.most)
        else:
            decoder = LengthDecoder(length)
        if body_limits.streamed and line.method not in (b"GET", b"HEAD"):
            self._stream_body(decoder)
            return
        self._decoder = decoder
        self.setTimeout(None)  # until the body is there: its silence isn't that between requests
        self._note_progress(self.limits.body_progress)

    def _stream_body(self, decoder: Decoder) -> None:
        """Have the request served before its body has come: for Twisted's parser it has none."""
        inflow = Inflow(self._networkProducer, decoder, self._time_inflow)
        self.requests[-1].inflow = self._inflow = inflow
        self.length = 0

    def lineLengthExceeded(self, line: bytes) -> None:
        if self._line is None:
            self.refuse(Refusal(414, "the request line is too long"))
        else:
            self.refuse(Refusal(431, "a field line is too long"))

    # The body, and what comes after it.

    def rawDataReceived(self, data: bytes) -> None:
        if self._closing:
            return
        if self._inflow is not None and not self._inflow.over:
            data = self._inflow.feed(data)
            if not data:
                return
        if self._handlingRequest or self._decoder is None:
            self._hold(data)
            return
        self._note_progress(len(data))
        try:
            pieces = self._decoder.feed(data)
        except MalformedMessage as malformed:
            self.refuse(Refusal(400, f"the request's body is malformed: {malformed}"))
            return
        except BodyTooLarge:
            assert self._body_limits is not None
            self.refuse(too_large(self._body_limits.most))
            return
        try:
            for piece in pieces:
                self.requests[-1].handleContentChunk(piece)
        except Refusal as refusal:
            self.refuse(refusal)
            return
        if self._decoder.done:
            self._finishRequestBody(self._decoder.rest)

    def _note_progress(self, n: int) -> None:
        """A silent sender has its route's time; one that trickles has to come to something too."""
        assert self._body_limits is not None
        now, silence = self.reactor.seconds(), self._body_limits.seconds
        self._unnoted += n
        if self._unnoted >= self.limits.body_progress:
            self._unnoted = 0
            self._noted_until = now + max(self.limits.body_seconds, silence)
        self._watchdog.expect(min(silence, self._noted_until - now))

    def _time_inflow(self, reading: bool) -> None:
        """Start the timeout of a client that has to send its body."""
        if not reading or self._inflow is None or self._body_limits is None:
            self._watchdog.rest()
            self._unnoted = self.limits.body_progress  # what comes next begins a new count
        else:
            self._note_progress(self._inflow.received - self._noted)
            self._noted = self._inflow.received

    def _too_slow(self) -> None:
        if self._inflow is not None and self._inflow.unread and not self._closing:
            self._inflow.fail(Refusal(408, "the request's body timed out"))
        else:
            super()._too_slow()

    def loseConnection(self) -> None:
        unread = self._inflow is not None and self._inflow.unread
        if unread and not self._closing and not self._ends_by_close:
            self.close(self.limits.idle_seconds)  # the client may still be sending
        else:
            super().loseConnection()

    def close(self, seconds: float | None = None) -> None:
        if self._inflow is not None:
            self._inflow.drop()
        super().close(seconds)

    def _hold(self, data: bytes) -> None:
        """Hold later requests back; pause reading when they are many."""
        self._dataBuffer.append(data)
        if sum(map(len, self._dataBuffer)) > self.limits.pipelined:
            self._networkProducer.pauseProducing()

    def switch_protocols(self) -> Inflow:
        """Drop all further bytes of the connection; no other request gets them."""
        self.persistent = False
        inflow = self._inflow = Inflow(self._networkProducer)
        data, self._dataBuffer = b"".join(self._dataBuffer), []
        if data:
            inflow.feed(data)
        return inflow

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._inflow is not None:
            self._inflow.lost(reason)
        super().connectionLost(reason)

    def setLineMode(self, extra: bytes = b"") -> None:
        """Begin with the next request, once the client has taken the answers to those before."""
        if self._waitingForTransport and not self._closing:
            self._held_back = self._handlingRequest = True
            self._dataBuffer = [extra]
        else:
            super().setLineMode(extra)

    def resumeProducing(self) -> None:
        held_back, self._held_back = self._held_back, False
        if held_back:
            self._handlingRequest = False
        super().resumeProducing()
        if held_back and not self._closing:
            data = b"".join(self._dataBuffer)
            self._dataBuffer = []
            self.setLineMode(data)

    def allContentReceived(self) -> None:
        if self._closing:
            return
        self._watchdog.rest()
        if self._decoder is not None:
            self.setTimeout(self.limits.idle_seconds)
        streamed = None if self._inflow is None else self._body_limits
        self._between_requests()
        if streamed is not None:  # its body is still to come
            self._body_limits, self._unnoted = streamed, self.limits.body_progress
        super().allContentReceived()

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        """Section 9.3: HTTP/1.0 keeps the connection where it asks to."""
        self._served += 1
        options = request.fields.tokens(b"connection")
        last = self.site.stopping or self._served >= self.limits.requests
        if last or b"close" in options:
            return False
        return version == b"HTTP/1.1" or b"keep-alive" in options

    def _respondToBadRequestAndDisconnect(self) -> None:
        """Twisted's parser calls this for what it refuses itself."""
        self.refuse(Refusal(400, "the request is malformed"))
