"""HTTP/2 from clients (RFC 9113): one connection, whose streams are requests.

The library (h2) keeps the states of streams and codes fields; bodies, windows, GOAWAY and what a
client may cost are handled here and in `aprp.core.http2`. Twisted's own channel for HTTP/2 isn't
used; docs/dependencies.md says where it falls short.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    Event,
    PingAckReceived,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import NoSuchStreamError, ProtocolError
from h2.settings import SettingCodes, Settings
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from aprp.core.http.fields import Pairs
from aprp.core.http.heads import MalformedMessage
from aprp.core.http2.floods import Allowance
from aprp.core.http2.frames import (
    DEFAULT_WINDOW,
    PREFACE,
    Broken,
    Code,
    Data,
    FrameReader,
    GoAway,
    Kind,
    Other,
    together,
)
from aprp.core.http2.writing import go_away, settings, trailers_of, window_update
from aprp.upstream.http.h2_incoming import IncomingBytes
from aprp.upstream.http.h2_outgoing import OutgoingBodies, OutgoingBody
from aprp.upstream.watchdog import Watchdog
from aprp.web.clients import Release
from aprp.web.h2_stream import ClientStream
from aprp.web.request_rules import Limits

MAX_FRAME = 16384
WINDOW = 1 << 24
"""The window of the connection as a whole: each stream's holds its sender up."""
_EMPTY_MOST, _EMPTY_RATE = 1000, 200.0
"""Frames without use for us: at once, and a second."""
_WORTH = 4096
"""Bytes that we sent for which a WINDOW_UPDATE is of use."""
_ALL = 2**31 - 1
_STOPPED = 1000
"""Streams that were reset from here of which bytes may still be on their way."""


