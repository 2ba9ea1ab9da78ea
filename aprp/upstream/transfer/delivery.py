"""Where a transfer's bytes leave it: from the store to a consumer, in order, and paced by it.

What is ready is written as far as the consumer wants it; bytes that were only fetched to verify
others are dropped. A consumer that pauses gets nothing more until it resumes; one that stops ends
the transfer.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from zope.interface import implementer

from aprp.core.http.ranges import Range
from aprp.upstream.splice.piped import Piece, PipeSink, Use, as_bytes, pipe_sink
from aprp.upstream.transfer.store import Store


@implementer(IPushProducer)
class Delivery:
    """The delivery of one transfer. `more` is called when more may be written, `stop` when the
    consumer is gone. Only bytes of `wanted` are written.
    """

    def __init__(
        self, store: Store, wanted: Range, more: Callable[[], None], stop: Callable[[], None]
    ) -> None:
        self._store = store
        self._wanted = wanted
        self._more = more
        self._stop = stop
        self._sink: IConsumer | None = None
        self._pipe_sink: PipeSink | None = None
        self.paused = False
        """Whether the consumer wants no more for now."""
        self._delivered: Deferred[None] | None = None
        self._closed = False
        self._failure: Exception | None = None

    def open(self, sink: IConsumer) -> Deferred[None]:
        """Write into `sink` from now on; fires when it was closed, fails with what it was closed
        by. Cancelling it stops the transfer."""
        assert self._sink is None, "one delivery at a time"
        delivered = self._delivered = Deferred(lambda _: self._cancelled())
        if self._closed:
            self._settle()
        else:
            self._sink, self.paused = sink, False
            self._pipe_sink = pipe_sink(sink)
            sink.registerProducer(self, True)
            self._more()
        return delivered

    def takes_piped(self, n: int) -> bool:
        """Return whether the consumer may get the next bytes, at most `n`, in a pipe."""
        return self._pipe_sink is not None and self._pipe_sink.piped_use(n) is not Use.COPY

    def hand_on(self, at: int, ready: int) -> int:
        """Write what the store has of [at, ready), as far as it's wanted; where that ends."""
        while self._sink is not None and at < ready and not self.paused:
            piece = self._store.take(at)
            assert piece, f"the bytes at {at} are said to be ready, but aren't held"
            if at + len(piece) > ready:
                data = as_bytes(piece)
                self._store.write(ready, data[ready - at :])
                piece = data[: ready - at]
            start, at = at, at + len(piece)
            self._write(start, piece)
        return at

    def _write(self, at: int, piece: Piece) -> None:
        """Write what is wanted of a piece that begins at the offset `at`."""
        assert self._sink is not None
        wanted = self._wanted
        if at < wanted.start or at + len(piece) > wanted.stop:
            piece = as_bytes(piece)[max(0, wanted.start - at) : max(0, wanted.stop - at)]
        if piece and self._pipe_sink is not None:
            self._pipe_sink.write(piece)
        elif piece:
            self._sink.write(as_bytes(piece))

    def close(self, failure: Exception | None) -> None:
        """End the delivery, complete or with a failure, and fire what waits for it."""
        self._closed, self._failure = True, failure
        sink, self._sink, self._pipe_sink = self._sink, None, None
        if sink is not None:
            sink.unregisterProducer()
        self._settle()

    def _settle(self) -> None:
        delivered, self._delivered = self._delivered, None
        if delivered is None or delivered.called:
            return
        if self._failure is None:
            delivered.callback(None)
        else:
            delivered.errback(self._failure)

    def _cancelled(self) -> None:
        self._delivered = None
        self._stop()

    # The consumer's side

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False
        self._more()

    def stopProducing(self) -> None:
        self._stop()
