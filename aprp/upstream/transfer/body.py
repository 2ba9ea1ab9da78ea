"""The body of one answer on its way in, byte by byte at its place in the file."""

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
from aprp.upstream.transfer.collector import Collector

LITTLE = 65536
"""Bytes that are sooner read and dropped than that a new connection is made."""
LITTLE_TIME = 1.0
"""Seconds that may be spent on it."""


SKIPPED = 1 << 20
"""Bytes of a whole response that are read and dropped, at most, to reach the wanted ones: another
source may send those at once."""


class Receiver(Protocol):
    """Whom the bytes are for."""

    def received(self, at: int, data: bytes) -> None:
        """The bytes of the file from `at` on; never empty."""
        ...

    def over(self, error: SourceError | None) -> None:
        """The body ended: complete, or with an error."""
        ...


class Body(TwistedProtocol):
    """The bytes `held` of the file, `at` is the next one to come.

    `begun` tells that bytes may come, `ended` that no more will. The receiver may be changed on
    the way, so that a body can go on for another who wants what follows.
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
        self._patience: IDelayedCall | None = None

    def begin(self, response: IResponse, receiver: Receiver, start: int) -> None:
        """Bring the receiver what comes from the offset `start` on."""
        self._receiver, self._wanted_from, self.begun = receiver, start, True
        response.deliverBody(self)

    def go_on(self, receiver: Receiver, start: int) -> None:
        """The same for the next receiver, after `wait`."""
        self._receiver, self._wanted_from = receiver, start
        self._resume()

    def wait(self) -> None:
        """Nobody wants more for now: the source is held up."""
        self._receiver = None
        if self.begun and not self.ended:
            self._waits = True
            self._producer().pauseProducing()

    def leave(self) -> None:
        """Nobody will want more: little is read to its end, so that the connection can serve
        again; much is cut off."""
        self._receiver = None
        if self.ended:
            return
        if not self.begun:
            discard(self._exchange)
        elif self._exchange.length is not None and self.stop - self.at <= LITTLE:
            self._patience = self._clock.callLater(LITTLE_TIME, self._exchange.abort)
            self._resume()
        else:
            self._exchange.abort()

    def _resume(self) -> None:
        if self._waits:
            self._waits = False
            self._producer().resumeProducing()

    def dataReceived(self, data: bytes) -> None:
        surplus = len(data) > self.stop - self.at
        if surplus:
            data = data[: self.stop - self.at]
        start, self.at = self.at, self.at + len(data)
        if start < self._wanted_from:
            data = data[self._wanted_from - start :]
            start = max(start, self.at - len(data))
        if data and self._receiver is not None:
            self._receiver.received(start, data)
        if surplus:
            self._end(SourceLied("", "sent more bytes than it said"))
            self._exchange.abort()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._patience is not None:
            if self._patience.active():
                self._patience.cancel()
            self._patience = None
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
    """Be done with an answer; a short one is read to its end to keep the connection."""
    if exchange.length is not None and exchange.length <= LITTLE:
        exchange.pump(Collector()).addErrback(lambda _: None)
    else:
        exchange.abort()
