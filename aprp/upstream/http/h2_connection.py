"""HTTP/2 to a source: one connection, whose streams are the requests under way.

The library (h2) keeps the states of the streams and codes the fields; bodies, windows and GOAWAY
are handled here (`aprp.core.http2`). The connection reads all that comes: each stream's window
holds its source up. A connection that the source means to close (GOAWAY) completes what it has
begun and takes no more; so does one that was silent for too long, until it answers a PING.
"""

from __future__ import annotations

from collections.abc import Callable

from h2.exceptions import ProtocolError
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from aprp.core.http2.fields import request_fields
from aprp.core.reasons import Name
from aprp.upstream.errors import (
    BodyBroken,
    ConnectFailed,
    NoAnswer,
    SourceError,
    SourceLied,
    StreamRefused,
    lost_before_answer,
)
from aprp.upstream.exchange import SourceRequest
from aprp.upstream.http.h2_stream import Stream
from aprp.upstream.http.h2_streams import RequestStreams
from aprp.upstream.http.h2_writer import library
from aprp.upstream.http.received import ReceivedExchange
from aprp.upstream.http.response_heads import MAX_FIELDS, MAX_HEAD
from aprp.upstream.http.sending import send_body
from aprp.upstream.http.wire import H2, Wire
from aprp.upstream.splice.pipes import Pipes
from aprp.upstream.watchdog import Watchdog

MOST_STREAMS = 100
"""Requests at once on one connection, where the source allows as many."""
MOST_IN_ALL = 1 << 20
"""Requests after which a connection is not used any longer; stream numbers end at four times."""
MAX_FRAME = 65536
"""Bytes of a frame: a larger one would hold up the other streams for longer."""
FIELDS = MAX_HEAD + 32 * MAX_FIELDS
"""The largest fields of a response, as SETTINGS_MAX_HEADER_LIST_SIZE counts them."""
PING_SECONDS = 5.0
"""Within which a source has to answer a PING."""


class SharedConnection(Wire):
    """`released` is called when no request is left on it, `lost` when it's gone."""

    def __init__(
        self,
        clock: IReactorTime,
        where: str,
        released: Callable[[SharedConnection], None],
        lost: Callable[[SharedConnection], None],
        pipes: Pipes | None = None,
    ) -> None:
        super().__init__(clock, where)
        self._released = released
        self._lost = lost
        self._watchdog = Watchdog(clock, self._expired)
        self._h2 = library(True, MAX_FRAME, FIELDS, FIELDS)
        self._began = 0.0
        self._closing = self._retired = self._doubted = False
        self._pings = 0
        self._pinged: float | None = None
        self._streams: RequestStreams

    @property
    def room(self) -> int:
        """How many requests it could take now."""
        if self._gone or self._retired or self._doubted:
            return 0
        most = min(MOST_STREAMS, self._h2.remote_settings.max_concurrent_streams)
        return max(0, most - len(self._streams))

    @property
    def streams(self) -> int:
        """How many requests are under way."""
        return len(self._streams)

    @property
    def idle(self) -> bool:
        return not self._streams and self.room > 0

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return len(self._streams) > 0

    @property
    def closing(self) -> bool:
        """Whether nothing more is sent or received."""
        return self._closing or self._gone

    # Opening

    def connectionMade(self) -> None:
        super().connectionMade()
        transport = self._socket()
        self._streams = RequestStreams(self, self._clock, transport, self._h2, MAX_FRAME)
        self._link = self._streams.link
        if self._secure:
            self._begin()

    def handshakeCompleted(self) -> None:
        if self.negotiated != H2:
            opening, self._opening = self._opening, None
            self.close()
            if opening is not None:
                text = "doesn't offer HTTP/2, which http2: prior-knowledge demands"
                opening.errback(ConnectFailed(self.where, text, kind="tls_protocol_error"))
            return
        self._begin()
        super().handshakeCompleted()

    def _begin(self) -> None:
        self._began = self._clock.seconds()
        self._link.begin()

    def dataReceived(self, data: bytes) -> None:
        self._link.incoming.came(data)

    # Requests

    def ask(self, request: SourceRequest) -> Deferred[ReceivedExchange]:
        """Send a request; fires when the final answer's head is there, fails with SourceError."""
        self.note_request()
        self._watchdog.rest()
        number = self._h2.get_next_available_stream_id()
        self._retired = self._retired or self.served >= MOST_IN_ALL
        scheme, fields = request.origin.scheme, request.fields
        pairs = request_fields(request.method, scheme, request.target, fields)
        try:
            self._link.writer.head(number, pairs, request.body is None)
        except ProtocolError as error:  # more streams than it allows, as far as the library knows
            return fail(
                StreamRefused(self.where, Name(f": {error}", ": the request can't be sent"))
            )
        stream = self._streams.add(number, request)
        if request.body is not None:
            self._send_body(stream, request)
        return stream.answered

    def _send_body(self, stream: Stream, request: SourceRequest) -> None:
        outgoing = self._link.bodies.open(stream.number)
        plain = request._replace(fields=request.fields.without((b"transfer-encoding",)))
        sent = send_body(plain, outgoing, stream.await_source)
        sent.addCallbacks(lambda _: outgoing.end(), stream.client_failed)

    # Life

    def rest(self, seconds: float) -> None:
        """Stay open for that long without a request."""
        self.note_rest()
        self._watchdog.expect(seconds)

    def abandon(self) -> None:
        """Close now, whatever is under way."""
        self._watchdog.close()
        self._streams.allotment.close()
        self._closing = self._retired = True
        self.close()

    def _expired(self) -> None:
        if self._doubted:
            text = f"doesn't answer within {PING_SECONDS:g} s whether it is there"
            self._fail_all(BodyBroken(self.where, text), NoAnswer(self.where, text))
        self.abandon()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._link.incoming.hand_on()
        self._link.close()
        self._watchdog.close()
        self._streams.allotment.close()
        self._closing = self._retired = True
        self._lost(self)
        super().connectionLost(reason)
        self._fail_all(
            BodyBroken(self.where, "closed the connection within its answer"),
            lost_before_answer(self.where, reason.value),
        )

    def _fail_all(self, within: SourceError, before: SourceError) -> None:
        self._closing = True
        self._streams.fail_all(within, before)

    # Called by the streams.

    def retire(self) -> None:
        """Take no more requests."""
        self._retired = True

    def emptied(self) -> None:
        """No request is under way any longer. What takes no more, either, is closed."""
        if self.room:
            self._released(self)
        elif self._retired or not self._doubted:
            self.abandon()

    def doubt(self) -> None:
        """Ask whether the source is there at all; until it answers, nobody else is to wait."""
        if not self._doubted and not self.closing:
            self._doubted = True
            self._pings += 1
            self._pinged = self._clock.seconds()
            self._link.writer.ping(self._pings.to_bytes(8, "big"))
            self._watchdog.expect(PING_SECONDS)

    def acknowledged(self, ping: bool) -> None:
        """The source has answered our SETTINGS, or a PING."""
        asked, self._pinged = self._pinged, None
        if not ping:
            asked, self._pinged = self._began, asked
        if asked is not None:
            self._streams.allotment.round_trip(self._clock.seconds() - asked)
        if ping and self._doubted:
            self._doubted = False
            self._watchdog.rest()
            if not self._streams:
                self.emptied()

    def broken(self, code: int, text: str) -> None:
        """The source broke the rules: nothing that follows can be relied on."""
        self._fail_all(BodyBroken(self.where, f": {text}"), SourceLied(self.where, f": {text}"))
        self.abandon()
