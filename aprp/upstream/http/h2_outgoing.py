"""Bodies that are sent over HTTP/2, paced by the windows of the receiver and by the socket.

Streams send in turns, so that none waits for another's body. DATA is framed here instead of by the
library, which copies it twice; the frames of several turns are sent together.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from h2.connection import H2Connection
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from aprp.core.http2.writing import data_head
from aprp.upstream.http.h2_body import OutgoingBody, Piece
from aprp.upstream.http.h2_writer import Writer

LARGEST = 65536
"""Bytes of a frame, where the receiver takes so many."""
TURN = 65536
"""Bytes of one stream before others have their turn."""
TOGETHER = 262144
"""Bytes that are sent together."""
AT_ONCE = 1 << 22
"""Bytes that are handed to the socket itself before it is the reactor's turn, however fast the
receiver takes them."""


@implementer(IPushProducer)
class OutgoingBodies:
    """The bodies of a connection. `ended` is called with a stream whose body was sent."""

    def __init__(
        self,
        h2: H2Connection,
        transport: Any,
        writer: Writer,
        ended: Callable[[int], None],
    ) -> None:
        self._h2 = h2
        self._writer = writer
        self._ended = ended
        self._bodies: dict[int, OutgoingBody] = {}
        self._ready: dict[int, None] = {}
        self._full = False
        self._sent = self._taken = 0
        self._turn_ends = AT_ONCE
        self._sending = False
        transport.registerProducer(self, True)

    def taken(self) -> int:
        """Return the bytes that were sent since the last call."""
        count, self._taken = self._taken, 0
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
                self._send_some()
        finally:
            self._sending = False

    def _send_some(self) -> None:
        """Let each stream have its turn, and send what they have to send together."""
        self._writer.flush()
        pieces: list[Piece] = []
        before, served = self._sent, list[tuple[int, OutgoingBody]]()
        while self._ready and self._sent - before < TOGETHER:
            stream = next(iter(self._ready))
            del self._ready[stream]
            body = self._bodies.get(stream)
            if body:
                self._turn(stream, body, pieces)
                served.append((stream, body))
        if pieces:
            self._writer.write_pieces(pieces, self._sent < self._turn_ends)
        for stream, body in served:
            if body.over:
                self._ended(stream)
            elif self._bodies.get(stream) is body:
                body.refill()

    def _turn(self, stream: int, body: OutgoingBody, pieces: list[Piece]) -> None:
        h2 = self._h2
        if body.size:
            window = h2.local_flow_control_window(stream)
            if not body.fits(window):
                return
            most = min(window, TURN if self._ready else TOGETHER)
            largest = min(LARGEST, h2.max_outbound_frame_size)
            before = body.size
            pieces += body.take(most, largest, partial(data_head, stream))
            self._note_sent(stream, before - body.size)
        if body.size:
            self._ready[stream] = None
        elif body.ending:
            del self._bodies[stream]
            body.over = True
            if body.code is None:
                h2.end_stream(stream)
            else:
                h2.reset_stream(stream, body.code)
            pieces.append(h2.data_to_send())

    def _note_sent(self, stream: int, count: int) -> None:
        """The library keeps the windows; it must know of what is sent past it."""
        self._h2.outbound_flow_control_window -= count
        self._h2.streams[stream].outbound_flow_control_window -= count
        self._sent += count
        self._taken += count

    # Called by the socket.

    def pauseProducing(self) -> None:
        self._full = True

    def resumeProducing(self) -> None:
        self._full = False
        self._turn_ends = self._sent + AT_ONCE
        self.send()

    def stopProducing(self) -> None:
        """The connection is lost; its streams hear of that elsewhere."""
        self._full = True
