"""Stream what a client sends while its request is served: a body, or the bytes after a 101.

Little is buffered: while there is no consumer, or it has paused, the client's socket isn't read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from aprp.core.http.framing import BodyTooLarge, Decoder
from aprp.core.http.heads import MalformedMessage
from aprp.web.failures import Refusal

HELD = 65536
"""Bytes held until someone takes them."""


@implementer(IPushProducer)
class Inflow:
    """The bytes that a client still sends; see `aprp.upstream.exchange.Inflow`.

    `network` is the producer of the client's bytes. `decoder` takes a body out of its framing;
    without one it is a stream, which the end of the connection ends. `reading` is called with
    whether the client is expected to send something now.
    """

    def __init__(
        self,
        network: Any,
        decoder: Decoder | None = None,
        reading: Callable[[bool], None] = lambda on: None,
    ) -> None:
        self.received = 0
        """Bytes, without their framing."""
        self.over = False
        """Whether the body has arrived completely."""
        self.moved: Callable[[], None] = lambda: None
        """Called when bytes arrived."""
        self._network = network
        self._decoder = decoder
        self._reading = reading
        self._held: deque[bytes] = deque()
        self._waiting = 0
        self._error: Exception | None = None
        self._sink: IConsumer | None = None
        self._flowed: Deferred[None] | None = None
        self._paused = False
        self._stopped = False

    @property
    def unread(self) -> bool:
        """Whether a body has begun and not ended."""
        return self._decoder is not None and not self.over

    def flow(self, sink: IConsumer) -> Deferred[None]:
        flowed = self._flowed = Deferred()
        self._sink = sink
        sink.registerProducer(self, True)
        self._flush()
        return flowed

    # Called by the channel.

    def feed(self, data: bytes) -> bytes:
        """Take received bytes and return those that don't belong to the body."""
        if self._stopped or self._error is not None:
            return b""
        pieces, rest = [data], b""
        if self._decoder is not None:
            try:
                pieces = self._decoder.feed(data)
            except MalformedMessage as malformed:
                self.fail(Refusal(400, f"the request's body is malformed: {malformed}"))
                return b""
            except BodyTooLarge:
                self.fail(Refusal(413, "the request's body is too large for this route"))
                return b""
            self.over, rest = self._decoder.done, self._decoder.rest
        count = sum(map(len, pieces))
        self.received += count
        self._waiting += count
        self._held.extend(filter(None, pieces))
        self.moved()
        self._flush()
        return rest

    def fail(self, error: Exception) -> None:
        """End the body with an error of the client."""
        if not self.over and self._error is None:
            self._error = error
            self._flush()

    def lost(self, reason: Failure) -> None:
        """End a stream when its connection has ended, if it was closed in order."""
        if self._decoder is None and reason.check(ConnectionDone):
            self.over = True
            self._paused = False
            self._flush()

    def _flush(self) -> None:
        while self._sink is not None and self._held and not self._paused:
            piece = self._held.popleft()
            self._waiting -= len(piece)
            self._sink.write(piece)
        if self._sink is not None and (self._error or (self.over and not self._held)):
            self._finish()
        elif (self._sink is not None and self._paused) or self._waiting > HELD:
            self._network.pauseProducing()
            self._reading(False)
        elif not self.over:
            self._network.resumeProducing()
            self._reading(True)

    def _finish(self) -> None:
        sink, self._sink = self._sink, None
        flowed, self._flowed = self._flowed, None
        assert sink is not None and flowed is not None
        self._reading(False)
        sink.unregisterProducer()
        if self._error is not None:
            flowed.errback(self._error)
        else:
            flowed.callback(None)

    def drop(self) -> None:
        """Drop the rest of it; the connection is no longer paced from here."""
        self._stopped = True
        self._sink = None
        self._held.clear()

    # Called by the consumer.

    def pauseProducing(self) -> None:
        self._paused = True
        if not self._stopped:
            self._flush()

    def resumeProducing(self) -> None:
        self._paused = False
        if not self._stopped:
            self._flush()

    def stopProducing(self) -> None:
        """Nobody takes it any longer. What still comes is dropped when its connection is closed."""
        if self._stopped:
            return
        self.drop()
        self._reading(False)
        if self._decoder is not None:
            self._network.pauseProducing()
        else:
            self._network.resumeProducing()  # to hear of the end
