"""The requests under way on a connection to a source; each gets what comes in on its stream."""

from __future__ import annotations

from typing import Any, Protocol

from h2.connection import H2Connection
from twisted.internet.interfaces import IReactorTime

from aprp.core.http.fields import Pairs
from aprp.core.http2.frames import Broken, Code, GoAway, Other
from aprp.core.http2.reading import FrameReader
from aprp.core.http2.receiving import ReceiveWindow
from aprp.upstream.errors import SourceError, SourceLied, StreamRefused
from aprp.upstream.exchange import SourceRequest
from aprp.upstream.http.h2_allotment import Allotment
from aprp.upstream.http.h2_link import Link
from aprp.upstream.http.h2_receiver import BLOCKS
from aprp.upstream.http.h2_stream import Stream

WINDOW = 1 << 28
"""The window of the connection as a whole: it holds up nobody."""


class Life(Protocol):
    """The connection, as far as its streams need it."""

    kept: bool

    @property
    def where(self) -> str:
        """Host and port of the source."""
        ...

    @property
    def closing(self) -> bool:
        """Whether nothing more is sent or received."""
        ...

    def retire(self) -> None:
        """Take no more requests."""
        ...

    def emptied(self) -> None:
        """No request is under way any longer."""
        ...

    def doubt(self) -> None:
        """The source was silent for too long on a stream."""
        ...

    def acknowledged(self, ping: bool) -> None:
        """The source has answered our SETTINGS, or a PING."""
        ...

    def broken(self, code: int, text: str) -> None:
        """The source broke the rules: nothing that follows can be relied on."""
        ...


class RequestStreams:
    """The streams of one connection, by number."""

    def __init__(
        self, life: Life, clock: IReactorTime, transport: Any, h2: H2Connection, max_frame: int
    ) -> None:
        frames = FrameReader(max_frame)
        self.link = Link(self, clock, transport, h2, frames, WINDOW, lambda _: None)
        self._life = life
        self._clock = clock
        self._streams: dict[int, Stream] = {}
        self._highest = 0
        self.allotment = Allotment(clock, self._streams, self.link.writer)

    def __len__(self) -> int:
        return len(self._streams)

    def add(self, number: int, request: SourceRequest) -> Stream:
        """A request was sent; return its stream."""
        self._highest = number
        stream = self._streams[number] = Stream(self, number, request, self._clock)
        self.allotment.soon()
        return stream

    def fail_all(self, within: SourceError, before: SourceError) -> None:
        """End all of them, those `within` their answers and those `before`."""
        streams = list(self._streams.values())
        self._streams.clear()
        for stream in streams:
            self.link.bodies.drop(stream.number)
            stream.failed(within if stream.has_head else before)

    # Called by streams.

    @property
    def where(self) -> str:
        return self._life.where

    @property
    def kept(self) -> bool:
        return self._life.kept

    def hungry(self, stream: Stream) -> None:
        if not self._life.closing:
            self.allotment.soon()

    def over(self, stream: Stream, code: int | None = None) -> None:
        if self._streams.pop(stream.number, None) is not None:
            self._left(stream, code)

    def _left(self, stream: Stream, code: int | None = None) -> None:
        """A stream counts no longer."""
        self.link.bodies.drop(stream.number)
        if self._life.closing:
            return
        if code is not None:
            self.link.stop(stream.number, code)
        if self._streams:
            self.allotment.soon()
        else:
            self.allotment.idle()
            self._life.emptied()

    def doubt(self) -> None:
        self._life.doubt()

    # What comes in

    @property
    def closing(self) -> bool:
        return self._life.closing

    def window_of(self, stream: int) -> ReceiveWindow | None:
        found = self._streams.get(stream)
        return None if found is None else found.credit

    def begun(self, stream: int) -> bool:
        return stream % 2 == 1 and stream <= self._highest

    def frame_came(self, frame: Other) -> None:
        if frame.kind not in BLOCKS:
            self.link.receiver.note_useless()
        elif frame.stream % 2 == 0:
            raise Broken(Code.PROTOCOL_ERROR, "it began a stream, which only we may do")

    def fields_came(self, stream: int, pairs: Pairs, ended: bool) -> None:
        if (found := self._streams.get(stream)) is not None:
            found.head_came(pairs)

    def malformed(self, stream: int, text: str) -> None:
        if (found := self._streams.get(stream)) is not None:
            found.stop(SourceLied(self.where, f": {text}"), Code.PROTOCOL_ERROR)

    def body_came(self, stream: int, data: bytes, cost: int, last: bool) -> None:
        self.allotment.came(cost)
        self._streams[stream].data_came(data, last)

    def stream_ended(self, stream: int) -> None:
        # what is requested next, at once, may have its place
        if (found := self._streams.pop(stream, None)) is not None:
            found.ended()
            self._left(found, Code.CANCEL if stream in self.link.bodies else None)

    def stream_reset(self, stream: int, code: int) -> None:
        if (found := self._streams.pop(stream, None)) is not None:
            found.reset(code)
            self._left(found)

    def went_away(self, away: GoAway) -> None:
        """Section 6.8: what it didn't handle is sent elsewhere, the rest goes on."""
        self._life.retire()
        for stream in [each for number, each in self._streams.items() if number > away.last]:
            self._streams.pop(stream.number, None)
            self.link.bodies.drop(stream.number)
            stream.failed(StreamRefused(self.where, "is closing the connection"))
        if not self._streams:
            self._life.emptied()

    def acknowledged(self, ping: bool) -> None:
        self._life.acknowledged(ping)

    def broken(self, code: int, text: str) -> None:
        self._life.broken(code, text)

    def received(self) -> None:
        self.allotment.look()
        self.link.writer.flush()
