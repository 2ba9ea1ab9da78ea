"""The simulated time: Twisted's `Clock` over a heap, stepped from one event to the next."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.base import DelayedCall
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock


class Livelock(Exception):
    """Events go on and on and time stands still, or there are far too many of them."""


class SimulatedClock(Clock):
    """Calls due at the same time run in the order in which they were made.

    `rightNow` is unix time: what reads the time of day reads this clock too.
    """

    def __init__(self, now: float) -> None:
        super().__init__()
        self.rightNow = now
        self.steps = 0
        self._heap: list[tuple[float, int, DelayedCall]] = []
        self._count = 0

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: object, **kw: object
    ) -> IDelayedCall:
        assert delay >= 0, f"a delay of {delay} s"
        call = DelayedCall(
            self.rightNow + delay, callable, args, kw, _nothing, self._push, self.seconds
        )
        self._push(call)
        return call

    def _push(self, call: DelayedCall) -> None:
        self._count += 1
        heapq.heappush(self._heap, (call.getTime(), self._count, call))

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        return [call for _, _, call in self._heap if call.active()]

    def advance(self, amount: float) -> None:
        self.run(self.rightNow + amount, 1_000_000)

    def run(self, until: float, most: int, stop: Callable[[], bool] | None = None) -> None:
        """Step through what is due before `until`, or before `stop` says so.

        Raises Livelock after `most` steps.
        """
        heap: list[tuple[float, int, Any]] = self._heap
        last = self.steps + most
        while heap and heap[0][0] <= until:
            due, _, call = heapq.heappop(heap)
            if call.cancelled or call.called:
                continue
            at = call.time + call.delayed_time
            if at > due:  # it was put off meanwhile
                call.activate_delay()
                self._push(call)
                continue
            self.rightNow = max(self.rightNow, at)
            self.steps += 1
            if self.steps > last:
                raise Livelock(f"more than {most} events")
            call.called = 1
            call.func(*call.args, **call.kw)
            if stop is not None and stop():
                return
        self.rightNow = max(self.rightNow, until)


def _nothing(_: DelayedCall) -> None:
    """A cancelled call stays in the heap until its time comes."""
