"""The events of one transfer's scheduler, handled one after the other.

They wait in a queue, and are never handled from within the doing of an action. One timer serves
the scheduler's deadline.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.python.failure import Failure

from aprp.core.scheduling import messages as m
from aprp.core.scheduling.scheduler import Scheduler
from aprp.core.values import dataclass
from aprp.upstream.splice.piped import Piece, as_bytes
from aprp.upstream.transfer.attempt import Attempt
from aprp.upstream.watchdog import Watchdog


@dataclass(frozen=True, slots=True)
class Chunk:
    """The bytes of one delivery by an attempt, from the offset `at` on."""

    attempt: Attempt
    at: int
    data: Piece

    def part(self, start: int, stop: int) -> Piece:
        """Return [start, stop) of the file, without a copy if that is all of it."""
        if start == self.at and stop - start == len(self.data):
            return self.data
        return as_bytes(self.data)[start - self.at : stop - self.at]


class Turns:
    """The event queue of one scheduler.

    `act` does the actions that follow from an event and its chunk, `hand_on` gives the client what
    is ready, and `failed` is called with an error of the proxy itself.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        clock: Any,
        act: Callable[[list[m.Action], Chunk | None], None],
        hand_on: Callable[[], None],
        failed: Callable[[Failure], None],
    ) -> None:
        self._scheduler = scheduler
        self._clock = clock
        self._act = act
        self._hand_on = hand_on
        self._failed = failed
        self._queue: deque[tuple[m.Event, Chunk | None]] = deque()
        self._busy = False
        self._closed = False
        self._now = 0.0
        self._alarm = Watchdog(clock, lambda: self.feed(m.TimePassed()))

    def feed(self, event: m.Event, chunk: Chunk | None = None) -> None:
        """Handle an event, after those that wait."""
        if self._closed:
            return
        self._queue.append((event, chunk))
        self._run()

    def add(self, event: m.Event) -> None:
        """Have an event handled in the turn that runs now."""
        self._queue.append((event, None))

    def work(self) -> None:
        """Hand on what is ready, since the client takes more."""
        self._run(hand_on=True)

    def _run(self, *, hand_on: bool = False) -> None:
        """Handle every event, and hand on what that made ready."""
        if self._busy:
            return
        self._busy = True
        try:
            if hand_on:
                self._hand_on()
            while self._queue:
                self._handle(*self._queue.popleft())
                if not self._queue and not self._closed:
                    self._hand_on()
        except Exception:
            self._failed(Failure())
        finally:
            self._busy = False
        self._arm()

    def close(self) -> None:
        """Handle no more events."""
        self._closed = True
        self._queue.clear()
        self._alarm.close()

    def _handle(self, event: m.Event, chunk: Chunk | None) -> None:
        self._now = max(self._now, self._clock.seconds())
        self._act(self._scheduler.handle(self._now, event), chunk)

    def _arm(self) -> None:
        """Have the scheduler called no later than at its deadline."""
        if self._closed:
            return
        deadline = self._scheduler.next_deadline()
        if deadline is None:
            self._alarm.rest()
        else:
            self._alarm.expect(max(0.0, deadline - self._clock.seconds()))
