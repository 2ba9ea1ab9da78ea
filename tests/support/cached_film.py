"""A film of which a cache fetches parts: origins on a clock, and readers at their own pace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.internet.task import Clock
from zope.interface import implementer

from aprp.cache.cached_file import CachedFile
from aprp.cache.reader import Reader
from aprp.core.http.ranges import Range
from aprp.upstream.errors import BodyBroken
from tests.support.replies import Pattern

TICK = 0.005


@implementer(IPushProducer)
class ClockedOrigin:
    """Delivers bytes of `film` at `rate` after `latency`; it breaks at the offset `breaks_at`."""

    def __init__(
        self,
        film: Pattern,
        clock: Clock,
        rate: float = 20e6,
        latency: float = 0.02,
        breaks_at: int | None = None,
    ) -> None:
        self.film = film
        self.clock = clock
        self.rate = rate
        self.latency = latency
        self.breaks_at = breaks_at
        self.sent = 0
        self.asked: Range | None = None
        self.paused = False
        self.aborted = False
        self._at = 0
        self._sink: Any = None
        self._done: Deferred[None] = Deferred(lambda _: self.abort())

    def deliver(self, wanted: Range, sink: IConsumer) -> Deferred[None]:
        self.asked, self._at, self._sink = wanted, wanted.start, sink
        sink.registerProducer(self, True)
        self.clock.callLater(self.latency, self._tick)
        return self._done

    def _tick(self) -> None:
        if self.aborted or self._done.called or self.asked is None:
            return
        if not self.paused or self._at >= self.asked.stop:
            stop = min(self.asked.stop, self._at + int(self.rate * TICK))
            stop = max(stop, self._at)
            if self.breaks_at is not None:
                stop = min(stop, self.breaks_at)
            data = self.film[self._at : stop]
            self._at, self.sent = stop, self.sent + len(data)
            if data:
                self._sink.write(data)
            if self.aborted:
                return
            if self._at == self.asked.stop:
                self._sink.unregisterProducer()
                self._done.callback(None)
                return
            if self._at == self.breaks_at:
                self._sink.unregisterProducer()
                self._done.errback(BodyBroken("origin", "broke to order"))
                return
        self.clock.callLater(TICK, self._tick)

    def end_at(self, stop: int) -> None:
        if self.asked is not None:
            self.asked = Range(self.asked.start, min(stop, self.asked.stop))

    def drain(self) -> None:
        self.end_at(self._at)

    def ready(self) -> int:
        return 0

    def abort(self) -> None:
        self.aborted = True

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False

    def stopProducing(self) -> None:
        self.abort()


@implementer(IConsumer)
class Viewer:
    """Reads a range of a cached file at `rate` bytes a second, None: as fast as it comes."""

    def __init__(
        self,
        file: CachedFile,
        clock: Clock,
        wanted: Range,
        origins: Callable[[], ClockedOrigin],
        rate: float | None = None,
    ) -> None:
        self.wanted = wanted
        self.got = bytearray()
        self.first: float | None = None
        self.ended: float | None = None
        self.error: Any = None
        self.cached = 0
        self.producer: Any = None
        self.bounds: list[int | None] = []
        """What the kernel could have held for it, in turn."""
        self._clock = clock
        self._rate = rate
        self._free_at = clock.seconds()
        self._origins = origins
        self.reader = Reader(file, wanted, self, self)
        self.done = self.reader.begin()
        self.done.addCallbacks(self._complete, self._failed)

    def leave(self) -> None:
        self.done.cancel()

    def _complete(self, _: object) -> None:
        self.ended = self._clock.seconds()

    def _failed(self, failure: Any) -> None:
        self.error = failure.value

    # The sink

    def write(self, data: bytes) -> None:
        now = self._clock.seconds()
        if self.first is None:
            self.first = now
        self.got += data
        if self._rate is not None and self.producer is not None:
            self._free_at = max(self._free_at, now) + len(data) / self._rate
            self.producer.pauseProducing()
            self._clock.callLater(self._free_at - now, self._emptied)

    def _emptied(self) -> None:
        if self.producer is not None and self._clock.seconds() >= self._free_at - 1e-9:
            self.producer.resumeProducing()

    def unsent_at_most(self, count: int | None) -> None:
        if [count] != self.bounds[-1:]:
            self.bounds.append(count)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    # The supplier

    def origin(self) -> ClockedOrigin:
        return self._origins()

    def read(self, at: int, count: int) -> None:
        self.cached += count
