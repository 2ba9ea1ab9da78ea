"""HTTP/1.x from clients: Twisted's channel, made strict.

Every rule of what a request may look like stands here, with the section of RFC 9112 (or 9110) that
asks for it, and is checked before Twisted's parser or any resource sees the request: what passes
has one reading. A refused request gets its status, nothing of it goes on, and the connection ends
after a moment in which the client can read why.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from time import time
from typing import Any

from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel

from aprp.core.fields import TOKEN, Fields
from aprp.core.head import MalformedMessage, parse_fields
from aprp.core.ranges import number
from aprp.core.targets import BadTarget, Target, check_host, parse_target
from aprp.upstream.watchdog import Watchdog
from aprp.web.failures import Refusal, failure_of, reason_phrase
from aprp.web.record import AccessRecord
from aprp.web.request import ProxyRequest, too_large

_VERSION = re.compile(rb"HTTP/[0-9]\.[0-9]")
ALLOWED = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what one connection may cost. Sizes in bytes, times in seconds."""

    line: int = 16384
    head: int = 65536
    fields: int = 128
    head_seconds: float = 30.0
    body_seconds: float = 60.0
    """Between two pieces of a request's body."""
    idle_seconds: float = 75.0
    linger_seconds: float = 3.0
    requests: int = 10_000


@dataclass(frozen=True, slots=True)
class RequestLine:
    method: bytes
    target: Target
    version: bytes


