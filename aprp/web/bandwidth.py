"""The `bandwidth` of routes: a limit that all responses of a route share fairly.

A response writes what it has. It waits for its turn if that exceeded the route's limit, or if
others wait. Turns are given one at a time, so a response that has nothing to write in its turn
delays the others by no more than one iteration of the reactor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from aprp.config import Route
from aprp.core.fair_share import Demand, FairShare
from aprp.web.held_sink import HeldSink, Sink
from aprp.web.tallies import label_of


class Bandwidth:
    """The bandwidth of one route. `rate` is in bytes per second; None means no limit."""

    def __init__(self, clock: Any, rate: int | None) -> None:
        self.rate = rate
        """The configured limit; `part` is what this process may use of it."""
        self._clock = clock
        self._share = FairShare(rate, clock.seconds())
        self._timer: IDelayedCall | None = None
        self._was_short = False
        self._sent = 0
        self._since = clock.seconds()

    @property
    def part(self) -> int | None:
        """The bytes per second that may be used now."""
        return self._share.rate

    @part.setter
    def part(self, part: int | None) -> None:
        self._share.rate = part
        self._arm()

    def demand(self) -> Demand:
        """Return what was used and needed since the last call."""
        now = self._clock.seconds()
        used = self._sent / (now - self._since) if now > self._since else 0
        short = self._was_short or self._share.waiting > 0
        self._sent, self._since, self._was_short = 0, now, False
        return Demand(int(used), self._share.writers, short)

    def is_free(self) -> bool:
        """Whether anyone may write now."""
        return self._share.is_free(self._clock.seconds())

    def wrote(self, sink: SharedSink, count: int) -> None:
        """Count bytes that a sink passed on."""
        self._sent += count
        self._share.wrote(sink, count, self._clock.seconds())

    def wait(self, sink: SharedSink) -> None:
        """Call the sink's `has_turn` when its turn comes."""
        self._share.wait(sink)
        self._was_short = True
        if self._timer is None:
            self._arm()

    def leave(self, sink: SharedSink) -> None:
        """Stop waiting for a turn."""
        self._share.leave(sink)
        self._arm_if_idle()

    def done(self, sink: SharedSink) -> None:
        """Forget the sink: it writes nothing more."""
        self._share.done(sink)
        self._arm_if_idle()

    def _arm_if_idle(self) -> None:
        if not self._share.waiting:
            self._arm()

    def _arm(self) -> None:
        """Set the timer for the next turn."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        seconds = self._share.pause(self._clock.seconds())
        if seconds is not None:
            self._timer = self._clock.callLater(max(0.0, seconds), self._turn)

    def _turn(self) -> None:
        self._timer = None
        sink = self._share.next(self._clock.seconds())
        if isinstance(sink, SharedSink):
            sink.has_turn()
        if self._timer is None:
            self._arm()


class SharedSink(HeldSink):
    """Holds the producer of a body until its turn comes, and waits for none while it is full."""

    def __init__(self, sink: Sink, bandwidth: Bandwidth) -> None:
        super().__init__(sink)
        self._bandwidth = bandwidth

    def close(self) -> None:
        """Stop: nothing more will be written."""
        self._bandwidth.done(self)
        super().close()

    def has_turn(self) -> None:
        """Write what waits: it is this response's turn."""
        self._let_go()

    def write(self, data: bytes) -> None:
        super().write(data)
        self._bandwidth.wrote(self, len(data))
        self._check()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._held = False
        super().registerProducer(producer, streaming)
        self._check()

    def unregisterProducer(self) -> None:
        self._bandwidth.leave(self)
        super().unregisterProducer()

    def pauseProducing(self) -> None:
        self._bandwidth.leave(self)
        super().pauseProducing()

    def resumeProducing(self) -> None:
        self._full = False
        self._check()
        self._resume()

    def _check(self) -> None:
        """Hold the producer unless it may write, and wait for a turn if the client isn't full."""
        if self._bandwidth.is_free():
            self._held = False
            return
        self._hold()
        if self._producer is not None and not self._full:
            self._bandwidth.wait(self)


class Bandwidths:
    """The bandwidths of all routes. They survive reloads, so that the responses of a route from
    before and after a reload share its limit.
    """

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._by_label: dict[str, Bandwidth] = {}

    def of(self, route: Route) -> Bandwidth | None:
        """Return the bandwidth of a route, or None if it has no limit."""
        if route.bandwidth is None:
            return None
        label = label_of(route)
        if label not in self._by_label:
            self._by_label[label] = Bandwidth(self._clock, route.bandwidth)
        return self._by_label[label]

    def keep(self, routes: Iterable[Route]) -> None:
        """Use the limits of these routes from now on, and end those of other routes."""
        before, self._by_label = self._by_label, {}
        for route in routes:
            label = label_of(route)
            if label in before and route.bandwidth is not None:
                self._by_label[label] = bandwidth = before.pop(label)
                if bandwidth.rate != route.bandwidth:
                    bandwidth.rate = bandwidth.part = route.bandwidth
        for left in before.values():
            left.part = None

    def share(self, parts: Mapping[str, int]) -> dict[str, tuple[int, int, bool]]:
        """Use these parts of the limits from now on, by route; return the demand of each route."""
        demands = {}
        for label, bandwidth in self._by_label.items():
            demand = bandwidth.demand()
            demands[label] = (demand.used, demand.writers, demand.short)
            if label in parts:
                bandwidth.part = parts[label]
        return demands
