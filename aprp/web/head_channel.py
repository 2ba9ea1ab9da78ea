"""The heads of requests over HTTP/1.x: read by our own rules before Twisted sees anything.

A head that comes in one piece, as nearly all do, is taken apart at once; any other line by line.
Both give the same request, or the same refusal. The sections are those of RFC 9112.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import ISSLTransport

from aprp.core.http.fields import Fields
from aprp.core.http.framing import Decoder
from aprp.core.http.heads import MalformedMessage, check_line_ends, parse_fields
from aprp.upstream.splice.borrowed import DirectWriter
from aprp.web.closing import ClosingChannel
from aprp.web.failures import Refusal
from aprp.web.h2_channel import H2Channel
from aprp.web.inflow import Inflow
from aprp.web.request import ProxyRequest
from aprp.web.request_rules import RequestLine, check_host_field, parse_request_line, whole_head


class HeadChannel(ClosingChannel):
    """One connection of a client, as far as the heads of its requests. A subclass reads bodies."""

    requestFactory = ProxyRequest
    totalHeadersSize = 1 << 30  # counted here, line by line
    _begun = False
    _early = b""
    _inflow: Inflow | None = None
    _decoder: Decoder | None = None

    def connectionMade(self) -> None:
        self.MAX_LENGTH = self.limits.line
        self._host, self._peer = self.transport.getHost(), self.transport.getPeer()
        self._writer = DirectWriter(self.transport)
        self._secure = bool(ISSLTransport.providedBy(self.transport))
        self._between_requests()
        super().connectionMade()

    def getHost(self) -> Any:
        """Our address, which each request asks for: the transport would ask the kernel again."""
        return self._host

    def getPeer(self) -> Any:
        return self._peer

    def isSecure(self) -> bool:
        return self._secure

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    def _between_requests(self) -> None:
        self._line: RequestLine | None = None
        self._raw_line = b""
        self._field_lines: list[bytes] = []
        self._head_size = 0
        self._head_began = False
        self._body_limits = None

    def _first_data_came(self) -> None:
        if self._is_announced:
            self._host, self._peer = self.transport.getHost(), self.transport.getPeer()
        super()._first_data_came()

    def dataReceived(self, data: bytes) -> None:
        if self._closing:
            return
        if not self._begun:
            self._first_data_came()
            if self._closing:
                return
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
        if self._line is None and self.line_mode and not self._buffer and self.persistent:
            lines = whole_head(data, self.limits)
            if lines is not None:
                self._read_at_once(lines)
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
        self._prepare(self._line, self._field_lines)
        super().lineReceived(b"")

    def _prepare(self, line: RequestLine, lines: list[bytes]) -> None:
        """Give the request its head, and prepare for its body; raises `Refusal`."""
        try:
            fields = parse_fields(lines)
        except MalformedMessage as malformed:
            raise Refusal(400, str(malformed)) from None
        request = self.requests[-1]
        request.fields = fields
        request.target = line.target
        request.authority = check_host_field(line, fields)
        self._expect_body(line, request.authority, fields)

    def _read_at_once(self, lines: list[bytes]) -> None:
        """Begin a request with all lines of its head."""
        self._raw_line, self._inflow, self._body_limits = lines[0], None, None
        try:
            line = self._line = parse_request_line(lines[0])
            self._command, self._path, self._version = line.method, line.raw, line.version
            self.requests.append(self.requestFactory(self, len(self.requests)))
            self._prepare(line, lines[1:])
            self.allHeadersReceived()
        except Refusal as refusal:
            self.refuse(refusal)
            return
        if self.length == 0:
            self.allContentReceived()
        else:
            self.setRawMode()

    def allHeadersReceived(self) -> None:
        request = self.requests[-1]
        self.persistent = self.checkPersistence(request, self._version)
        request.gotLength(self.length)

    def _expect_body(self, line: RequestLine, authority: bytes, fields: Fields) -> None:
        """Prepare for the body that the head announces; raises `Refusal`."""
        raise NotImplementedError

    def lineLengthExceeded(self, line: bytes) -> None:
        if self._line is None:
            self.refuse(Refusal(414, "the request line is too long"))
        else:
            self.refuse(Refusal(431, "a field line is too long"))

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        """Section 9.3: HTTP/1.0 keeps the connection where it asks to."""
        self._served += 1
        if self.site.stopping or self._served >= self.limits.requests:
            return False
        if b"connection" not in request.fields.by_name:
            return version == b"HTTP/1.1"
        options = request.fields.tokens(b"connection")
        if b"close" in options:
            return False
        return version == b"HTTP/1.1" or b"keep-alive" in options

    def _respondToBadRequestAndDisconnect(self) -> None:
        """Twisted's parser calls this for what it refuses itself."""
        self.refuse(Refusal(400, "the request is malformed"))
