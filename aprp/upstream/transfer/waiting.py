"""The wait of `Transfer.begin` until the facts are known or the driver has failed to get them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall


class FactsWait:
    """A wait that others end, and that can be limited.

    `late` is called when the limit is reached, `cancelled` when the waiting Deferred is cancelled.
    """

    def __init__(self, clock: Any, late: Callable[[], None], cancelled: Callable[[], None]) -> None:
        self._clock = clock
        self._late = late
        self._cancelled = cancelled
        self._wanted: Deferred[None] | None = None
        self._timer: IDelayedCall | None = None

    def begin(self) -> Deferred[None]:
        """Begin to wait; the result fires when `end` is called."""
        wanted = self._wanted = Deferred(lambda _: self._cancel())
        return wanted

    def end(self) -> None:
        """Resume what waits, if anything does."""
        wanted = self._wanted
        if wanted is not None:
            self.limit(None)
            if not wanted.called:
                wanted.callback(None)

    def limit(self, seconds: float | None) -> None:
        """Call `late` after these seconds, unless that is due sooner already; None: never."""
        timer = self._timer
        if timer is not None and timer.active():
            if seconds is not None and timer.getTime() <= self._clock.seconds() + seconds:
                return
            timer.cancel()
        self._timer = None if seconds is None else self._clock.callLater(seconds, self._late)

    def _cancel(self) -> None:
        self._wanted = None
        self._cancelled()
