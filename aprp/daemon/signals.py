"""The signals to stop: the first stops the reactor, as usual; another cuts what is in flight."""

from __future__ import annotations

import signal
from collections.abc import Collection
from types import FrameType
from typing import Any

from twisted.internet.defer import Deferred


class StopSignals:
    """Takes over TERM and INT from the reactor, which must be running.

    `again` fires at a second signal. The reactor's own handlers get only the first one, since they
    would report an error at the second.
    """

    def __init__(
        self, reactor: Any, numbers: Collection[int] = (signal.SIGTERM, signal.SIGINT)
    ) -> None:
        self.again: Deferred[None] = Deferred()
        self._reactor = reactor
        self._came = False
        self._before: dict[int, Any] = {
            number: signal.signal(number, self._heard) for number in numbers
        }

    def _heard(self, number: int, frame: FrameType | None) -> None:
        before = self._before[number]
        if self._came or not callable(before):
            self._reactor.callFromThread(self.fire)
        else:
            self._came = True
            before(number, frame)

    def fire(self) -> None:
        """Act as if a second signal had been received."""
        if not self.again.called:
            self.again.callback(None)
