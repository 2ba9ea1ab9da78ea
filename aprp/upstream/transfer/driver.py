"""One scheduler on real sockets: its actions done, its events told.

`aprp.upstream.transfer.turns` handles the events, `aprp.upstream.transfer.slots` sees to slots.
Bytes leave by `aprp.upstream.transfer.delivery`, those of the head as they come in; what comes
ahead of them waits in `aprp.upstream.transfer.held`, and so does a piece that has to be verified.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.logger import Logger
from twisted.python.failure import Failure

from aprp.core.http.ranges import Range
from aprp.core.recovery.same_file import Accepted
from aprp.core.recovery.versions import Facts
from aprp.core.scheduling import messages as m
from aprp.core.scheduling.scheduler import Scheduler
from aprp.core.scheduling.state import ENDLESS
from aprp.upstream.errors import BodyBroken, Exhausted
from aprp.upstream.splice.piped import Piece, Use
from aprp.upstream.transfer.attempt import Attempt
from aprp.upstream.transfer.blame import Blame
from aprp.upstream.transfer.delivery import Delivery
from aprp.upstream.transfer.fetched_range import fetched_range
from aprp.upstream.transfer.held import HeldBytes
from aprp.upstream.transfer.observer import TransferObserver
from aprp.upstream.transfer.options import TransferOptions
from aprp.upstream.transfer.sample import Sample
from aprp.upstream.transfer.shared import SharedResources
from aprp.upstream.transfer.slots import Slots
from aprp.upstream.transfer.source import TransferSource
from aprp.upstream.transfer.turns import Chunk, Turns


class Driver:
    """The delivery of the bytes [start, stop), or to the end of the file where `stop` is None.

    `start` is the beginning of the range. The sources called `waiting` aren't asked before another
    said what the file is.
    """

    _log = Logger()

    def __init__(
        self,
        shared: SharedResources,
        sources: Sequence[TransferSource],
        options: TransferOptions,
        start: int,
        stop: int | None,
        watcher: TransferObserver,
        sample: Sample | None = None,
        waiting: frozenset[str] = frozenset(),
    ) -> None:
        self._shared = shared
        self._waiting = waiting
        self._sample = sample
        self.start = start
        self._stop = stop
        self._options = options
        self._sources = {source.name: source for source in sources}
        self._watcher = watcher
        fetched = fetched_range(options, start, stop)
        self._expected, self._scheduling = fetched.facts, fetched.scheduling
        facts = self.facts
        length = None if facts is None else facts.complete
        self._scheduler = Scheduler(
            [source.spec for source in sources],
            fetched.start,
            fetched.stop,
            shared.ratings,
            self._scheduling,
            length,
            fetched.piece,
        )
        self._turns = Turns(self._scheduler, shared.clock, self._act, self._hand_on, self._failed)
        self._blame = Blame(self._sources, options.proof, shared.liars, watcher)
        self._held = HeldBytes(fetched, self._turns.feed, self._blame.lied, self._failed)
        self._slots = Slots(shared, self, self._sources, self._turns.feed, self._blame.unreachable)
        for source in sources:
            source.requests.lanes = partial(self._lanes, source.name)
        self._attempts: dict[int, Attempt] = {}
        self._over = False
        self._failure: Exception | None = None
        self._window = self._scheduling.window
        wanted = Range(self.start, ENDLESS if self._stop is None else self._stop)
        self._delivery = Delivery(self._held.store, wanted, self._turns.work, self.abort)
        self._on_end: Callable[[], None] = lambda: None

    @property
    def position(self) -> int:
        """The offset of the next byte that the consumer gets."""
        return max(self.start, self._scheduler.taken)

    @property
    def stop(self) -> int | None:
        """The end of the range, None while it isn't known."""
        stop = self._scheduler.stop
        return stop if self._stop is None or stop is None else min(self._stop, stop)

    @property
    def ready(self) -> int:
        """The offset of the first byte after `position` that isn't held."""
        return self._scheduler.ready

    @property
    def window(self) -> int:
        """The number of bytes that may be held or in flight now."""
        return self._scheduler.window

    @property
    def running(self) -> Container[int]:
        """The numbers of the running attempts."""
        return self._attempts.keys()

    @property
    def held(self) -> int:
        """The number of bytes in memory."""
        return self._held.size

    def begin(self, on_end: Callable[[], None]) -> None:
        """Start fetching. `on_end` is called when all was delivered or the transfer failed."""
        self._on_end = on_end
        self._shared.join(self, self._scheduling.window)
        if out := self._shared.in_service.out | self._waiting:
            self.take_out(out)
        for name, why in self._blame.known():
            self._turns.feed(m.Banned(name, why))
        self._turns.feed(m.Started())

    def deliver(self, sink: IConsumer) -> Deferred[None]:
        """Write all bytes into `sink`, paced by it; fails with `Exhausted`.

        Cancelling it stops everything.
        """
        return self._delivery.open(sink)

    def end_at(self, stop: int) -> None:
        """End the range at `stop`, if it ends later now."""
        self._turns.feed(m.EndChanged(stop))

    def leads_to(self, wanted: Range, complete: int) -> bool:
        """Return whether exactly those bytes, of a file of `complete`, are yet to be delivered."""
        stop = complete if self.stop is None else min(self.stop, complete)
        return (self.position, stop) == (wanted.start, wanted.stop)

    def abort(self) -> None:
        """Stop every attempt at once."""
        if not self._over:
            self._failure = self._failure or BodyBroken("", "stopped by the proxy itself")
            self._finish()

    @property
    def over(self) -> bool:
        """Whether all was delivered, or nothing more will be."""
        return self._over

    @property
    def failure(self) -> Exception | None:
        """The reason why it ended early, if it did."""
        return self._failure

    # Slots and memory

    def granted(self, name: str) -> None:
        self._slots.granted(name)

    def wanted(self) -> int:
        window = self._scheduler.window
        most = self._scheduling.window
        return most if window >= self._window else min(most, 2 * window)

    def used(self) -> int:
        return self._scheduler.buffered + self._scheduler.in_flight

    def limit_window(self, window: int | None) -> None:
        most = self._scheduling.window
        window = most if window is None else min(window, most)
        if window != self._window:
            self._window = window
            self._turns.feed(m.WindowChanged(window))

    def take_out(self, sources: frozenset[str]) -> None:
        self._turns.feed(m.OutOfService(sources | self._waiting))

    # Called by attempts.

    @property
    def facts(self) -> Facts | None:
        return self._watcher.facts or self._expected

    def head_came(self, attempt: Attempt, good: Accepted, stop: int, connect: float | None) -> None:
        self._watcher.learned(attempt.source, good.facts)
        complete = good.facts.complete
        number, start = attempt.number, attempt.start
        self._turns.feed(m.HeadCame(number, start, stop, complete, connect, attempt.connection))
        if self._waiting:
            self._waiting = frozenset()
            self.take_out(self._shared.in_service.out)

    def piped_use(self, at: int, n: int) -> Use:
        if self._held.verified or not self._delivery.takes_piped(n):
            return Use.COPY
        next_owed = at == self._scheduler.ready == self._scheduler.taken
        return Use.PASS if next_owed and not self._delivery.paused else Use.KEEP

    def bytes_came(self, attempt: Attempt, at: int, data: Piece) -> None:
        self._turns.feed(m.BytesCame(attempt.number, len(data)), Chunk(attempt, at, data))

    def ended(self, attempt: Attempt, event: m.Ended) -> None:
        if self._attempts.pop(attempt.number, None) is None:
            return
        if event.end is not m.End.COMPLETED:
            self._watcher.failed(attempt.source, event.end, event.reason)
        self._slots.release(attempt.source.name, event)

    def _lanes(self, source: str) -> int:
        return self._scheduler.lanes(source, self._shared.clock.seconds())

    def _failed(self, failure: Failure) -> None:
        """End the transfer by a fault of its own."""
        if self._over:
            return
        self._log.failure(
            "a transfer ends by a fault of its own", failure, transfer=self._options.transfer_id
        )
        assert isinstance(failure.value, Exception)
        self._failure = failure.value
        self._finish()

    # The scheduler's side

    def _hand_on(self) -> None:
        """Write what is ready to the consumer, as far as it accepts it."""
        taken = self._scheduler.taken
        at = self._delivery.hand_on(taken, self._scheduler.deliverable)
        if at > taken and not self._over:
            self._turns.add(m.ClientTook(at - taken))

    def _act(self, actions: list[m.Action], chunk: Chunk | None) -> None:
        """Do what the scheduler decided on an event, which the bytes of `chunk` caused."""
        kept = 0
        for action in actions:
            if self._over:  # a watcher stopped it
                return
            match action:
                case m.Keep(_, start, stop) if chunk is not None:
                    self._held.write(chunk, start, stop)
                    kept += stop - start
                case m.Done():
                    self._finish()
                case m.Fetch():
                    self._fetch(action)
                case m.Abandon(number):
                    self._abandon(number)
                case m.WantSlot(name, urgency):
                    self._slots.want(name, urgency)
                case m.WithdrawWant(name):
                    self._slots.withdraw(name)
                case m.ReleaseSlot(name):
                    self._slots.release(name)
                case m.Forget(start, stop):
                    self._held.forget(start, stop)
                case m.Fail(reasons):
                    self._failure = Exhausted(reasons)
                    self._finish()
        if chunk is not None:
            self._watcher.came(chunk.attempt, chunk.at, len(chunk.data), kept)

    def _fetch(self, fetch: m.Fetch) -> None:
        source = self._sources[fetch.source]
        asked, same = Range(fetch.start, fetch.stop), self._options.same
        attempt = Attempt(
            fetch.attempt, source, asked, same, self._shared.clock, self, self._sample
        )
        self._attempts[fetch.attempt] = attempt
        self._watcher.asked(attempt)
        if not self._over:
            attempt.begin()

    def _abandon(self, number: int) -> None:
        attempt = self._attempts.pop(number, None)
        if attempt is not None:
            attempt.abandon()
            self._slots.release(attempt.source.name)

    def _finish(self) -> None:
        """Abandon what is in flight and drop what is held."""
        self._over = True
        self._turns.close()
        for number in list(self._attempts):
            self._attempts.pop(number).abandon()
        self._held.close()
        self._slots.close()
        self._delivery.close(self._failure)
        self._on_end()
