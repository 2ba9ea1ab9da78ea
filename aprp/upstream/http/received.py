"""The response to one request, and how its body moves into a consumer.

Nothing is read ahead of the consumer but what one read of the socket brings, or over HTTP/2 what
the stream's window allowed: while no pump runs, or the consumer has paused, no more is taken.
If the consumer takes pieces in pipes, bodies of HTTP/1.1 are received into pipes as it wants them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from zope.interface import implementer

from aprp.core.http.heads import Framing, ResponseHead
from aprp.upstream.errors import BodyBroken
from aprp.upstream.exchange import Inflow, Timings
from aprp.upstream.splice.piped import Piece, PipeSink, Use, as_bytes, pipe_sink
from aprp.upstream.tally import SourceTally

WORTH_PIPING = 131072
"""Bytes of a body; fewer are copied, since pipes take longer to begin with."""


class Served(Protocol):
    """The connection, or the stream of one, as far as its exchange needs it."""

    kept: bool
    """Whether it was open, and idle, before the request was made."""
    shared: object | None
    """What streams of one connection have in common; None if this is a connection."""

    def read_by_pipe(self) -> None: ...
    def read_on(self) -> None: ...
    def read_no_more(self) -> None: ...
    def abandon(self) -> None: ...
    def send_on(self, inflow: Inflow) -> Deferred[None]: ...
    def hang_up(self) -> None: ...


@implementer(IPushProducer)
class ReceivedExchange:
    """The answer to one request; see `aprp.upstream.exchange.Exchange`."""

    moved = 0
    _ended = False
    _error: Exception | None = None
    _sink: IConsumer | None = None
    _goal: int | None = None
    _start = 0
    _pumped: Deferred[int] | None = None
    _paused = False
    _pipe_sink: PipeSink | None = None

    def __init__(
        self,
        connection: Served,
        head: ResponseHead,
        framing: Framing,
        timings: Timings,
        tally: SourceTally,
    ) -> None:
        self.head = head
        self.length = framing.length
        self.timings = timings
        self.reused = connection.kept
        self.connection = connection.shared
        self._tally = tally
        self._connection: Served | None = connection
        self._held: deque[Piece] = deque()

    def pump(self, sink: IConsumer, n: int | None = None) -> Deferred[int]:
        assert self._pumped is None, "one pump at a time"
        pumped: Deferred[int] = Deferred(lambda _: self._cancelled())
        self._sink, self._paused, self._pumped = sink, False, pumped
        self._start = self.moved
        self._goal = None if n is None else self.moved + n
        if self.left >= WORTH_PIPING:
            self._pipe_sink = pipe_sink(sink)
        sink.registerProducer(self, True)
        self._flush()
        self._read_on()
        return pumped

    def take(self, n: int) -> bytes | None:
        if not self._ended or self.moved or self._pumped is not None or self.held != n:
            return None
        data = b"".join(map(as_bytes, self._held))
        self._held.clear()
        self.moved = len(data)
        self._tally.received += len(data)
        return data

    def _read_on(self) -> None:
        """Read more if a pump wants it."""
        if not self.hungry or self._connection is None:
            return
        if self._pipe_sink is not None:
            self._connection.read_by_pipe()
        self._connection.read_on()

    def send_on(self, inflow: Inflow) -> Deferred[None]:
        if self._connection is None:
            return Deferred()  # nobody is there to send it to
        return self._connection.send_on(inflow)

    def hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.hang_up()

    def abort(self) -> None:
        connection, self._connection = self._connection, None
        self._held.clear()
        if connection is not None:
            self.failed(BodyBroken("", "stopped by the proxy itself"))
            connection.abandon()

    def _cancelled(self) -> None:
        sink, self._sink, self._pipe_sink, self._pumped = self._sink, None, None, None
        if sink is not None:
            sink.unregisterProducer()
        self.abort()

    @property
    def under_way(self) -> bool:
        """Whether more of it is to come: it has neither ended nor been stopped from here."""
        return self._connection is not None

    # Called by the connection.

    @property
    def held(self) -> int:
        """Bytes that came and weren't moved yet."""
        return sum(map(len, self._held)) if self._held else 0

    @property
    def hungry(self) -> bool:
        """Whether a pump is running and its consumer isn't paused."""
        return self._pumped is not None and not self._paused

    def received(self, pieces: Sequence[Piece]) -> None:
        self._held.extend(pieces)
        self._flush()

    def ended(self, pieces: Sequence[Piece]) -> None:
        """Take the last pieces of the body: the connection is no longer this exchange's."""
        self._connection = None
        self._ended = True
        self._held.extend(pieces)
        self._flush()

    def failed(self, error: Exception) -> None:
        self._connection = None
        if self._error is None and not self._ended:
            self._error = error
        self._flush()

    def _flush(self) -> None:
        """Write what is held, as far as it is wanted; tell the pump when that was all."""
        while self._pumped is not None and self._sink is not None:
            left = None if self._goal is None else self._goal - self.moved
            if left == 0:
                self._finish_pump()
            elif self._paused and not self._error:
                return
            elif self._held:
                self._write(self._sink, self._held.popleft(), left)
            elif self._error is not None or self._ended:
                self._finish_pump()
            else:
                return

    def _write(self, sink: IConsumer, data: Piece, left: int | None) -> None:
        if left is not None and len(data) > left:
            data = as_bytes(data)
            self._held.appendleft(data[left:])
            data = data[:left]
        self.moved += len(data)
        self._tally.received += len(data)
        if self._pipe_sink is not None:
            self._pipe_sink.write(data)
        else:
            sink.write(as_bytes(data))

    def _finish_pump(self) -> None:
        pumped, self._pumped = self._pumped, None
        sink, self._sink, self._pipe_sink = self._sink, None, None
        assert pumped is not None and sink is not None
        sink.unregisterProducer()
        if self._error is not None and self.moved != self._goal:
            pumped.errback(self._error)
        else:
            pumped.callback(self.moved - self._start)

    @property
    def left(self) -> int:
        """Bytes that the pump has still to move; 0 where only the body's end will tell."""
        ends = [each for each in (self._goal, self.length) if each is not None]
        return min(ends, default=self.moved) - self.moved

    def piped_use(self, n: int) -> Use:
        """Return what becomes of the next bytes, at most `n`."""
        if self._pipe_sink is None or self._held or not self.hungry:
            return Use.COPY
        return self._pipe_sink.piped_use(n)

    # Called by the consumer.

    def pauseProducing(self) -> None:
        self._paused = True
        if self._connection is not None:
            self._connection.read_no_more()

    def resumeProducing(self) -> None:
        self._paused = False
        self._flush()
        self._read_on()

    def stopProducing(self) -> None:
        self.abort()
