"""What the signals to stop do: the first stops the reactor, as ever, and a further one cuts."""

from __future__ import annotations

import signal
from collections.abc import Collection
from types import FrameType
from typing import Any

from twisted.internet.defer import Deferred


class StopSignals:
    """Takes over TERM and INT from the reactor, which must be running.

    `again` fires at a further signal. The reactor's own handlers would call that an error, so they
    get the first one only.
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
        """Do what a further signal does."""
        if not self.again.called:
            self.again.callback(None)
