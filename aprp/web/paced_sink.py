"""A client that is sent bytes no faster than its route's `limit_rate`."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IConsumer, IDelayedCall, IPushProducer
from zope.interface import implementer

from aprp.config import RouteSettings
from aprp.core.rate_limit import RateLimit
from aprp.web.client_sink import ClientSink
from aprp.web.request import ProxyRequest


def sink_for(request: ProxyRequest, clock: Any, route: RouteSettings) -> ClientSink | PacedSink:
    """The consumer for the body of the answer to a request."""
    sink = ClientSink(request, clock, route.send_timeout)
    if route.limit_rate is None:
        return sink
    limit = RateLimit(route.limit_rate, clock.seconds(), route.limit_rate_after)
    return PacedSink(sink, clock, limit)


@implementer(IConsumer, IPushProducer)
class PacedSink:
    """Stands between a client and what produces its body, which is paused for either's sake."""

    def __init__(self, sink: ClientSink, clock: Any, limit: RateLimit) -> None:
        self._sink = sink
        self._clock = clock
        self._limit = limit
        self._producer: Any = None
        self._full = False
        self._waiting: IDelayedCall | None = None

    def close(self) -> None:
        """No more will be written."""
        self._stop_waiting()
        self._sink.close()

    def write(self, data: bytes) -> None:
        self._sink.write(data)
        seconds = self._limit.wait(len(data), self._clock.seconds())
        if seconds > 0 and self._waiting is None:
            self._waiting = self._clock.callLater(seconds, self._go_on)
            self._pause()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._producer, self._full = producer, False
        self._sink.registerProducer(self, True)
        if self._waiting is not None:
            self._pause()

    def unregisterProducer(self) -> None:
        self._producer = None
        self._sink.unregisterProducer()

    def pauseProducing(self) -> None:
        self._full = True
        self._pause()

    def resumeProducing(self) -> None:
        self._full = False
        self._resume()

    def stopProducing(self) -> None:
        self._stop_waiting()
        self._sink.stopProducing()

    def _go_on(self) -> None:
        self._waiting = None
        self._resume()

    def _pause(self) -> None:
        if self._producer is not None:
            self._producer.pauseProducing()

    def _resume(self) -> None:
        if self._producer is not None and not self._full and self._waiting is None:
            self._producer.resumeProducing()

    def _stop_waiting(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()
