"""One scheduler on real sockets: its actions done, its events told.

Events wait in a queue and are handled one after the other, never from within the doing of an
action. Slots are seen to by `aprp.upstream.slots`. Bytes leave by `aprp.upstream.outlet`, those of
the head as they come in; what comes ahead of them waits in the store. One timer serves the
scheduler's deadline.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.logger import Logger

from aprp.core import messages as m
from aprp.core.copies import Facts, Good
from aprp.core.ranges import Range
from aprp.core.scheduler import Scheduler
from aprp.upstream.attempt import Attempt
from aprp.upstream.errors import BodyBroken, Exhausted
from aprp.upstream.hub import Hub
from aprp.upstream.outlet import Outlet
from aprp.upstream.remote import Remote
from aprp.upstream.sample import Sample
from aprp.upstream.slots import Slots
from aprp.upstream.store import Store
from aprp.upstream.terms import Terms
from aprp.upstream.watchdog import Watchdog


class Watcher(Protocol):
    """Who is told what sources do: for logs, counts and progress bars."""

    facts: Facts | None

    def learned(self, remote: Remote, facts: Facts) -> None:
        """A good head came."""
        ...

    def asked(self, attempt: Attempt) -> None:
        """A range is asked for."""
        ...

    def came(self, attempt: Attempt, at: int, count: int, kept: int) -> None:
        """Bytes came from the offset `at` on, of which `kept` were missing until then."""
        ...

    def failed(self, remote: Remote, end: m.End, reason: str) -> None:
        """A source could not be connected to, or an attempt at it failed."""
        ...


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes that an attempt brought, from the offset `at` on."""

    attempt: Attempt
    at: int
    data: bytes

    def part(self, start: int, stop: int) -> bytes:
        """[start, stop) of the file, uncopied where that is all of it."""
        if start == self.at and stop - start == len(self.data):
            return self.data
        return self.data[start - self.at : stop - self.at]


