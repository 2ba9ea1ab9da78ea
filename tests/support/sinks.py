"""A client's end and a producer of a body, for sinks that stand between the two."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

BUFFER = 5000
"""Bytes."""


class Client:
    """A client's end as a sink, which the test fills and empties.

    With a `rate`, in bytes per second, it takes no more than that, and `BUFFER` at once.
    """

    def __init__(self, clock: Clock | None = None, rate: float | None = None) -> None:
        self.got = 0
        self.closed = False
        self._clock = clock
        self._rate = rate
        self._producer: Any = None
        self._empty_at = 0.0

    def write(self, data: bytes) -> None:
        self.got += len(data)
        if self._clock is not None and self._rate is not None and self._producer is not None:
            now = self._clock.seconds()
            self._empty_at = max(self._empty_at, now) + len(data) / self._rate
            if self._empty_at - now >= BUFFER / self._rate:
                self._producer.pauseProducing()
                self._clock.callLater((self._empty_at - now) / 2, self._emptied)

    def _emptied(self) -> None:
        if self._producer is not None:
            self._producer.resumeProducing()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._producer = producer

    def unregisterProducer(self) -> None:
        self._producer = None

    def stopProducing(self) -> None:
        """The test ends by itself."""

    def close(self) -> None:
        self.closed = True


class Producer:
    """Writes a KB each millisecond unless it is paused."""

    def __init__(self, sink: Any, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock
        self.paused = False
        sink.registerProducer(self, True)
        self.tick()

    def tick(self) -> None:
        if not self.paused:
            self._sink.write(b"a" * 1000)
        self._clock.callLater(0.001, self.tick)

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False
