"""Bodies that are sent over HTTP/2, paced by the windows of the receiver and by the socket.

Streams send in turns, one frame each, so that none waits for another's body. DATA is framed here
instead of by the library, which copies it twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from h2.connection import H2Connection
from twisted.internet.interfaces import IConsumer, IPushProducer
from zope.interface import implementer

from aprp.core.http2.writing import data_head

HELD = 65536
"""Bytes of one body that wait for the receiver's window before its producer is paused."""
WORTH = 4096
"""Bytes that are worth a frame while more is to follow."""
LARGEST = 65536
"""Bytes of a frame, where the receiver takes so many."""


@implementer(IConsumer)
class OutgoingBody:
    """The body of one stream. `changed` is called when there is something to send."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.sent = 0
        """Bytes handed to the socket."""
        self.ending = False
        self.largest = 0
        """The largest window that the receiver has opened."""
        self.code: int | None = None
        """The error code with which the stream ends, if the body isn't complete."""
        self._changed = changed
        self._held: deque[bytes] = deque()
        self._size = 0
        self._at = 0  # in the first piece
        self._producer: Any = None
        self._streaming = True
        self._paused = False

    def __bool__(self) -> bool:
        """Whether bytes, or the end, are still to be sent."""
        return self._size > 0 or self.ending

    @property
    def size(self) -> int:
        """The bytes that wait."""
        return self._size

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._producer, self._streaming, self._paused = producer, streaming, False
        if not streaming:
            producer.resumeProducing()
        elif self._size > HELD:
            self._pause()

    def unregisterProducer(self) -> None:
        self._producer = None

    def write(self, data: bytes) -> None:
        if data:
            self._held.append(data)
            self._size += len(data)
            self._changed()
            if self._size > HELD:
                self._pause()

    def writeSequence(self, pieces: Any) -> None:
        self.write(b"".join(pieces))

    def end(self) -> None:
        """Nothing follows what was written."""
        self.ending = True
        self._changed()

    def cut(self, code: int) -> None:
        """Reset the stream once what was written has been sent."""
        self.code = code
        self.end()

    def take(self, most: int) -> bytes:
        """Remove and return the next bytes, at most so many."""
        first, at = self._held[0], self._at
        if len(first) - at >= most:
            data = first[at : at + most] if at or len(first) > most else first
            self._at = at + most
            if self._at == len(first):
                self._held.popleft()
                self._at = 0
        else:
            data = self._gathered(most)
        self._size -= len(data)
        self.sent += len(data)
        return data

    def _gathered(self, most: int) -> bytes:
        """Join small pieces into one frame."""
        pieces, left = [], most
        while self._held and left:
            piece = self._held.popleft()
            useful = piece[self._at : self._at + left]
            if self._at + len(useful) < len(piece):
                self._held.appendleft(piece)
                self._at += len(useful)
            else:
                self._at = 0
            pieces.append(useful)
            left -= len(useful)
        return b"".join(pieces)

    def fits(self, window: int) -> bool:
        """Return whether it is worth sending what the receiver's window allows.

        A window that is opened bit by bit, as bytes come, would stay in bits for good.
        """
        self.largest = max(self.largest, window)
        return window > 0 and window >= min(self._size, WORTH, self.largest // 2)

    def refill(self) -> None:
        """Let the producer bring more, if there is room."""
        if self._producer is None or self._size > HELD // 2:
            return
        if not self._streaming:
            if not self._size:
                self._producer.resumeProducing()
        elif self._paused:
            self._paused = False
            self._producer.resumeProducing()

    def drop(self) -> None:
        """Forget everything: the stream is over."""
        self._held.clear()
        self._size, self._at, self.ending = 0, 0, False

    def _pause(self) -> None:
        if self._producer is not None and self._streaming and not self._paused:
            self._paused = True
            self._producer.pauseProducing()


@implementer(IPushProducer)
class OutgoingBodies:
    """The bodies of a connection. `ended` is called with a stream whose body was sent."""

    def __init__(
        self,
        h2: H2Connection,
        transport: Any,
        flush: Callable[[], None],
        ended: Callable[[int], None],
    ) -> None:
        self._h2 = h2
        self._transport = transport
        self._flush = flush
        self._ended = ended
        self._bodies: dict[int, OutgoingBody] = {}
        self._ready: dict[int, None] = {}
        self._full = False
        self._sent = 0
        self._sending = False
        transport.registerProducer(self, True)

    def taken(self) -> int:
        """Return the bytes that were sent since the last call."""
        count, self._sent = self._sent, 0
        return count

    def __contains__(self, stream: int) -> bool:
        """Whether the stream's body isn't complete yet."""
        return stream in self._bodies

    def open(self, stream: int) -> OutgoingBody:
        """Return the body of a stream whose fields were sent."""

        def changed() -> None:
            self._ready[stream] = None
            self.send()

        body = self._bodies[stream] = OutgoingBody(changed)
        return body

    @property
    def full(self) -> bool:
        """Whether the socket takes nothing now."""
        return self._full

    def close(self) -> None:
        """The connection is lost, or is about to be: nothing more is sent."""
        self._full = True
        for body in self._bodies.values():
            body.drop()
        self._bodies.clear()
        self._ready.clear()

    def drop(self, stream: int) -> None:
        """The stream is over."""
        body = self._bodies.pop(stream, None)
        self._ready.pop(stream, None)
        if body is not None:
            body.drop()

    def allowed(self, stream: int = 0) -> None:
        """The receiver takes more: of a stream, or (0) of any."""
        if stream in self._bodies:
            self._ready[stream] = None
        elif not stream:
            self._ready.update((each, None) for each, body in self._bodies.items() if body)
        self.send()

    def settled(self) -> None:
        """The receiver has other settings: its windows may be smaller now, or larger."""
        for body in self._bodies.values():
            body.largest = 0
        self.allowed()

    def send(self) -> None:
        """Send what may be sent now."""
        if self._sending:
            return
        self._sending = True
        try:
            while self._ready and not self._full:
                stream = next(iter(self._ready))
                del self._ready[stream]
                self._send_one(stream)
        finally:
            self._sending = False

    def _send_one(self, stream: int) -> None:
        body = self._bodies.get(stream)
        if body is None or not body:
            return
        if body.size:
            window = self._h2.local_flow_control_window(stream)
            if not body.fits(window):
                return
            most = min(window, LARGEST, self._h2.max_outbound_frame_size)
            self._send_data(stream, body.take(most))
        if body.size:
            self._ready[stream] = None
        elif body.ending:
            del self._bodies[stream]
            if body.code is None:
                self._h2.end_stream(stream)
            else:
                self._h2.reset_stream(stream, body.code)
            self._flush()
            self._ended(stream)
            return
        body.refill()

    def _send_data(self, stream: int, data: bytes) -> None:
        """The library keeps the windows; it must know of what is sent past it."""
        self._h2.outbound_flow_control_window -= len(data)
        self._h2.streams[stream].outbound_flow_control_window -= len(data)
        self._flush()
        self._sent += len(data)
        self._transport.writeSequence((data_head(stream, len(data)), data))

    # Called by the socket.

    def pauseProducing(self) -> None:
        self._full = True

    def resumeProducing(self) -> None:
        self._full = False
        self.send()

    def stopProducing(self) -> None:
        """The connection is lost; its streams hear of that elsewhere."""
        self._full = True