class Driver:
    """The delivery of the bytes [start, stop), or to the end of the file where `stop` is None."""

    _log = Logger()

    def __init__(
        self,
        hub: Hub,
        remotes: Sequence[Remote],
        terms: Terms,
        start: int,
        stop: int | None,
        watcher: Watcher,
        sample: Sample | None = None,
    ) -> None:
        self._hub = hub
        self._sample = sample
        self._terms = terms
        self._remotes = {remote.name: remote for remote in remotes}
        self._watcher = watcher
        length = None if watcher.facts is None else watcher.facts.complete
        sources = [remote.source for remote in remotes]
        self._slots = Slots(hub, self, self._remotes, self._feed, self._unreachable)
        self._scheduler = Scheduler(sources, start, stop, hub.ratings, terms.scheduling, length)
        self._store = Store()
        self._attempts: dict[int, Attempt] = {}
        self._queue: deque[tuple[m.Event, Chunk | None]] = deque()
        self._busy = False
        self._over = False
        self._failure: Exception | None = None
        self._alarm = Watchdog(hub.clock, lambda: self._feed(m.TimePassed()))
        self._now = 0.0
        self._window = terms.scheduling.window
        self._outlet = Outlet(self._store, self._work, self.abort)
        self._on_end: Callable[[], None] = lambda: None

    @property
    def position(self) -> int:
        """The offset of the next byte that the consumer gets."""
        return self._scheduler.taken

    @property
    def stop(self) -> int | None:
        """The end of the range, None while it isn't known."""
        return self._scheduler.stop

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return self._store.size

    def begin(self, on_end: Callable[[], None]) -> None:
        """Start to fetch; `on_end` is called when all was delivered or nothing can go on."""
        self._on_end = on_end
        self._hub.join(self, self._terms.scheduling.window)
        self._feed(m.Started())

    def deliver(self, sink: IConsumer) -> Deferred[None]:
        """Write all bytes into `sink`, paced by it; fails with `Exhausted`.

        Cancelling it stops everything.
        """
        return self._outlet.open(sink)

    def abort(self) -> None:
        """Stop every attempt at once."""
        if not self._over:
            self._failure = self._failure or BodyBroken("stopped by the proxy itself")
            self._finish()

    @property
    def over(self) -> bool:
        """Whether all was delivered, or nothing more will be."""
        return self._over

    @property
    def failure(self) -> Exception | None:
        """Why it ended, if it did so before its time."""
        return self._failure

    # Slots and memory

    def granted(self, source: str) -> None:
        self._slots.granted(source)

    def appetite(self) -> int:
        window = self._scheduler.window
        most = self._terms.scheduling.window
        return most if window >= self._window else min(most, 2 * window)

    def used(self) -> int:
        return self._scheduler.buffered + self._scheduler.in_flight

    def narrow(self, window: int | None) -> None:
        most = self._terms.scheduling.window
        window = most if window is None else min(window, most)
        if window != self._window:
            self._window = window
            self._feed(m.WindowChanged(window))

    # What attempts tell

    @property
    def facts(self) -> Facts | None:
        return self._watcher.facts

    def head_came(self, attempt: Attempt, good: Good, stop: int, connect: float | None) -> None:
        self._watcher.learned(attempt.remote, good.facts)
        complete = good.facts.complete
        self._feed(m.HeadCame(attempt.number, attempt.start, stop, complete, connect))

    def bytes_came(self, attempt: Attempt, at: int, data: bytes) -> None:
        self._queue.append((m.BytesCame(attempt.number, len(data)), Chunk(attempt, at, data)))
        self._work()

    def ended(self, attempt: Attempt, event: m.Ended) -> None:
        if self._attempts.pop(attempt.number, None) is None:
            return
        if event.end is not m.End.COMPLETED:
            self._watcher.failed(attempt.remote, event.end, event.reason)
        self._slots.release(attempt.remote.name, event)

    def _unreachable(self, remote: Remote, reason: str) -> None:
        self._watcher.failed(remote, m.End.UNREACHABLE, reason)

    # The scheduler's side

    def _feed(self, event: m.Event) -> None:
        self._queue.append((event, None))
        self._work()

    def _work(self) -> None:
        """Handle every event, and hand on what that made ready."""
        if self._busy:
            return
        self._busy = True
        try:
            self._hand_on()
            while self._queue and not self._over:
                self._handle(*self._queue.popleft())
                if not self._queue:
                    self._hand_on()
        except Exception as error:
            self._log.failure("a transfer ends by a fault of its own")
            self._failure = error
            self._finish()
        finally:
            self._busy = False
        self._arm()

    def _hand_on(self) -> None:
        """What is ready goes to the consumer, as far as it's wanted."""
        taken = self._scheduler.taken
        at = self._outlet.hand_on(taken, self._scheduler.ready)
        if at > taken and not self._over:
            self._queue.append((m.ClientTook(at - taken), None))

    def _handle(self, event: m.Event, chunk: Chunk | None) -> None:
        self._now = max(self._now, self._hub.clock.seconds())
        kept = 0
        for action in self._scheduler.handle(self._now, event):
            if self._over:  # a watcher stopped it
                return
            match action:
                case m.Keep(_, start, stop) if chunk is not None:
                    self._store.write(start, chunk.part(start, stop))
                    kept += stop - start
                case m.Fetch():
                    self._fetch(action)
                case m.Abandon(number):
                    self._abandon(number)
                case m.WantSlot(source, urgency):
                    self._slots.want(source, urgency)
                case m.WithdrawWant(source):
                    self._slots.withdraw(source)
                case m.ReleaseSlot(source):
                    self._slots.release(source)
                case m.Forget(start, stop):
                    self._store.forget(start, stop)
                case m.Done():
                    self._finish()
                case m.Fail(reasons):
                    self._failure = Exhausted(reasons)
                    self._finish()
                case m.Shorten():
                    pass
        if chunk is not None:
            self._watcher.came(chunk.attempt, chunk.at, len(chunk.data), kept)

    def _fetch(self, fetch: m.Fetch) -> None:
        remote = self._remotes[fetch.source]
        asked = Range(fetch.start, fetch.stop)
        attempt = Attempt(
            fetch.attempt, remote, asked, self._terms.same, self._hub.clock, self, self._sample
        )
        self._attempts[fetch.attempt] = attempt
        self._watcher.asked(attempt)
        if not self._over:
            attempt.begin()

    def _abandon(self, number: int) -> None:
        attempt = self._attempts.pop(number, None)
        if attempt is not None:
            attempt.abandon()
            self._slots.release(attempt.remote.name)

    def _arm(self) -> None:
        """Have the scheduler called no later than at its deadline."""
        deadline = None if self._over else self._scheduler.next_deadline()
        if deadline is None:
            self._alarm.rest()
        else:
            self._alarm.expect(max(0.0, deadline - self._hub.clock.seconds()))

    def _finish(self) -> None:
        """Nothing is in flight any longer, and all that was held is let go."""
        self._over = True
        self._alarm.close()
        self._queue.clear()
        for number in list(self._attempts):
            self._attempts.pop(number).abandon()
        self._store.clear()
        self._slots.close()
        self._outlet.close(self._failure)
        self._on_end()
