"""HTTP/1.x from clients: Twisted's channel, made strict.

Heads and bodies are read by our own rules (`aprp.web.request_rules`,
`aprp.core.http.framing`) before Twisted or any resource sees the request: what passes has one
reading. `aprp.web.head_channel` reads heads, `aprp.web.closing` ends connections.
"""

from __future__ import annotations

from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from aprp.core.http.fields import Fields
from aprp.core.http.framing import BodyTooLarge, ChunkedDecoder, Decoder, LengthDecoder
from aprp.core.http.heads import MalformedMessage
from aprp.web.failures import Refusal
from aprp.web.head_channel import HeadChannel
from aprp.web.inflow import Inflow
from aprp.web.request_rules import RequestLine, body_length, wants_continue
from aprp.web.spooled_request import too_large


class StrictChannel(HeadChannel):
    """One connection of a client. Its factory sets `site`, `reactor` and `limits`."""

    _held_back = False

    def _between_requests(self) -> None:
        super()._between_requests()
        self._decoder = None
        self._is_awaited = False
        self._unnoted = 0
        self._noted = 0
        self._noted_until = 0.0

    def _expect_body(self, line: RequestLine, authority: bytes, fields: Fields) -> None:
        length = self.length = body_length(line, fields)
        expected = wants_continue(line, fields)
        if length == 0:
            return
        body_limits = self._body_limits = self.site.body_limits(authority, line.target)
        if length is not None and length > body_limits.most:
            raise too_large(body_limits.most)
        self._is_awaited = expected
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

    def allHeadersReceived(self) -> None:
        super().allHeadersReceived()  # which raises Refusal if the request isn't served
        if self._is_awaited:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _stream_body(self, decoder: Decoder) -> None:
        """Have the request served before its body has come: for Twisted's parser it has none."""
        inflow = Inflow(self._networkProducer, decoder, self._time_inflow)
        self.requests[-1].inflow = self._inflow = inflow
        self.length = 0

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
