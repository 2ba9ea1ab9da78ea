"""A small world around one Scheduler, which does what it says and checks every promise it made.

Used by the tests of the scheduler: they decide what happens next, the world keeps the books.
"""

from __future__ import annotations

from typing import Any

from aprp.core.scheduling import messages as m
from aprp.core.scheduling.policies.rescue import SILENT
from aprp.core.scheduling.ratings import Ratings
from aprp.core.scheduling.scheduler import Scheduler
from aprp.core.scheduling.settings import SchedulingSettings

HARMLESS = (m.End.COMPLETED, m.End.STALE, m.End.BEYOND)
"""Ends of attempts that are no failure of the source."""


class World:
    """One transfer of ``[start, stop)`` of a file of ``length`` bytes.

    ``attempts`` maps a number to [source, next byte, end on the wire, head came]; ``log`` has
    every (now, event, actions).
    """

    def __init__(
        self,
        sources: list[m.Source],
        start: int = 0,
        stop: int | None = None,
        length: int = 4 * m.MIB,
        settings: SchedulingSettings | None = None,
        ratings: Ratings | None = None,
        known: bool = False,
    ) -> None:
        self.length = length
        self.end = length if stop is None else min(stop, length)
        self.settings = settings or SchedulingSettings()
        self.make = lambda: Scheduler(
            sources, start, stop, Ratings(), self.settings, length if known else None
        )
        self.scheduler = Scheduler(
            sources, start, stop, ratings or Ratings(), self.settings, length if known else None
        )
        self.sources = {source.name: source for source in sources}
        self.now = 0.0
        self.wants: dict[str, m.Urgency] = {}
        self.attempts: dict[int, list[Any]] = {}
        self.numbers: set[int] = set()
        self.held: dict[int, int] = {}  # start: stop of what is kept
        self.kept = 0
        self.given = start
        self.start = start
        self.most = self.settings.window  # what may wait; it falls as the client takes it
        self.window = self.settings.window  # what may be requested
        self.blamed: set[str] = set()  # sources that failed since they last brought a new byte
        self.heard: dict[int, float] = {}  # attempt: when it began or last brought something
        self.source_of: dict[int, str] = {}  # by attempt, of those that are over as well
        self.done = False
        self.failed: m.Fail | None = None
        self.log: list[tuple[float, m.Event, list[m.Action]]] = []
        self.given_back: dict[str, float] = {}  # source: when a slot of it was given back

    @property
    def over(self) -> bool:
        return self.done or self.failed is not None

    def _blame(self, silent: set[str], event: m.Event, actions: list[m.Action]) -> None:
        """Check that a transfer fails only where every source did, or the file is too short."""
        for action in actions:
            if isinstance(action, m.Keep):
                self.blamed.discard(self.source_of[action.attempt])
        self.blamed |= silent
        if isinstance(event, m.ConnectFailed):
            self.blamed.add(event.source)
        if isinstance(event, m.Ended) and event.end not in HARMLESS:
            self.blamed.add(self.source_of[event.attempt])
        if self.length > self.start and any(isinstance(action, m.Fail) for action in actions):
            assert self.blamed == set(self.sources), f"failed, but only {self.blamed} did"

    def send(self, event: m.Event) -> list[m.Action]:
        silent = {self.source_of[n] for n in self.attempts if self.now >= self.heard[n] + SILENT}
        actions = self.scheduler.handle(self.now, event)
        self.log.append((self.now, event, list(actions)))
        self._blame(silent, event, actions)
        granted = event.source if isinstance(event, m.Granted) else None
        if granted is None:
            self.given_back = {}
        for action in actions:
            assert not self.over, f"{action} after the end"
            match action:
                case m.WantSlot(source, urgency):
                    assert self.wants.get(source) is not urgency, "wanted twice"
                    self.wants[source] = urgency
                    again = self.given_back.get(source) == self.now
                    assert not again, "given back and wanted again, though nothing happened"
                case m.WithdrawWant(source):
                    del self.wants[source]
                case m.ReleaseSlot(source):
                    assert source == granted, "a slot that wasn't granted is released"
                    granted = None
                    self.given_back[source] = self.now
                case m.Fetch():
                    assert action.source == granted, "a fetch without a slot"
                    granted = None
                    self.given_back = {}
                    self._fetched(action)
                case m.Abandon(number):
                    del self.attempts[number]
                case m.Keep():
                    self._keep(event, action)
                case m.Forget(start, stop):
                    self._forget(start, stop)
                case m.Done():
                    self.done = True
                case m.Fail():
                    self.failed = action
        assert granted is None or self.over, "a granted slot was neither used nor released"
        self._check()
        return actions

    def _fetched(self, fetch: m.Fetch) -> None:
        assert fetch.attempt not in self.numbers, "a number was used twice"
        assert fetch.start < fetch.stop
        assert fetch.stop <= self.given + self.window, "asked beyond the window"
        self.numbers.add(fetch.attempt)
        self.heard[fetch.attempt] = self.now
        self.source_of[fetch.attempt] = fetch.source
        self.attempts[fetch.attempt] = [fetch.source, fetch.start, fetch.stop, False]
        of_source = sum(a[0] == fetch.source for a in self.attempts.values())
        assert of_source <= self.sources[fetch.source].connections

    def _keep(self, event: m.Event, keep: m.Keep) -> None:
        assert isinstance(event, m.BytesCame) and event.attempt == keep.attempt
        assert self.came[0] <= keep.start < keep.stop <= self.came[1], "kept what didn't come"
        for low, high in self.held.items():
            assert keep.stop <= low or high <= keep.start, "a byte was kept twice"
        self.held[keep.start] = keep.stop

    def _forget(self, start: int, stop: int) -> None:
        assert start >= self.given
        for low, high in list(self.held.items()):
            if low < stop and start < high:
                del self.held[low]
                if low < start:
                    self.held[low] = start
                if stop < high:
                    self.held[stop] = high

    def _check(self) -> None:
        deadline = self.scheduler.next_deadline()
        assert deadline is None or deadline > self.now, "a timer with no delay"
        assert self.scheduler.ready == self.contiguous()
        waiting = sum(high - max(low, self.given) for low, high in self.held.items())
        assert waiting <= self.most, "more is waiting than the window"
        in_flight = [self.scheduler._state.attempts[n].stop for n in self.attempts]
        reach = max(max(in_flight, default=0), max(self.held.values(), default=0)) - self.given
        self.most = max(self.window, min(self.most, reach))
        assert waiting == self.scheduler.buffered
        if self.over:
            assert all(at == stop for _, at, stop, _ in self.attempts.values())
            assert not self.wants, "something is left after the end"
        spans = [(a[1], self.scheduler._state.attempts[n].stop) for n, a in self.attempts.items()]
        edges = {low for low, high in spans if low < high}
        for edge in edges:
            assert sum(low <= edge < high for low, high in spans) <= 2, "asked three times"

    def contiguous(self) -> int:
        at = self.given
        held = sorted(self.held.items())
        for low, high in held:
            if low <= at < high:
                at = high
        return at

    # What may happen

    def begin(self) -> None:
        self.send(m.Started())

    def resize(self, window: int) -> None:
        """What is already there or requested stays; new requests keep to the new window."""
        self.window = window
        self.most = max(self.most, window)
        self.send(m.WindowChanged(window))

    def grant(self, source: str, ready: bool = False, connect: float | None = None) -> None:
        del self.wants[source]
        self.send(m.Granted(source, ready, connect))

    def grant_all(self, ready: bool = True, connect: float | None = None) -> None:
        """Every slot that is wanted comes at once, and so do those wanted then."""
        most = len(self.log) + 2 * sum(s.connections + 1 for s in self.sources.values())
        while self.wants and not self.over:
            self.grant(min(self.wants), ready, connect)
            assert len(self.log) <= most, "slots are asked for and given back without end"

    def head(self, number: int, stop: int | None = None) -> None:
        source, at, wire_stop, _ = self.attempts[number]
        if at >= self.length:
            del self.attempts[number]
            self.send(m.Ended(number, m.End.BEYOND, length=self.length))
            return
        stop = min(wire_stop if stop is None else stop, self.length)
        self.attempts[number] = [source, at, stop, True]
        self.heard[number] = self.now
        self.send(m.HeadCame(number, at, stop, self.length))

    def bytes(self, number: int, count: int) -> None:
        attempt = self.attempts[number]
        self.heard[number] = self.now
        count = min(count, attempt[2] - attempt[1])
        self.came = (attempt[1], attempt[1] + count)
        attempt[1] += count
        self.send(m.BytesCame(number, count))
        if number in self.attempts and attempt[1] == attempt[2]:
            self.over_with(number, m.End.COMPLETED)

    def over_with(self, number: int, end: m.End, **more: object) -> None:
        del self.attempts[number]
        self.send(m.Ended(number, end, **more))  # type: ignore[arg-type]

    def take(self, count: int | None = None) -> None:
        ready = self.scheduler.ready - self.given
        count = ready if count is None else min(count, ready)
        if count:
            self.given += count
            for low, high in list(self.held.items()):
                if high <= self.given:
                    del self.held[low]
            self.send(m.ClientTook(count))

    def tick(self) -> None:
        deadline = self.scheduler.next_deadline()
        if deadline is not None:
            self.now = deadline
            self.send(m.TimePassed())

    def finish(self, steps: int = 600, chunk: int = 64 * m.KIB) -> None:
        """From now on everything goes well."""
        for _ in range(steps):
            if self.over:
                return
            before = len(self.log)
            for source in list(self.wants):
                if source in self.wants and not self.over:
                    self.grant(source, ready=True)
            for number in list(self.attempts):
                if number in self.attempts and not self.over:
                    if not self.attempts[number][3]:
                        self.head(number)
                    else:
                        self.now += 0.001
                        self.bytes(number, chunk)
            if not self.over:
                self.take()
            if not self.over and len(self.log) == before:
                assert self.scheduler.next_deadline() is not None, "nothing will ever happen"
                self.tick()
        raise AssertionError(f"no end after {steps} steps: {self.scheduler.ready} of {self.end}")

    def replay(self) -> None:
        """The same events give the same actions."""
        again = self.make()
        for now, event, actions in self.log:
            assert again.handle(now, event) == actions
