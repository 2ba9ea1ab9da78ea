"""A client that is sent bytes no faster than its route's `limit_rate`."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IDelayedCall

from aprp.core.rate_limit import RateLimit
from aprp.web.held_sink import HeldSink, Sink


class PacedSink(HeldSink):
    """Holds the producer of a body for as long as the limit says."""

    def __init__(self, sink: Sink, clock: Any, limit: RateLimit) -> None:
        super().__init__(sink)
        self._clock = clock
        self._limit = limit
        self._waiting: IDelayedCall | None = None

    def close(self) -> None:
        """Stop: nothing more will be written."""
        self._stop_waiting()
        super().close()

    def write(self, data: bytes) -> None:
        super().write(data)
        seconds = self._limit.wait(len(data), self._clock.seconds())
        if seconds > 0 and self._waiting is None:
            self._waiting = self._clock.callLater(seconds, self._waited)
            self._hold()

    def stopProducing(self) -> None:
        self._stop_waiting()
        super().stopProducing()

    def _waited(self) -> None:
        self._waiting = None
        self._let_go()

    def _stop_waiting(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()