def parse_request_line(line: bytes) -> RequestLine:
    """Section 3; raises `Refusal`."""
    parts = line.split(b" ")
    if len(parts) != 3 or TOKEN.fullmatch(parts[0]) is None:
        raise Refusal(400, "the request line is not: method, target, version")
    method, target, version = parts
    if _VERSION.fullmatch(version) is None:
        raise Refusal(400, "the request line doesn't end in a version of HTTP")
    if version not in (b"HTTP/1.0", b"HTTP/1.1"):
        raise Refusal(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
    if method in (b"CONNECT", b"TRACE"):
        text = f"{method.decode()} is refused by this proxy"
        raise Refusal(405, text, "http_request_denied", ((b"Allow", ALLOWED),))
    try:
        return RequestLine(method, parse_target(method, target), version)
    except BadTarget as bad:
        raise Refusal(400, str(bad)) from None


def check_host_field(line: RequestLine, fields: Fields) -> bytes:
    """The authority asked for; raises `Refusal` (section 3.2)."""
    hosts = fields.all(b"host")
    if len(hosts) > 1:
        raise Refusal(400, "there is more than one Host field")
    if not hosts:
        if line.version == b"HTTP/1.1":
            raise Refusal(400, "HTTP/1.1 wants a Host field")
        return line.target.authority or b""
    try:
        check_host(hosts[0])
    except BadTarget as bad:
        raise Refusal(400, str(bad)) from None
    return line.target.authority or hosts[0]


def body_length(line: RequestLine, fields: Fields) -> int | None:
    """Bytes of body by Content-Length, None when chunked; raises `Refusal` (section 6)."""
    lengths = fields.all(b"content-length")
    if b"transfer-encoding" in fields:
        if lengths:
            raise Refusal(400, "Content-Length and Transfer-Encoding are both there")
        if line.version == b"HTTP/1.0":
            raise Refusal(400, "HTTP/1.0 has no Transfer-Encoding")
        codings = fields.tokens(b"transfer-encoding")
        if codings.count(b"chunked") != 1 or len(fields.all(b"transfer-encoding")) > 1:
            status = 400 if b"chunked" in codings or not codings else 501
            raise Refusal(status, "the only transfer coding taken is chunked, once")
        if codings != [b"chunked"]:
            raise Refusal(501, "the only transfer coding taken is chunked")
        return None
    if not lengths:
        return 0
    length = number(lengths[0])
    if len(lengths) > 1 or length is None:
        raise Refusal(400, "Content-Length is not one number")
    return length


def wants_continue(line: RequestLine, fields: Fields) -> bool:
    """RFC 9110 section 10.1.1; raises `Refusal` for expectations that can't be met."""
    expected = fields.tokens(b"expect")
    if line.version == b"HTTP/1.0" or not expected:
        return False
    if expected != [b"100-continue"]:
        raise Refusal(417, "the only expectation that can be met is 100-continue")
    return True


class StrictChannel(HTTPChannel):
    """One connection of a client. Its factory sets `site`, `reactor` and `limits`."""

    site: Any
    transport: Any
    reactor: Any
    limits: Limits
    requestFactory = ProxyRequest
    totalHeadersSize = 1 << 30  # counted here, line by line
    _watchdog: Watchdog
    _refused = False

    def connectionMade(self) -> None:
        self.MAX_LENGTH = self.limits.line
        self._watchdog = Watchdog(self.reactor, self._too_slow)
        self._served = 0
        self._between_requests()
        super().connectionMade()

    def _between_requests(self) -> None:
        self._line: RequestLine | None = None
        self._raw_line = b""
        self._field_lines: list[bytes] = []
        self._head_size = 0
        self._in_body = False

    def dataReceived(self, data: bytes) -> None:
        if self._refused:
            return
        waiting_before = self._line is not None and not self._in_body
        super().dataReceived(data)
        if self._refused:
            return
        if self._in_body:
            self._watchdog.expect(self.limits.body_seconds)
        elif self._line is not None and not waiting_before:
            self._watchdog.expect(self.limits.head_seconds)

    def lineReceived(self, line: bytes) -> None:
        try:
            self._head_size += len(line) + 2
            if self._head_size > self.limits.head:
                raise Refusal(431, "the request's head is too large")
            if self._line is not None:
                self._field_or_end(line)
                return
            if line:
                self._raw_line = line
                self._line = parse_request_line(line)
            super().lineReceived(line)
        except Refusal as refusal:
            self.refuse(refusal)

    def _field_or_end(self, line: bytes) -> None:
        if line:
            self._field_lines.append(line)
            if len(self._field_lines) > self.limits.fields:
                raise Refusal(431, "the request has too many fields")
            return
        request_line = self._line
        assert request_line is not None
        try:
            fields = parse_fields(self._field_lines)
        except MalformedMessage as malformed:
            raise Refusal(400, str(malformed)) from None
        request = self.requests[-1]
        request.fields = fields
        request.target = request_line.target
        request.authority = check_host_field(request_line, fields)
        request.body_limit = self.site.body_limit(request_line.target.path)
        length = body_length(request_line, fields)
        if length is not None and length > request.body_limit:
            raise too_large(request.body_limit)
        if wants_continue(request_line, fields) and length != 0:
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if length != 0:
            coded = b"Transfer-Encoding: chunked"
            self.headerReceived(coded if length is None else b"Content-Length: %d" % length)
        self._in_body = True
        super().lineReceived(b"")

    def lineLengthExceeded(self, line: bytes) -> None:
        if self._line is None:
            self.refuse(Refusal(414, "the request line is too long"))
        else:
            self.refuse(Refusal(431, "a field line is too long"))

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        """Section 9.3: HTTP/1.0 keeps the connection where it asks to."""
        self._served += 1
        options = request.fields.tokens(b"connection")
        if b"close" in options or self._served >= self.limits.requests:
            return False
        return version == b"HTTP/1.1" or b"keep-alive" in options

    def allContentReceived(self) -> None:
        if self._refused:
            return
        self._watchdog.rest()
        self._between_requests()
        super().allContentReceived()

    def rawDataReceived(self, data: bytes) -> None:
        if not self._refused:
            super().rawDataReceived(data)

    def _respondToBadRequestAndDisconnect(self) -> None:
        """Twisted's parser calls this for what it refuses itself: a malformed chunked body."""
        self.refuse(Refusal(400, "the request's body is malformed"))

    def _too_slow(self) -> None:
        if self._refused:
            self.forceAbortClient()
        else:
            self.refuse(Refusal(408, "the request didn't come in time"))

    def refuse(self, refusal: Refusal) -> None:
        """Answer, take no more, and close once the client could read the answer."""
        if self._refused:
            return
        self._refused = True
        self.setTimeout(None)
        self.setRawMode()
        failure = failure_of(refusal)
        head = [b"HTTP/1.1 %d %s\r\n" % (failure.status, reason_phrase(failure.status).encode())]
        head += [b"%s: %s\r\n" % pair for pair in failure.head().pairs]
        head.append(b"Connection: close\r\n\r\n")
        is_head = self._raw_line.startswith(b"HEAD ")
        self.transport.writeSequence([*head, b"" if is_head else failure.body])
        self._observe(failure.status, len(failure.body), failure.kind)
        self.requests.clear()
        self._watchdog.expect(self.limits.linger_seconds)
        if ITCPTransport.providedBy(self.transport):
            self.transport.loseWriteConnection()
        else:
            self.loseConnection()

    def _observe(self, status: int, sent: int, kind: str) -> None:
        method, _, rest = self._raw_line.decode("latin-1").partition(" ")
        target, _, version = rest.rpartition(" ")
        now = time()
        self.site.observe(
            AccessRecord(
                client=str(getattr(self.getPeer(), "host", "unknown")),
                method=method,
                target=target,
                version=version,
                status=status,
                bytes_sent=sent,
                started_at=now,
                seconds=0.0,
                ended="refused",
                error=kind,
            )
        )

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._watchdog.close()
        super().connectionLost(reason)
