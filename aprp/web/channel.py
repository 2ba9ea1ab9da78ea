"""HTTP/1.x from clients: Twisted's channel, made strict.

Heads and bodies are read by our own rules (`aprp.web.rules`, `aprp.core.decoding`) before Twisted
or any resource sees the request: what passes has one reading. A refused request gets its status
after the answers to those before it, nothing of it goes on, and the connection ends after a moment
in which the client can read why.
"""

from __future__ import annotations

from time import time
from typing import Any

from twisted.internet.interfaces import (
    IPullProducer,
    IReadWriteDescriptor,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, datetimeToString
from zope.interface import implementer

from aprp.core.decoding import BodyTooLarge, ChunkedDecoder, Decoder, LengthDecoder
from aprp.core.fields import Fields
from aprp.core.head import MalformedMessage, check_line_ends, parse_fields
from aprp.upstream.watchdog import Watchdog
from aprp.web.failures import Refusal, failure_of, reason_phrase
from aprp.web.record import AccessRecord
from aprp.web.request import ProxyRequest, too_large
from aprp.web.rules import (
    BodyTerms,
    Limits,
    RequestLine,
    body_length,
    check_host_field,
    parse_request_line,
    wants_continue,
)


class StrictChannel(HTTPChannel):
    """One connection of a client. Its factory sets `site`, `reactor` and `limits`."""

    site: Any
    transport: Any
    reactor: Any
    limits: Limits
    requestFactory = ProxyRequest
    totalHeadersSize = 1 << 30  # counted here, line by line
    _watchdog: Watchdog
    _terms: BodyTerms | None
    _closing = False
    _held_back = False

    def connectionMade(self) -> None:
        self.MAX_LENGTH = self.limits.line
        self._watchdog = Watchdog(self.reactor, self._too_slow)
        self._served = 0
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
        self._terms = None
        self._unnoted = 0
        self._noted_until = 0.0

    # The head.

    def dataReceived(self, data: bytes) -> None:
        if self._closing:
            return
        if self._busyReceiving:  # from within: what is held back is read on below
            super().dataReceived(data)
            return
        super().dataReceived(data)
        if not self._closing and self.line_mode and self._buffer:
            try:
                check_line_ends(self._buffer)  # section 2.2
            except MalformedMessage as malformed:
                self.refuse(Refusal(400, str(malformed)))
        self._time_the_head()

    def _time_the_head(self) -> None:
        """From its first byte on, however it trickles in."""
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
                raise Refusal(400, "a CR or LF stands alone")  # section 2.2
            if self._line is not None:
                self._field_or_end(line)
            elif line:
                self._raw_line = line
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
        self._expect_body(self._line, fields)
        super().lineReceived(b"")

    def _expect_body(self, line: RequestLine, fields: Fields) -> None:
        length = self.length = body_length(line, fields)
        expected = wants_continue(line, fields)
        if length == 0:
            return
        terms = self._terms = self.site.body_terms(line.target)
        if length is not None and length > terms.most:
            raise too_large(terms.most)
        if expected:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if length is None:
            self._decoder = ChunkedDecoder(strict=True, most=terms.most)
        else:
            self._decoder = LengthDecoder(length)
        self.setTimeout(None)  # until the body is there: its silence isn't that between requests
        self._note_progress(self.limits.body_progress)

    def lineLengthExceeded(self, line: bytes) -> None:
        if self._line is None:
            self.refuse(Refusal(414, "the request line is too long"))
        else:
            self.refuse(Refusal(431, "a field line is too long"))

    # The body, and what comes after it.

    def rawDataReceived(self, data: bytes) -> None:
        if self._closing:
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
            assert self._terms is not None
            self.refuse(too_large(self._terms.most))
            return
        for piece in pieces:
            self.requests[-1].handleContentChunk(piece)
        if self._decoder.done:
            self._finishRequestBody(self._decoder.rest)

    def _note_progress(self, n: int) -> None:
        """A silent sender has its route's time; one that trickles has to come to something too."""
        assert self._terms is not None
        now, silence = self.reactor.seconds(), self._terms.seconds
        self._unnoted += n
        if self._unnoted >= self.limits.body_progress:
            self._unnoted = 0
            self._noted_until = now + max(self.limits.body_seconds, silence)
        self._watchdog.expect(min(silence, self._noted_until - now))

    def _hold(self, data: bytes) -> None:
        """Later requests wait; when they get many, the client has to wait too."""
        self._dataBuffer.append(data)
        if sum(map(len, self._dataBuffer)) > self.limits.pipelined:
            self._networkProducer.pauseProducing()

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
        self._between_requests()
        super().allContentReceived()

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        """Section 9.3: HTTP/1.0 keeps the connection where it asks to."""
        self._served += 1
        options = request.fields.tokens(b"connection")
        if b"close" in options or self._served >= self.limits.requests:
            return False
        return version == b"HTTP/1.1" or b"keep-alive" in options

    # The end.

    def _respondToBadRequestAndDisconnect(self) -> None:
        """Twisted's parser calls this for what it refuses itself."""
        self.refuse(Refusal(400, "the request is malformed"))

    def _too_slow(self) -> None:
        if self._closing:
            self.transport.abortConnection()
        else:
            self.refuse(Refusal(408, "the request didn't come in time"))

    def refuse(self, refusal: Refusal) -> None:
        """Answer, take no more, and close once the client could read the answer."""
        if self._closing:
            return
        failure = failure_of(refusal)
        head = [b"HTTP/1.1 %d %s\r\n" % (failure.status, reason_phrase(failure.status).encode())]
        head += [b"%s: %s\r\n" % pair for pair in failure.head().pairs]
        date = datetimeToString()  # RFC 9110 section 6.6.1
        head.append(b"Date: %s\r\nConnection: close\r\n\r\n" % date)
        is_head = self._raw_line.startswith(b"HEAD ")
        self.transport.writeSequence([*head, b"" if is_head else failure.body])
        self._observe(failure.status, 0 if is_head else len(failure.body), failure.kind)
        for request in self.requests:
            request.discard()
        self.requests.clear()
        self.close()

    def timeoutConnection(self) -> None:
        """Between requests: no news, so nothing is logged; one that stays isn't waited for."""
        self.loseConnection()
        self._watchdog.expect(self.limits.linger_seconds)

    def loseConnection(self) -> None:
        """Close once everything was sent; a client that doesn't take it isn't waited for."""
        self._closing = True
        self._watchdog.expect(self.limits.idle_seconds)
        super().loseConnection()

    def close(self) -> None:
        """Take no more, send what was written, and close in order; abort if that takes long.

        Only our half is closed at first: bytes that are still under way to a closed socket would
        reset it, and the client might lose the answer (section 9.6).
        """
        self._closing = True
        self.setTimeout(None)
        self.setRawMode()
        self._dataBuffer.clear()
        network: Any = self._networkProducer
        network.unregisterProducer()
        network.resumeProducing()
        self._watchdog.expect(self.limits.linger_seconds)
        tcp = ITCPTransport.providedBy(self.transport)
        if tcp and not ISSLTransport.providedBy(self.transport):
            self.transport.loseWriteConnection()
        else:
            self.transport.loseConnection()

    def reset(self) -> None:
        """Take no more, send what was written, then RST: for a body that a FIN would complete."""
        self._closing = True
        self.setTimeout(None)
        self.setRawMode()
        network: Any = self._networkProducer
        network.unregisterProducer()
        self._watchdog.expect(self.limits.linger_seconds)
        if not IReadWriteDescriptor.providedBy(self.transport):
            network.abortConnection()
        else:
            network.registerProducer(_Drained(network), False)
            network.startWriting()

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
                route="-" if self._terms is None else self._terms.route,
                error=kind,
            )
        )

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._closing = True
        self._watchdog.close()
        super().connectionLost(reason)


@implementer(IPullProducer)
class _Drained:
    """Aborts a transport when it has written everything: it is asked for more then."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._registered = False

    def resumeProducing(self) -> None:
        if self._registered:
            self._transport.abortConnection()
        self._registered = True  # the first time is the registration itself

    def stopProducing(self) -> None:
        """The connection is gone already."""
