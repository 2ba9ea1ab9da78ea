"""The frames of one connection of HTTP/2, in both directions, on either side of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from h2.connection import H2Connection
from twisted.internet.interfaces import IReactorTime, ISSLTransport

from aprp.core.http2.reading import FrameReader
from aprp.core.http2.receiving import ConnectionWindow
from aprp.upstream.http.h2_incoming import IncomingBytes
from aprp.upstream.http.h2_outgoing import OutgoingBodies
from aprp.upstream.http.h2_receiver import Receiver, Side
from aprp.upstream.http.h2_writer import Writer


class Link:
    """What is received goes through `receiver` to `side`; `writer` and `bodies` send.

    `sent` is called with a stream whose body was sent. `window` is how many bytes the other side
    may have on their way over all streams.
    """

    def __init__(
        self,
        side: Side,
        clock: IReactorTime,
        transport: Any,
        h2: H2Connection,
        frames: FrameReader,
        window: int,
        sent: Callable[[int], None],
    ) -> None:
        self._h2 = h2
        self._window = ConnectionWindow(window)
        self.writer = Writer(h2, transport)
        self.bodies = OutgoingBodies(h2, transport, self.writer, sent)
        self.receiver = Receiver(side, clock, h2, frames, self._window, self.writer, self.bodies)
        tls = ISSLTransport.providedBy(transport)
        self.incoming = IncomingBytes(clock, self.receiver.handle, gather=tls)

    def begin(self, first: bytes = b"") -> None:
        """Send what a connection begins with, and `first` before it."""
        self._h2.initiate_connection()
        self.writer.write(first)
        self.writer.flush()
        self.writer.open_window(0, self._window.first)

    def stop(self, stream: int, code: int) -> None:
        """Reset a stream; what is on its way of it is dropped."""
        self.receiver.stopped.add(stream)
        self.writer.reset(stream, code)

    def close(self) -> None:
        """The connection is lost: nothing more is sent."""
        self.writer.close()
        self.incoming.close()
        self.bodies.close()
