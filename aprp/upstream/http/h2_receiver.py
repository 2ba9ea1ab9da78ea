"""What a connection of HTTP/2 does with received frames, on either side of it.

The rules that concern all streams are applied here: windows, streams that were stopped, frames
without use. What is left goes to the connection, by stream.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from h2.connection import H2Connection
from h2.events import (
    Event,
    InformationalResponseReceived,
    PingAckReceived,
    RemoteSettingsChanged,
    RequestReceived,
    ResponseReceived,
    SettingsAcknowledged,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from hpack import HPACKError
from hpack.struct import Header
from twisted.internet.interfaces import IReactorTime

from aprp.core.http.fields import Pairs
from aprp.core.http.heads import MalformedMessage
from aprp.core.http2.fields import check_trailers
from aprp.core.http2.floods import UselessFrames
from aprp.core.http2.frames import Broken, Code, Data, GoAway, Kind, Other, is_nothing_more
from aprp.core.http2.reading import FrameReader
from aprp.core.http2.receiving import ConnectionWindow, ReceiveWindow, StoppedStreams
from aprp.core.http2.writing import trailers_of
from aprp.upstream.http.h2_outgoing import OutgoingBodies
from aprp.upstream.http.h2_writer import Writer

BLOCKS = (Kind.HEADERS, Kind.CONTINUATION)
"""Frames that carry fields."""


class Side(Protocol):
    """A connection, as far as its receiver needs it."""

    @property
    def closing(self) -> bool:
        """Whether nothing more is wanted of it."""
        ...

    def window_of(self, stream: int) -> ReceiveWindow | None:
        """Return the window of a stream that takes bytes; None if there is none."""
        ...

    def begun(self, stream: int) -> bool:
        """Whether the stream was begun, be it over by now."""
        ...

    def frame_came(self, frame: Other) -> None:
        """Judge a frame without a body before the library reads it; raise Broken."""
        ...

    def fields_came(self, stream: int, pairs: Pairs, ended: bool) -> None:
        """Take a block of fields; with `ended`, nothing follows it."""
        ...

    def malformed(self, stream: int, text: str) -> None:
        """End a stream, if it is there, on which the other side broke the rules."""
        ...

    def body_came(self, stream: int, data: bytes, cost: int, last: bool) -> None:
        """Take bytes of a body, `cost` bytes of the windows; with `last`, `stream_ended` follows
        at once."""
        ...

    def stream_ended(self, stream: int) -> None:
        """The other side has sent all of a stream."""
        ...

    def stream_reset(self, stream: int, code: int) -> None:
        """The other side has ended a stream before its end."""
        ...

    def acknowledged(self, ping: bool) -> None:
        """The other side has answered our SETTINGS, or a PING."""
        ...

    def went_away(self, away: GoAway) -> None:
        """The other side takes no more streams."""
        ...

    def broken(self, code: int, text: str) -> None:
        """End the connection: the other side broke the rules."""
        ...

    def received(self) -> None:
        """All that came was handled."""
        ...


class Receiver:
    """Reads frames for one side."""

    def __init__(
        self,
        side: Side,
        clock: IReactorTime,
        h2: H2Connection,
        frames: FrameReader,
        window: ConnectionWindow,
        writer: Writer,
        bodies: OutgoingBodies,
    ) -> None:
        self.stopped = StoppedStreams()
        self._side = side
        self._clock = clock
        self._h2 = h2
        self._frames = frames
        self._window = window
        self._writer = writer
        self._bodies = bodies
        self._useless = UselessFrames()

    def handle(self, data: bytes) -> None:
        """Take received bytes."""
        side = self._side
        if side.closing:
            return
        try:
            for each in self._frames.feed(data):
                if side.closing:
                    return
                if isinstance(each, Data):
                    self._data(each)
                elif isinstance(each, GoAway):
                    side.went_away(each)
                else:
                    self._other(each)
        except Broken as broken:
            side.broken(broken.code, str(broken))
        except ProtocolError as error:
            self._h2.clear_outbound_data_buffer()  # the library has a GOAWAY of its own
            side.broken(code_of(error), f"it breaks the rules of HTTP/2: {error}")
        if not side.closing:
            side.received()

    def note_useless(self) -> None:
        """Count a frame that carries nothing; raise Broken if they are too many."""
        self._useless.note(self._clock.seconds(), self._bodies.taken())

    def _data(self, each: Data) -> None:
        number, cost, last = each.stream, each.cost, each.last
        self._window.charge(cost)
        if owed := self._window.increment():
            self._writer.open_window(0, owed)
        for _ in range(each.useless):
            self.note_useless()
        window = self._side.window_of(number)
        if window is None:
            self.stopped.check(number, not self._side.begun(number))
            if last:
                self.stopped.ended(number)
            return
        window.charge(cost)
        self._side.body_came(number, each.data, cost, last)
        if last and self._side.window_of(number) is not None:
            self._events(self._h2.receive_data(trailers_of(number)))

    def _other(self, each: Other) -> None:
        self._side.frame_came(each)
        if each.stream and is_nothing_more(each) and self._side.begun(each.stream):
            self._side.malformed(each.stream, "it opens a window by nothing")
        elif each.raw:
            self._events(self._h2.receive_data(each.raw))

    def _events(self, events: list[Event]) -> None:
        for event in events:
            if self._side.closing:
                return
            self._event(event)

    def _trailers(self, stream: int, headers: Iterable[Header]) -> None:
        """They are dropped, if there is nothing wrong with them."""
        try:
            check_trailers(_pairs(headers))
        except MalformedMessage as malformed:
            self._side.malformed(stream, str(malformed))

    def _event(self, event: Event) -> None:
        side = self._side
        match event:
            case RequestReceived() | ResponseReceived() | InformationalResponseReceived():
                pairs = _pairs(event.headers or ())
                ended = getattr(event, "stream_ended", None) is not None
                side.fields_came(event.stream_id or 0, pairs, ended)
            case TrailersReceived():
                self._trailers(event.stream_id or 0, event.headers or ())
            case StreamEnded():
                self.stopped.ended(event.stream_id)
                side.stream_ended(event.stream_id)
            case StreamReset():
                self.stopped.ended(event.stream_id)
                side.stream_reset(event.stream_id, int(event.error_code or 0))
            case WindowUpdated():
                self._bodies.allowed(event.stream_id or 0)
            case RemoteSettingsChanged():
                self._bodies.settled()
            case SettingsAcknowledged() | PingAckReceived():
                side.acknowledged(isinstance(event, PingAckReceived))


def _pairs(headers: Iterable[Header]) -> Pairs:
    return tuple((bytes(name), bytes(value)) for name, value in headers)


def code_of(error: ProtocolError) -> int:
    """Return the code with which the connection ends. The library takes fields that can't be
    decoded for an error like any other (section 4.3)."""
    code = int(error.error_code)
    undecoded = isinstance(error.__cause__, (HPACKError, IndexError))
    return Code.COMPRESSION_ERROR if undecoded and code == Code.PROTOCOL_ERROR else code
