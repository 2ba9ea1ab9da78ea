"""A shared fetch: one ordered delivery of missing bytes, from which many readers take.

What arrives is written to the readers that wait for it, held in memory for those that are a little
behind, and kept in the store. A slow reader never holds it back: see `aprp.core.cache.pace`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from aprp.cache.backlog import Backlog
from aprp.cache.follower import Follower
from aprp.cache.held import Held
from aprp.cache.origin import Origin
from aprp.cache.store.store import StoredFile
from aprp.core.cache.extents import BLOCK
from aprp.core.cache.holes import Running
from aprp.core.cache.pace import GRACE, MOST_ROOM, Speed, ahead_of, may_run, may_run_alone, taking
from aprp.core.http.ranges import Range
from aprp.upstream.errors import BodyBroken, SourceError
from aprp.upstream.transfer.memory import MemoryBudget
from aprp.upstream.watchdog import Watchdog


@implementer(IConsumer)
class SharedFetch:
    """The delivery of `wanted`, which begins at an edge, of a file of `complete` bytes.

    `owner` is who began it. `over` is called when it has ended, and `settled` when nothing of it
    is in memory that may still be stored; `store_failed` when the store failed.
    """

    _log = Logger()

    def __init__(
        self,
        origin: Origin,
        wanted: Range,
        complete: int,
        clock: Any,
        backlog: Backlog,
        budget: MemoryBudget,
        over: Callable[[SharedFetch], None],
        settled: Callable[[SharedFetch], None],
        store_failed: Callable[[Failure], None],
        owner: object = None,
    ) -> None:
        self.origin = origin
        self.owner = owner
        self.borrowed = False
        """Whether its bytes come from another process, or may do so."""
        self.asks = False
        """Whether it asks other processes whether they have its bytes."""
        self._awaiting: list[Deferred[None]] = []
        self.error: Exception | None = None
        """Why it ended, if it failed."""
        self.start = wanted.start
        self.stop = self._asked = wanted.stop
        self.followers: list[Follower] = []
        self._held = Held(wanted.start, complete, backlog, self._settled, store_failed)
        self._backlog = backlog
        self._budget = budget
        self._clock = clock
        self._over = over
        self._all_settled = settled
        self._producer: Any = None
        self._running = True
        self._ended = False
        self._draining = False
        self._began = clock.seconds()
        self._latency: float | None = None
        self._speed = Speed(self._began)
        self._taken = taking(self._began)
        self._furthest = self._left_at = wanted.start
        self._grace = Watchdog(clock, self.abandon)
        self._work: Deferred[None] | None = None

    @property
    def position(self) -> int:
        """The next byte that will arrive."""
        return self._held.stop

    @property
    def ended(self) -> bool:
        """Whether no more bytes will come."""
        return self._ended

    @property
    def held(self) -> int:
        """The number of bytes in memory."""
        return self._held.size

    def used(self) -> int:
        """Return the number of bytes in memory."""
        return self.held

    def wanted(self) -> int:
        """Return the number of bytes that it would hold if it could."""
        behind = MOST_ROOM.behind + MOST_ROOM.slack
        return min(behind + ahead_of(self._taken.rate), self.stop - self.start)

    def limit_window(self, window: int | None) -> None:
        """Hold at most about so many bytes; None: as many as are of use."""
        self._held.limit(window)
        self._drop()
        self.pace()

    @property
    def unsettled(self) -> bool:
        """Whether bytes in memory may still be stored."""
        return self._held.unsettled

    def state(self) -> Running:
        """Return what decides whether to join it."""
        latency = None if self._latency is None else max(self._latency, 0.02)
        return Running(self.position, self.stop, self.origin.ready(), self._speed.rate, latency)

    def begin(self) -> None:
        """Start; it waits for readers after that."""
        self._backlog.join(self)
        self._budget.join(self, min(MOST_ROOM.most, self.stop - self.start))
        self._grace.expect(GRACE)
        work = self._work = Deferred.fromCoroutine(self._deliver())
        work.addCallbacks(lambda _: self._delivered(), self._failed)

    async def _deliver(self) -> None:
        await self.origin.deliver(Range(self.start, self.stop), self)

    def asked(self) -> Deferred[None]:
        """Return what fires when `asks` has become false."""
        awaiting: Deferred[None] = Deferred()
        self._awaiting.append(awaiting)
        return awaiting

    def decided(self, borrowed: bool) -> None:
        """Note whether another process brings the bytes."""
        self.borrowed, self.asks = borrowed, False
        awaiting, self._awaiting = self._awaiting, []
        for each in awaiting:
            each.callback(None)

    def keep_in(self, stored: StoredFile) -> None:
        """Store what arrives, and what has arrived, in that file."""
        self._held.keep_in(stored)

    def keep_nothing(self) -> None:
        """Store nothing more."""
        self._held.keep_nothing()
        self._settled()

    def bytes_at(self, offset: int) -> bytes:
        """Return bytes from `offset` on that are in memory: at least one, or none."""
        return self._held.at(offset)

    def follow(self, follower: Follower) -> None:
        """Count the reader among those that need this fetch."""
        if follower not in self.followers:
            self.followers.append(follower)
            self._grace.rest()
        self.pace()

    def leave(self, follower: Follower) -> None:
        """Forget the reader."""
        if follower in self.followers:
            self.followers.remove(follower)
            if self._ended:
                self._settled()
            elif not self.followers:
                self._left_at = self.position
                self._grace.expect(GRACE)
                self.pace()

    def limit(self, stop: int) -> None:
        """End at `stop`, from which on the bytes are there or come in another way."""
        if stop < self.stop:
            self.stop = max(stop, self.position)
            self.origin.end_at(self.stop)
            if self.position >= self.stop:
                self._cut_off()

    def abandon(self) -> None:
        """End it: nobody needs it. What its origin holds already is kept."""
        if self._ended:
            return
        self._draining = True
        self.origin.drain()
        if self._producer is not None and not self._running:
            self._running = True
            self._producer.resumeProducing()
        if not self._ended:
            self._cut_off()

    def pace(self) -> None:
        """Pause the origin, or resume it, by where the readers are."""
        if self._ended or self._draining:
            return
        furthest = max((each.at for each in self.followers), default=None)
        if furthest is not None and furthest > self._furthest:
            self._taken.count(furthest - self._furthest, self._clock.seconds())
            self._furthest = furthest
        if furthest is None:
            runs = may_run_alone(self.position, self._left_at)
        else:
            waits = any(each.waits and each.at == furthest for each in self.followers)
            ahead = min(ahead_of(self._taken.rate), self._held.room.ahead)
            runs = may_run(self.position, furthest, waits, ahead, self._running)
        runs = self._held.takes_more() and runs
        if runs is not self._running:
            self._running = runs
            self._speed.skip(self._clock.seconds())
            if self._producer is not None:
                if runs:
                    self._producer.resumeProducing()
                else:
                    self._producer.pauseProducing()

    # The origin's side

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._producer = producer
        if not self._running:
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        self._producer = None

    def write(self, data: bytes) -> None:
        if not self._held.limited:
            self._take(data)
            return
        at = 0  # in blocks: they can be dropped one by one, and a reader takes few at once
        while at < len(data) and not self._ended:
            count = BLOCK - self.position % BLOCK
            self._take(data[at : at + count])
            at += count

    def _take(self, data: bytes) -> None:
        if self._ended:
            return
        now = self._clock.seconds()
        if self._latency is None:
            self._latency = now - self._began
        at = self.position
        data = data[: self.stop - at]
        self._speed.count(len(data), now)
        self._held.append(data)
        for follower in tuple(self.followers):
            follower.came(at, data)
        if self._held.crowded:
            self._drop()
        if self.position < self.stop:
            self.pace()
        elif self.stop < self._asked:
            self._cut_off()
        else:
            self._end(None)

    def _failed(self, failure: Failure) -> None:
        error = failure.value
        if not self._ended and not isinstance(error, SourceError | CancelledError):
            self._log.failure("a shared fetch ends by a fault of its own", failure)
        self._end(error if isinstance(error, Exception) else RuntimeError(str(error)))
        self.origin.abort()

    def _delivered(self) -> None:
        early = None
        if self.position < self.stop and not self._draining:
            early = BodyBroken("", "ended before all bytes were delivered")
        self._end(early)
        self.origin.abort()

    def _cut_off(self) -> None:
        """End before the origin does."""
        self._end(None)
        work, self._work = self._work, None
        if work is not None:
            work.addErrback(lambda _: None)
            self._clock.callLater(0, work.cancel)

    def _end(self, error: Exception | None) -> None:
        if self._ended:
            return
        self._ended = True
        self.error = error
        self._grace.close()
        self._backlog.leave(self)
        self._held.end()
        self.decided(self.borrowed)
        self._over(self)
        for follower in tuple(self.followers):
            if follower.at >= self.position:
                self.followers.remove(follower)
                follower.fetch_ended(self, error)
        self._settled()

    def _settled(self) -> None:
        self._drop()
        if not self._ended:
            self.pace()
        elif not self._held.unsettled and not self.followers:
            self._budget.leave(self)
            self._all_settled(self)

    def _drop(self) -> None:
        self._held.drop([each.at for each in self.followers], self._ended)
