"""The answer to one request over HTTP/1.1, and how its body moves into a consumer.

Nothing is read ahead of the consumer but what one read of the socket brings: while no pump runs, or
the consumer has paused, the socket isn't read.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from zope.interface import implementer

from aprp.core.http.heads import Framing, ResponseHead
from aprp.upstream.errors import BodyBroken
from aprp.upstream.exchange import Inflow, Timings
from aprp.upstream.tally import SourceTally


class Served(Protocol):
    """The connection, as far as its exchange needs it."""

    kept: bool
    """Whether it was open, and idle, before the request was made."""

    def read_on(self) -> None: ...
    def read_no_more(self) -> None: ...
    def abandon(self) -> None: ...
    def send_on(self, inflow: Inflow) -> Deferred[None]: ...
    def hang_up(self) -> None: ...


@implementer(IPushProducer)
class Http1Exchange:
    """The answer to one request; see `aprp.upstream.exchange.Exchange`."""

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
        self.moved = 0
        self._tally = tally
        self._connection: Served | None = connection
        self._held: deque[bytes] = deque()
        self._ended = False
        self._error: Exception | None = None
        self._sink: IConsumer | None = None
        self._goal: int | None = None
        self._start = 0
        self._pumped: Deferred[int] | None = None
        self._paused = False

    def pump(self, sink: IConsumer, n: int | None = None) -> Deferred[int]:
        assert self._pumped is None, "one pump at a time"
        pumped: Deferred[int] = Deferred(lambda _: self._cancelled())
        self._sink, self._paused, self._pumped = sink, False, pumped
        self._start = self.moved
        self._goal = None if n is None else self.moved + n
        sink.registerProducer(self, True)
        self._flush()
        if self._pumped is not None and self._connection is not None:
            self._connection.read_on()
        return pumped

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
        sink, self._sink, self._pumped = self._sink, None, None
        if sink is not None:
            sink.unregisterProducer()
        self.abort()

    @property
    def under_way(self) -> bool:
        """Whether more of it is to come: it has neither ended nor been stopped from here."""
        return self._connection is not None

    # What the connection says.

    @property
    def hungry(self) -> bool:
        """Whether a pump is running and its consumer isn't paused."""
        return self._pumped is not None and not self._paused

    def received(self, pieces: list[bytes]) -> None:
        self._held.extend(pieces)
        self._flush()

    def ended(self, pieces: list[bytes]) -> None:
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

    def _write(self, sink: IConsumer, data: bytes, left: int | None) -> None:
        if left is not None and len(data) > left:
            self._held.appendleft(data[left:])
            data = data[:left]
        self.moved += len(data)
        self._tally.received += len(data)
        sink.write(data)

    def _finish_pump(self) -> None:
        pumped, self._pumped = self._pumped, None
        sink, self._sink = self._sink, None
        assert pumped is not None and sink is not None
        sink.unregisterProducer()
        if self._error is not None and self.moved != self._goal:
            pumped.errback(self._error)
        else:
            pumped.callback(self.moved - self._start)

    # What the consumer says.

    def pauseProducing(self) -> None:
        self._paused = True
        if self._connection is not None:
            self._connection.read_no_more()

    def resumeProducing(self) -> None:
        self._paused = False
        self._flush()
        if self.hungry and self._connection is not None:
            self._connection.read_on()

    def stopProducing(self) -> None:
        self.abort()
