"""HTTP/2 to a source: one connection, whose streams are the requests under way.

The library (h2) keeps the states of the streams and codes the fields; bodies, windows and GOAWAY
are handled here (`aprp.core.http2`). The connection reads all that comes: each stream's window
holds its source up. A connection that the source means to close (GOAWAY) completes what it has
begun and takes no more; so does one that was silent for too long, until it answers a PING.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    Event,
    InformationalResponseReceived,
    PingAckReceived,
    RemoteSettingsChanged,
    ResponseReceived,
    SettingsAcknowledged,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import NoSuchStreamError, ProtocolError
from h2.settings import SettingCodes, Settings
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from aprp.core.http2 import windows
from aprp.core.http2.fields import request_fields
from aprp.core.http2.floods import Allowance
from aprp.core.http2.frames import (
    DEFAULT_WINDOW,
    Broken,
    Code,
    Data,
    Frame,
    FrameReader,
    GoAway,
    Kind,
    Other,
    together,
)
from aprp.core.http2.writing import end_of, window_update
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
from aprp.upstream.http.h2_incoming import IncomingBytes
from aprp.upstream.http.h2_outgoing import OutgoingBodies
from aprp.upstream.http.h2_stream import Stream
from aprp.upstream.http.received import ReceivedExchange
from aprp.upstream.http.response_heads import MAX_FIELDS, MAX_HEAD
from aprp.upstream.http.sending import send_body
from aprp.upstream.http.tls import H2
from aprp.upstream.http.wire import Wire
from aprp.upstream.splice.pipes import Pipes
from aprp.upstream.watchdog import Watchdog

MOST_STREAMS = 100
"""Requests at once on one connection, where the source allows as many."""
MOST_IN_ALL = 1 << 20
"""Requests after which a connection is not used any longer; stream numbers end at four times."""
MAX_FRAME = 65536
"""Bytes of a frame: a larger one would hold up the other streams for longer."""
WINDOW = 1 << 28
"""The window of the connection as a whole: it holds up nobody."""
HELD = 1 << 25
"""Bytes that the streams may have waiting for clients, roughly."""
PING_SECONDS = 5.0
"""Within which a source has to answer a PING."""
FRESH = 1.0
_EMPTY_MOST, _EMPTY_RATE = 1000, 200.0
"""Frames without use for us: at once, and a second."""
WORTH = 4096
"""Bytes that we sent for which a WINDOW_UPDATE is of use."""
_RESET = 1000
"""Streams that were stopped from here of which bytes may still be on their way."""


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
        self.where = where
        self.served = 0
        self.kept = False
        self._released = released
        self._lost = lost
        self._watchdog = Watchdog(clock, self._expired)
        self._frames = FrameReader(MAX_FRAME)
        self._h2 = _library()
        self._streams: dict[int, Stream] = {}
        self._stopped: dict[int, None] = {}
        self._owed = 0
        self._flight = windows.InFlight()
        self._unallotted = 0
        self._empty = Allowance(_EMPTY_MOST, _EMPTY_RATE)
        self._began = self._rested = self._asked = 0.0
        self._closing = self._retired = self._doubted = False
        self._pings = 0
        self._pinged: float | None = None
        self._bodies: OutgoingBodies

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
        return bool(self._streams)

    @property
    def fresh(self) -> bool:
        """Whether the connection was new when the last request was sent, so that its end isn't an
        idle timeout."""
        return self.served == 1 and self._asked - self._rested < FRESH

    # Opening

    def connectionMade(self) -> None:
        super().connectionMade()
        self._incoming = IncomingBytes(self._clock, self._handle, gather=self._tls)
        self._bodies = OutgoingBodies(self._h2, self._socket(), self._flush, lambda _: None)
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
        self._h2.initiate_connection()
        self._flush()
        self._write(window_update(0, WINDOW - DEFAULT_WINDOW))

    # Requests

    def ask(self, request: SourceRequest) -> Deferred[ReceivedExchange]:
        """Send a request; fires when the final answer's head is there, fails with SourceError."""
        self.served += 1
        self._asked = self._clock.seconds()
        self._watchdog.rest()
        number = self._h2.get_next_available_stream_id()
        self._retired = self._retired or self.served >= MOST_IN_ALL
        scheme, fields = request.origin.scheme, request.fields
        pairs = request_fields(request.method, scheme, request.target, fields)
        try:
            self._h2.send_headers(number, pairs, end_stream=request.body is None)
        except ProtocolError as error:  # more streams than it allows, as far as the library knows
            return fail(
                StreamRefused(self.where, Name(f": {error}", ": the request can't be sent"))
            )
        # bodies don't pass through the library, so it isn't to compare them with Content-Length
        self._h2.streams[number].request_method = b"HEAD"
        stream = self._streams[number] = Stream(self, number, request, self._clock)
        self._allot()
        self._flush()
        if request.body is not None:
            self._send_body(stream, request)
        return stream.answered

    def _send_body(self, stream: Stream, request: SourceRequest) -> None:
        outgoing = self._bodies.open(stream.number)
        plain = replace(request, fields=request.fields.without((b"transfer-encoding",)))
        sent = send_body(plain, outgoing, stream.await_source)
        sent.addCallbacks(lambda _: outgoing.end(), stream.client_failed)

    # Called by streams.

    def hungry(self, stream: Stream) -> None:
        """Let the source send more of it."""
        self._allot()

    def over(self, stream: Stream, code: int | None = None) -> None:
        """The stream is over; with a code, the source has yet to hear of it."""
        if self._streams.pop(stream.number, None) is None:
            return
        self._bodies.drop(stream.number)
        if code is not None and not self._gone and not self._closing:
            self._note_stopped(stream.number)
            with suppress(NoSuchStreamError):  # both sides have ended it already
                self._h2.reset_stream(stream.number, code)
            self._flush()
        if self._streams:
            self._allot()
            return
        self._flight.idle()
        if self._closing or self._gone:
            return
        if self._retired:
            self.abandon()
        elif self.room:
            self._released(self)

    def doubt(self) -> None:
        """Ask whether the source is there at all; until it answers, nobody else is to wait."""
        if not self._doubted and not self._gone and not self._closing:
            self._doubted = True
            self._ping()
            self._watchdog.expect(PING_SECONDS)

    def _ping(self) -> None:
        self._pings += 1
        self._pinged = self._clock.seconds()
        self._h2.ping(self._pings.to_bytes(8, "big"))
        self._flush()

    def _note_stopped(self, number: int) -> None:
        self._stopped[number] = None
        while len(self._stopped) > _RESET:
            del self._stopped[next(iter(self._stopped))]

    # Life

    def rest(self, seconds: float) -> None:
        """Stay open for that long without a request."""
        self.kept, self._rested = True, self._clock.seconds()
        self._watchdog.expect(seconds)

    def abandon(self) -> None:
        """Close now, whatever is under way."""
        self._watchdog.close()
        self._closing = self._retired = True
        self.close()

    def _expired(self) -> None:
        if self._doubted:
            text = f"doesn't answer within {PING_SECONDS:g} s whether it is there"
            self._fail_all(BodyBroken(self.where, text), NoAnswer(self.where, text))
        self.abandon()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._incoming.hand_on()
        self._watchdog.close()
        self._closing = self._retired = True
        self._lost(self)
        super().connectionLost(reason)
        self._fail_all(
            BodyBroken(self.where, "closed the connection within its answer"),
            lost_before_answer(self.where, reason.value),
        )

    def _fail_all(self, within: SourceError, before: SourceError) -> None:
        self._closing = True
        streams, self._streams = list(self._streams.values()), {}
        for stream in streams:
            self._bodies.drop(stream.number)
            stream.failed(within if stream.has_head else before)

    def _broken(self, text: str) -> None:
        """The source broke the rules: nothing that follows can be relied on."""
        self._retired = True
        self._flush()
        self._fail_all(BodyBroken(self.where, f": {text}"), SourceLied(self.where, f": {text}"))
        self.abandon()

    # What comes in

    def dataReceived(self, data: bytes) -> None:
        self._incoming.came(data)

    def _handle(self, data: bytes) -> None:
        if self._closing:
            return
        try:
            self._receive(self._frames.feed(data))
        except Broken as broken:
            self._broken(str(broken))
        except ProtocolError as error:
            self._broken(f"it breaks the rules of HTTP/2: {error}")
        if not self._closing and not self._gone:
            if self._unallotted * 32 >= self._flight.size:
                self._allot()
            self._flush()

    def _receive(self, frames: list[Frame]) -> None:
        for each in together(frames):
            if self._closing:
                return
            if isinstance(each, list):
                self._data(each)
            elif isinstance(each, GoAway):
                self._going(each)
            else:
                self._other(each)

    def _data(self, pieces: list[Data]) -> None:
        number, last = pieces[0].stream, pieces[-1].last
        cost = sum(piece.cost for piece in pieces)
        self._charge(cost)
        stream = self._streams.get(number)
        if stream is None:
            self._stray(number, last)
            return
        stream.credit -= cost
        if stream.credit < 0:
            raise Broken(Code.FLOW_CONTROL_ERROR, "it sent more than its window")
        if not any(piece.data for piece in pieces) and not last:
            self._note_empty()
        self._unallotted += cost
        if self._flight.came(cost, self._clock.seconds()):
            self._unallotted = self._flight.size
        stream.data_came(pieces)
        if last and number in self._streams:
            self._events(self._h2.receive_data(end_of(number)))

    def _charge(self, cost: int) -> None:
        """Count what came against the window of the connection, and open that again."""
        self._owed += cost
        if self._owed * 4 > WINDOW:
            self._write(window_update(0, self._owed))
            self._owed = 0

    def _stray(self, number: int, last: bool) -> None:
        """What belongs to no stream may be on its way to one that was stopped."""
        if number not in self._stopped:
            raise Broken(Code.STREAM_CLOSED, "it sent bytes on a stream that isn't open")
        if last:
            del self._stopped[number]

    def _note_empty(self) -> None:
        self._empty.earn(self._bodies.taken() / WORTH)
        if not self._empty.spend(self._clock.seconds()):
            raise Broken(Code.ENHANCE_YOUR_CALM, "it sends frames without use")

    def _going(self, away: GoAway) -> None:
        """Section 6.8: what it didn't handle is sent elsewhere, the rest goes on."""
        self._retired = True
        refused = [each for number, each in self._streams.items() if number > away.last]
        for stream in refused:
            self._streams.pop(stream.number, None)
            self._bodies.drop(stream.number)
            stream.failed(StreamRefused(self.where, "is closing the connection"))
        if not self._streams:
            self.abandon()

    def _other(self, each: Other) -> None:
        if each.kind not in (Kind.HEADERS, Kind.CONTINUATION):
            self._note_empty()
        elif each.stream % 2 == 0:
            raise Broken(Code.PROTOCOL_ERROR, "it began a stream, which only we may do")
        if each.raw:
            self._events(self._h2.receive_data(each.raw))

    def _events(self, events: list[Event]) -> None:
        for event in events:
            self._event(event)

    def _event(self, event: Event) -> None:
        match event:
            case ResponseReceived() | InformationalResponseReceived() | TrailersReceived():
                if (stream := self._streams.get(event.stream_id or 0)) is not None:
                    stream.head_came(tuple((bytes(n), bytes(v)) for n, v in event.headers or ()))
            case StreamEnded():
                self._stopped.pop(event.stream_id, None)
                if (stream := self._streams.get(event.stream_id)) is not None:
                    stream.ended()
                    self.over(stream, Code.CANCEL if stream.number in self._bodies else None)
            case StreamReset():
                self._stopped.pop(event.stream_id, None)
                if (stream := self._streams.get(event.stream_id)) is not None:
                    stream.reset(int(event.error_code or 0))
                    self.over(stream)
            case WindowUpdated():
                self._bodies.allowed(event.stream_id or 0)
            case RemoteSettingsChanged():
                self._bodies.settled()
            case SettingsAcknowledged():
                self._flight.round_trip(self._clock.seconds() - self._began)
            case PingAckReceived():
                self._ponged()

    def _ponged(self) -> None:
        if self._pinged is not None:
            self._flight.round_trip(self._clock.seconds() - self._pinged)
            self._pinged = None
        if self._doubted:
            self._doubted = False
            self._watchdog.rest()
            if not self._streams:
                self._released(self)

    # What goes out

    def _allot(self) -> None:
        """Let streams send more, as `aprp.core.http2.windows` decides."""
        if self._gone or self._closing:
            return
        self._unallotted = 0
        share = max(windows.LEAST, min(self._flight.size, HELD // max(1, len(self._streams))))
        claims = [claim for each in self._streams.values() if (claim := each.claim(share))]
        frames = []
        for number, more in windows.allot(claims, self._flight.size).items():
            self._streams[number].credit += more
            frames.append(window_update(number, more))
        if frames:
            self._flush()
            self._write(b"".join(frames))

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data:
            self._write(data)

    def _write(self, data: bytes) -> None:
        if not self._gone:
            self._socket().write(data)


def _library() -> H2Connection:
    """Our side of a connection, with what we allow the other."""
    config = H2Configuration(validate_inbound_headers=False, normalize_inbound_headers=False)
    library = H2Connection(config)
    allowed = {
        SettingCodes.ENABLE_PUSH: 0,
        SettingCodes.MAX_FRAME_SIZE: MAX_FRAME,
        SettingCodes.MAX_HEADER_LIST_SIZE: MAX_HEAD + 32 * MAX_FIELDS,
    }
    library.local_settings = Settings(client=True, initial_values=allowed)
    library.max_inbound_frame_size = MAX_FRAME
    library.decoder.max_header_list_size = MAX_HEAD + 32 * MAX_FIELDS
    return library