class H2Channel(Protocol):
    """One connection of a client. `release` is called at its end."""

    transport: Any

    def __init__(self, site: Any, reactor: Any, limits: Limits, release: Release | None) -> None:
        self.site = site
        self.reactor = reactor
        self.limits = limits
        self._release = release
        self._watchdog = Watchdog(reactor, self._expired)
        self._frames = FrameReader(MAX_FRAME, preface=True)
        self._h2 = _library(limits)
        self._streams: dict[int, ClientStream] = {}
        self._stopped: dict[int, None] = {}
        self._owed = 0
        self._credits: dict[int, int] = {}
        self._served = 0
        self._highest = 0
        self._empty = Allowance(_EMPTY_MOST, _EMPTY_RATE)
        self._resets = Allowance(limits.resets, limits.resets / 10)
        self._closing = self._draining = self._drained = self._gone = False

    def connectionMade(self) -> None:
        self._tls = ISSLTransport.providedBy(self.transport)
        self._host, self._peer = self.transport.getHost(), self.transport.getPeer()
        self.site.entered(self)
        self._incoming = IncomingBytes(self.reactor, self._handle, gather=self._tls)
        self._bodies = OutgoingBodies(self._h2, self.transport, self._flush, self._sent)
        self._watchdog.expect(self.limits.idle_seconds)
        self._write(settings(max_concurrent_streams=self.limits.streams))
        self._h2.initiate_connection()
        self._h2.receive_data(PREFACE)  # which is read here
        self._flush()
        self._write(window_update(0, WINDOW - DEFAULT_WINDOW))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._gone = self._closing = True
        self._incoming.close()
        self._watchdog.close()
        self._bodies.close()
        release, self._release = self._release, None
        if release is not None:
            release()
        self._lose_all(reason)
        self.site.left(self)

    def _lose_all(self, reason: Failure) -> None:
        streams, self._streams = list(self._streams.values()), {}
        for stream in streams:
            stream.lost(reason)

    @property
    def streams(self) -> int:
        """The number of requests that are under way."""
        return len(self._streams)

    # What the site says

    def take_no_more(self) -> None:
        """Serve what was begun, and what the client sent before it hears of this."""
        if self._closing or self._draining:
            return
        self._draining = True
        self._write(go_away(_ALL, Code.NO_ERROR))
        self._h2.ping(b"draining")
        self._flush()
        self._watchdog.expect(self.limits.linger_seconds)

    def _drain(self) -> None:
        """The client knows: what it sends from now on is refused."""
        self._drained = True
        self._write(go_away(self._highest, Code.NO_ERROR))
        self._watchdog.rest()
        if not self._streams:
            self._close()

    def reset_now(self) -> None:
        """Do nothing: a stream without its end shows that it is incomplete."""

    def _expired(self) -> None:
        if self._closing:
            self.transport.abortConnection()
        elif self._draining and not self._drained:
            self._drain()
        elif not self._streams:
            self._write(go_away(self._highest, Code.NO_ERROR))
            self._close()

    def _close(self) -> None:
        """Close once everything was sent; a client that doesn't take it isn't waited for."""
        if self._closing:
            return
        self._closing = True
        self._flush()
        self._bodies.close()
        self._lose_all(Failure(ConnectionLost("the connection is closed")))
        self._watchdog.expect(self.limits.linger_seconds)
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def _broken(self, code: int, text: str) -> None:
        self._write(go_away(self._highest, code, text))
        self._close()

    # What streams say

    def getPeer(self) -> Any:
        return self._peer

    def getHost(self) -> Any:
        return self._host

    def isSecure(self) -> bool:
        return self._tls

    def send_head(self, stream: int, pairs: Pairs, ends: bool) -> None:
        """Send a block of fields."""
        if not self._closing:
            self._h2.send_headers(stream, pairs, end_stream=ends)
            self._flush()

    def body(self, stream: int) -> OutgoingBody:
        """Return what the response's body is written to."""
        return self._bodies.open(stream)

    def allow(self, stream: int, count: int) -> None:
        """Let the client send more of a request's body."""
        self._credits[stream] += count
        self._write(window_update(stream, count))

    def reset(self, stream: int, code: int) -> None:
        """Break a stream off."""
        if not self._closing:
            self._stopped[stream] = None
            while len(self._stopped) > _STOPPED:
                del self._stopped[next(iter(self._stopped))]
            with suppress(NoSuchStreamError):  # both sides have ended it already
                self._h2.reset_stream(stream, code)
            self._flush()

    def over(self, stream: int) -> None:
        """A stream has ended."""
        self._bodies.drop(stream)
        self._credits.pop(stream, None)
        if self._streams.pop(stream, None) is None or self._streams or self._closing:
            return
        if self._drained:
            self._close()
        elif not self._draining:
            self._watchdog.expect(self.limits.idle_seconds)

    def _sent(self, stream: int) -> None:
        if (found := self._streams.get(stream)) is not None:
            found.sent()

    # What comes in

    def dataReceived(self, data: bytes) -> None:
        self._incoming.came(data)

    def _handle(self, data: bytes) -> None:
        if self._closing:
            return
        try:
            for each in together(self._frames.feed(data)):
                if self._closing:
                    return
                if isinstance(each, list):
                    self._data(each)
                elif isinstance(each, Other):
                    self._other(each)
                elif isinstance(each, GoAway):
                    self._note_empty()
        except Broken as broken:
            self._broken(broken.code, str(broken))
        except ProtocolError as error:
            self._h2.clear_outbound_data_buffer()  # has a GOAWAY of its own
            self._broken(int(error.error_code), "")
        if not self._closing:
            self._flush()

    def _data(self, pieces: list[Data]) -> None:
        number, last = pieces[0].stream, pieces[-1].last
        cost = sum(piece.cost for piece in pieces)
        self._charge(cost)
        if not last and not any(piece.data for piece in pieces):
            self._note_empty()
        stream = self._streams.get(number)
        if stream is None or number not in self._credits:
            self._stray(number, last)
            return
        self._credits[number] -= cost
        if self._credits[number] < 0:
            raise Broken(Code.FLOW_CONTROL_ERROR, "more than the window")
        try:
            stream.data_came(b"".join([piece.data for piece in pieces]), cost)
        except MalformedMessage as malformed:
            stream.malformed(str(malformed))
        if last and number in self._streams:
            self._events(self._h2.receive_data(trailers_of(number)))

    def _charge(self, cost: int) -> None:
        self._owed += cost
        if self._owed > WINDOW:
            raise Broken(Code.FLOW_CONTROL_ERROR, "more than the window of the connection")
        if self._owed * 4 > WINDOW:
            self._write(window_update(0, self._owed))
            self._owed = 0

    def _stray(self, number: int, last: bool) -> None:
        if number not in self._stopped:
            idle = number > self._highest or number % 2 == 0
            code = Code.PROTOCOL_ERROR if idle else Code.STREAM_CLOSED
            raise Broken(code, "DATA on a stream that isn't open")
        if last:
            del self._stopped[number]

    def _note_empty(self) -> None:
        """Bound what carries nothing; a client that takes bytes has reason to say so."""
        self._empty.earn(self._bodies.taken() / _WORTH)
        if not self._empty.spend(self.reactor.seconds()):
            raise Broken(Code.ENHANCE_YOUR_CALM, "too many frames without use")

    def _note_reset(self) -> None:
        if not self._resets.spend(self.reactor.seconds()):
            raise Broken(Code.ENHANCE_YOUR_CALM, "too many streams that were reset")

    def _other(self, each: Other) -> None:
        if each.kind not in (Kind.HEADERS, Kind.CONTINUATION, Kind.RST_STREAM):
            self._note_empty()
        if each.kind == Kind.HEADERS and each.stream in self._stopped:
            self._note_reset()
        if each.raw:
            self._events(self._h2.receive_data(each.raw))

    def _events(self, events: list[Event]) -> None:
        for event in events:
            if self._closing:
                return
            self._event(event)

    def _event(self, event: Event) -> None:
        match event:
            case RequestReceived():
                pairs = tuple((bytes(name), bytes(value)) for name, value in event.headers or ())
                self._begin(event.stream_id or 0, pairs, event.stream_ended is not None)
            case StreamEnded():
                self._stopped.pop(event.stream_id, None)
                if (stream := self._streams.get(event.stream_id)) is not None:
                    try:
                        stream.ended()
                    except MalformedMessage as malformed:
                        stream.malformed(str(malformed))
            case StreamReset():
                self._note_reset()
                self._stopped.pop(event.stream_id, None)
                if (stream := self._streams.get(event.stream_id)) is not None:
                    self.over(event.stream_id)
                    stream.lost(Failure(ConnectionLost("the client reset the stream")))
            case WindowUpdated():
                self._bodies.allowed(event.stream_id or 0)
            case RemoteSettingsChanged():
                self._bodies.settled()
            case PingAckReceived():
                if self._draining and not self._drained:
                    self._drain()

    def _begin(self, number: int, pairs: Pairs, ended: bool) -> None:
        self._highest = number
        if self._drained or len(self._streams) >= self.limits.streams:
            self._note_reset()
            self.reset(number, Code.REFUSED_STREAM)
            return
        self._served += 1
        if not self._draining:
            self._watchdog.rest()
        stream = self._streams[number] = ClientStream(self, number)
        self._credits[number] = DEFAULT_WINDOW
        try:
            stream.begin(pairs, ended)
        except MalformedMessage as malformed:
            self._note_reset()
            stream.malformed(str(malformed))
        if self._served >= self.limits.requests or self.site.stopping:
            self.take_no_more()

    # What goes out

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data:
            self._write(data)

    def _write(self, data: bytes) -> None:
        if not self._gone:
            self.transport.write(data)


def _library(limits: Limits) -> H2Connection:
    """Our side of a connection, with what we allow the client. How many streams it may have open is
    told and checked by the channel: one too many is refused, and ends nothing else."""
    config = H2Configuration(
        client_side=False,
        validate_inbound_headers=False,
        normalize_inbound_headers=False,
        validate_outbound_headers=False,
    )
    library = H2Connection(config)
    most = 2 * (limits.head + 32 * limits.fields)
    library.local_settings = Settings(
        client=False,
        initial_values={
            SettingCodes.MAX_FRAME_SIZE: MAX_FRAME,
            SettingCodes.MAX_HEADER_LIST_SIZE: limits.head + 32 * limits.fields,
        },
    )
    library.max_inbound_frame_size = MAX_FRAME
    library.decoder.max_header_list_size = most
    return library
