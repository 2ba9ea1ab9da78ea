"""The body of one response while it is received, with the offset of each byte in the file."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.iweb import IResponse

from aprp.core.http.ranges import Range
from aprp.core.reasons import Name
from aprp.upstream.errors import BodyBroken, SourceError, SourceLied
from aprp.upstream.exchange import Exchange
from aprp.upstream.splice.piped import Piece, Use, as_bytes
from aprp.upstream.transfer.collector import Collector

DRAIN_BYTES = 65536
"""The rest of a body, in bytes, that is read and dropped so that its connection can be reused."""
DRAIN_SECONDS = 1.0
"""Seconds that this may take before the connection is closed instead."""


SKIPPED = 1 << 20
"""Bytes of a whole response that are read and dropped, at most, to reach the wanted ones: another
source may send those at once."""


class Receiver(Protocol):
    """The receiver of a body's bytes."""

    def received(self, at: int, data: Piece) -> None:
        """Take bytes of the file, from the offset `at` on; never empty."""
        ...

    def piped_use(self, at: int, n: int) -> Use:
        """Return what becomes of the bytes from the offset `at` on, at most `n`."""
        ...

    def over(self, error: SourceError | None) -> None:
        """Note that the body has ended: complete, or with an error."""
        ...


class Body(TwistedProtocol):
    """The bytes `held` of the file; `at` is the offset of the next one.

    `begun` is set when it is being read, `ended` when it is over. When a receiver has what it
    needs, the body can be paused, and continued for another receiver that needs what follows.
    """

    def __init__(self, exchange: Exchange, held: Range, clock: Any) -> None:
        self.at = held.start
        self.stop = held.stop
        self.ended = False
        self._exchange = exchange
        self._clock = clock
        self._receiver: Receiver | None = None
        self._wanted_from = held.start
        self.begun = False
        self._waits = False
        self._drain_timer: IDelayedCall | None = None

    def begin(self, response: IResponse, receiver: Receiver, start: int) -> None:
        """Read the body, and pass on what lies at the offset `start` and after."""
        self._receiver, self._wanted_from, self.begun = receiver, start, True
        response.deliverBody(self)

    def continue_for(self, receiver: Receiver, start: int) -> None:
        """Read on for another receiver, after `wait`."""
        self._receiver, self._wanted_from = receiver, start
        self._resume()

    def wait(self) -> None:
        """Pause the source: nothing more is needed for now."""
        self._receiver = None
        if self.begun and not self.ended:
            self._waits = True
            self._producer().pauseProducing()

    def drop(self) -> None:
        """Drop the rest: read it if it is short, to reuse the connection, else cut it off."""
        self._receiver = None
        if self.ended:
            return
        if not self.begun:
            discard(self._exchange)
        elif self._exchange.length is not None and self.stop - self.at <= DRAIN_BYTES:
            self._drain_timer = self._clock.callLater(DRAIN_SECONDS, self._exchange.abort)
            self._resume()
        else:
            self._exchange.abort()

    def cut(self) -> None:
        """Cut off the rest."""
        self._exchange.abort()

    def _resume(self) -> None:
        if self._waits:
            self._waits = False
            self._producer().resumeProducing()

    def piped_use(self, n: int) -> Use:
        """Return what becomes of the next bytes, at most `n`."""
        wanted = self._wanted_from <= self.at <= self.stop - n
        if self._receiver is None or not wanted:
            return Use.COPY
        return self._receiver.piped_use(self.at, n)

    def dataReceived(self, data: Piece) -> None:
        surplus = len(data) > self.stop - self.at
        if surplus:
            data = as_bytes(data)[: self.stop - self.at]
        start, self.at = self.at, self.at + len(data)
        if start < self._wanted_from:
            data = as_bytes(data)[self._wanted_from - start :]
            start = max(start, self.at - len(data))
        if data and self._receiver is not None:
            self._receiver.received(start, data)
        if surplus:
            self._end(SourceLied("", "sent more bytes than it said"))
            self._exchange.abort()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._drain_timer is not None:
            if self._drain_timer.active():
                self._drain_timer.cancel()
            self._drain_timer = None
        if not reason.check(ResponseDone):
            error = reason.value
            self._end(
                error
                if isinstance(error, SourceError)
                else BodyBroken("", "broke off its body", Name(f": {error}"))
            )
        elif self.at < self.stop:
            self._end(BodyBroken("", "ended its answer early"))
        else:
            self._end(None)

    def _end(self, error: SourceError | None) -> None:
        self.ended = True
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.over(error)

    def _producer(self) -> Any:
        return self.transport


def discard(exchange: Exchange) -> None:
    """Drop a response; a short one is read to its end, so that the connection can be reused."""
    if exchange.length is not None and exchange.length <= DRAIN_BYTES:
        exchange.pump(Collector()).addErrback(lambda _: None)
    else:
        exchange.abort()
