"""Whether transfers make progress: one that goes on and on without it spins.

The watch counts what a scheduler is told: slots, connections, response heads, ends of attempts,
and that time passed. Bytes that are kept or taken begin the count again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from unittest import mock
from weakref import WeakKeyDictionary

from aprp.core.scheduling import messages as m
from aprp.core.scheduling.scheduler import Scheduler
from tests.simulation.clock import Livelock, SimulatedClock

MOST = 80
"""Events of one transfer in a second that brings it nothing; sound transfers reach about 20."""
WINDOW = 1.0

_COUNTED = (m.TimePassed, m.Granted, m.ConnectFailed, m.HeadCame, m.Ended)


class ProgressWatch:
    """Finds transfers that spin; the simulation ends at the first, as a `Livelock`."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self._idle: WeakKeyDictionary[Scheduler, tuple[float, int]] = WeakKeyDictionary()

    def told(
        self, scheduler: Scheduler, now: float, event: m.Event, actions: list[m.Action]
    ) -> None:
        """Count an event of a transfer."""
        kept = any(isinstance(action, m.Keep) for action in actions)
        if kept or isinstance(event, m.ClientTook):
            self._idle.pop(scheduler, None)
        elif isinstance(event, _COUNTED):
            since, count = self._idle.get(scheduler, (now, 0))
            if now > since + WINDOW:
                since, count = now, 0
            self._idle[scheduler] = since, count + 1
            if count == MOST:
                self._clock.callLater(0, self._found, type(event).__name__)

    def _found(self, event: str) -> None:
        raise Livelock(f"a transfer spins: {MOST} events in a second, the last one {event}")


@contextlib.contextmanager
def watched_progress(clock: SimulatedClock) -> Iterator[None]:
    """Watch the transfers of a simulation for as long as this holds."""
    watch, handle = ProgressWatch(clock), Scheduler.handle

    def watched(scheduler: Scheduler, now: float, event: m.Event) -> list[m.Action]:
        actions = handle(scheduler, now, event)
        watch.told(scheduler, now, event, actions)
        return actions

    with mock.patch.object(Scheduler, "handle", watched):
        yield
