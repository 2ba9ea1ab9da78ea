"""How body bytes are written to a client.

The client's socket sets the pace: while its buffer is full, the source's socket isn't read. A
client that accepts nothing for `send_timeout` is cut. The longest time for which a client had to
wait for more bytes is recorded in its request.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IConsumer, IPushProducer
from zope.interface import implementer

from aprp.upstream.splice.borrowed import splice_socket
from aprp.upstream.splice.outlet import Outlet, outlet_to
from aprp.upstream.splice.piped import Piece, Piped, Use
from aprp.upstream.watchdog import Watchdog
from aprp.web.request import ProxyRequest
from aprp.web.sockets import unacknowledged, unsent_at_most


@implementer(IConsumer, IPushProducer)
class ClientSink:
    """A client as the consumer of a response's body."""

    def __init__(self, request: ProxyRequest, clock: Any, send_timeout: float) -> None:
        self._request = request
        self._send_timeout = send_timeout
        self._watchdog = Watchdog(clock, self._stuck)
        self._producer: Any = None
        self._outlet: Outlet | None = None
        self._unsent: int | None = None
        self._bound: int | None = None
        self._clock = clock
        self._longest_gap = 0.0
        self._waiting_since: float | None = None

    def close(self) -> None:
        """Stop: nothing more will be written."""
        self._end_outlet()
        self._watchdog.close()
        self.unsent_at_most(None)
        if self._waiting_since is not None:
            gap = self._clock.seconds() - self._waiting_since
            self._request.longest_gap = max(self._longest_gap, gap)
        elif self._request.sentLength:
            self._request.longest_gap = self._longest_gap

    def write(self, data: Piece) -> None:
        self._note_gap()
        if isinstance(data, Piped):
            self._write_piped(data)
        else:
            self._end_outlet()
            self._request.write(data)

    def outlet(self, n: int) -> Any:
        """Return the client's transport if it may get the next `n` bytes from the kernel."""
        self._end_outlet()
        return self._request.transport if self._request.takes_unframed(n) else None

    def passed(self, n: int) -> None:
        """Count bytes that the kernel moved."""
        self._note_gap()
        self._request.passed(n)

    def unsent_at_most(self, count: int | None) -> None:
        """Have the kernel hold little for the client beside what is on its way; None: any number.

        What it holds has been fetched, and is lost if the client leaves.
        """
        if count != self._bound:
            self._bound = count
            unsent_at_most(self._request.transport, count)

    def piped_use(self, n: int) -> Use:
        """Return whether the kernel may move the next bytes, at most `n`, to the client."""
        request = self._request
        plain = request.takes_unframed(n) and splice_socket(request.transport) is not None
        return Use.PASS if plain else Use.COPY

    def _write_piped(self, piece: Piped) -> None:
        request = self._request
        if self._outlet is None:
            self._outlet = outlet_to(request.transport, self)
        if self._outlet is None or not request.takes_unframed(len(piece)):
            self._end_outlet()
            request.write(piece.read())
        else:
            request.passed(len(piece))
            self._outlet.send(piece)

    def _end_outlet(self) -> None:
        if self._outlet is not None:
            self._outlet.end()

    def receiver_full(self) -> None:
        if self._producer is not None:
            self.pauseProducing()

    def receiver_ready(self) -> None:
        if self._producer is not None:
            self.resumeProducing()

    def _note_gap(self) -> None:
        since = self._waiting_since
        if since is not None:
            now = self._waiting_since = self._clock.seconds()
            if now - since > self._longest_gap:
                self._longest_gap = now - since

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._producer = producer
        if self._waiting_since is None:
            self._waiting_since = self._clock.seconds()
        self._request.registerProducer(self, True)

    def unregisterProducer(self) -> None:
        self._end_outlet()
        self._producer = None
        self._watchdog.rest()
        if self._request.channel is not None:
            self._request.unregisterProducer()

    def pauseProducing(self) -> None:
        self._unsent = unacknowledged(self._request.transport)
        self._waiting_since = None
        self._watchdog.expect(self._send_timeout)
        self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        self._watchdog.rest()
        self._waiting_since = self._clock.seconds()
        self._producer.resumeProducing()

    def stopProducing(self) -> None:
        """Do nothing: the client is gone, and the loss of its connection stops the work.

        Stopping the producer here would look like a broken source, which is retried.
        """
        self._watchdog.rest()

    def _stuck(self) -> None:
        """Cut the client, unless it has accepted some bytes of its full buffer meanwhile."""
        unsent = unacknowledged(self._request.transport)
        if unsent is not None and unsent != self._unsent:
            self._unsent = unsent
            self._watchdog.expect(self._send_timeout)
        else:
            self._request.error = "connection_write_timeout"
            self._request.cut(stuck=True)
