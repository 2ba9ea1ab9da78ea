"""One timer per connection for all its timeouts, cheap to restart with every byte."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Watchdog:
    """A timer that calls `expired` when it isn't touched within the current timeout.

    Setting a later deadline only records it: when the pending call fires, it waits for the rest, so
    that a touch doesn't cost a timer.
    """

    def __init__(self, clock: IReactorTime, expired: Callable[[], None]) -> None:
        self._clock = clock
        self._expired = expired
        self._deadline: float | None = None
        self._call: IDelayedCall | None = None
        self._looks_at = 0.0

    def expect(self, seconds: float) -> None:
        """Call `expired` unless touched within `seconds` from now."""
        deadline = self._deadline = self._clock.seconds() + seconds
        if self._call is None:
            self._call = self._clock.callLater(seconds, self._look)
        elif self._looks_at > deadline:
            self._call.reset(seconds)
        else:
            return
        self._looks_at = deadline

    def rest(self) -> None:
        """Wait for nothing."""
        self._deadline = None

    def close(self) -> None:
        """Wait for nothing ever again, and leave no timer behind."""
        self._deadline = None
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _look(self) -> None:
        self._call = None
        if self._deadline is None:
            return
        left = self._deadline - self._clock.seconds()
        if left > 0:
            self._call, self._looks_at = self._clock.callLater(left, self._look), self._deadline
        else:
            self._deadline = None
            self._expired()
