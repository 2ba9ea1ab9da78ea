"""One simulated transfer: the real scheduler, its attempts and its client.

What a server sent before it learned of an abort counts as wasted: a latency's worth.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial
from math import inf

from aprp.core.reasons import reason
from aprp.core.scheduling import messages as m
from aprp.core.scheduling.messages import KIB
from aprp.core.scheduling.openings import Openings
from aprp.core.scheduling.scheduler import Scheduler
from aprp.core.scheduling.settings import SchedulingSettings
from aprp.core.spans import Spans
from aprp.simulator.mirror import Connection, Mirror, Stream
from aprp.simulator.network import Network
from aprp.simulator.trace import Line, Trace

CONNECT_TIMEOUT = 5.0
TIMEOUT = 10.0
"""Seconds of silence after which the driver ends an attempt, as the daemon does."""

_TAKE = 32 * KIB


def static_delay(mirror: Mirror, mirrors: Sequence[Mirror]) -> int:
    """Blocks that a careful user of ``delay: static`` would give for the mirror: those that the
    fastest delivers while this one delivers one."""
    return min(20, int(max(other.rate for other in mirrors) / mirror.rate - 1))


class SimulatedTransfer:
    """A transfer of ``[0, size)``, whose clock and mirrors are the network's.

    Args:
        network: that it's part of.
        size: bytes of the file.
        settings: the scheduler's.
        drain: bytes a second that the client takes.
        know_length: whether the length is known before the first response.

    Raises:
        AssertionError: on the way: the scheduler broke a promise (a byte kept twice, a zero timer).
    """

    def __init__(
        self,
        network: Network,
        size: int,
        settings: SchedulingSettings,
        *,
        drain: float = inf,
        know_length: bool = False,
    ) -> None:
        mirrors = tuple(network.mirrors.values())
        self._network = network
        self._mirrors = network.mirrors
        self._sources = {
            mirror.name: m.Source(
                mirror.name,
                connections=mirror.connections,
                static_delay=static_delay(mirror, mirrors),
            )
            for mirror in mirrors
        }
        self._scheduler = Scheduler(
            list(self._sources.values()),
            0,
            None,
            network.ratings,
            settings,
            length=size if know_length else None,
        )
        self._drain = drain
        self._size = size
        self._streams: dict[int, Stream] = {}
        self._attempts: dict[int, tuple[Connection, float]] = {}  # and the time of its head
        self._openings = Openings()
        self._heard_at: dict[int, float] = {}
        self._queue: deque[m.Event] = deque()
        self._tick: float | None = None
        self._kept = Spans()
        self._client_busy = False
        self.trace = Trace(size, mirrors)
        network.join(self)

    def begin(self) -> None:
        """Start the transfer now."""
        self._send(m.Started())

    @property
    def over(self) -> bool:
        """Whether it's done or has failed."""
        return self.trace.done < inf or self.trace.failed is not None

    @property
    def left_behind(self) -> list[int]:
        """The attempts still in progress."""
        return sorted(self._attempts)

    @property
    def _now(self) -> float:
        return self._network.now

    def _send(self, event: m.Event) -> None:
        """Pass events to the scheduler, one after the other, and carry out its actions."""
        self._queue.append(event)
        if len(self._queue) > 1:
            return
        while self._queue:
            for action in self._scheduler.handle(self._now, self._queue[0]):
                self._do(action)
            self._queue.popleft()
            if not self._queue:
                self._client()
        self._arm()

    def _arm(self) -> None:
        deadline = self._scheduler.next_deadline()
        if deadline is None or deadline == self._tick:
            return
        if deadline <= self._now:
            raise AssertionError(f"deadline {deadline} isn't after {self._now}")
        self._tick = deadline
        self._network.at(deadline, lambda: self._ticked(deadline))

    def _ticked(self, deadline: float) -> None:
        if self._tick == deadline:
            self._tick = None
            self._send(m.TimePassed())

    def _do(self, action: m.Action) -> None:
        match action:
            case m.WantSlot(name, urgency):
                if self._openings.want(name):
                    self._network.pass_on(
                        self._network.arbiter.want(self, self._sources[name], urgency)
                    )
            case m.WithdrawWant(name):
                self._openings.withdraw(name)
                self._network.arbiter.withdraw(self, name)
            case m.ReleaseSlot(name):
                self._network.pass_on(self._network.arbiter.release(self, name))
            case m.Fetch():
                self._fetch(action)
            case m.Abandon(number):
                self._abandon(number)
            case m.Keep(number, start, stop):
                self._keep(number, start, stop)
            case m.Forget(start, stop):
                self._kept.remove(start, stop)
            case m.Done():
                self.trace.done = self._now
            case m.Fail(reasons):
                self.trace.failed = tuple((source, str(why)) for source, why in reasons)

    def granted(self, source: str) -> None:
        """Open a connection if none is idle, then pass the grant on."""
        mirror = self._mirrors[source]
        if self._network.ready(mirror, self._lanes(source)):
            self._send(m.Granted(source, ready=True))
            return
        took = self._network.latency(mirror)
        dead = self._now >= mirror.dies_at
        when = (self._now if dead else mirror.responds_at(self._now)) + took
        took = min(when - self._now, CONNECT_TIMEOUT)
        self._openings.begin(source)
        self._network.at(self._now + took, partial(self._connected, mirror, took))

    def _lanes(self, source: str) -> int:
        return self._scheduler.lanes(source, self._now)

    def _connected(self, mirror: Mirror, took: float) -> None:
        wanted = self._openings.end(mirror.name)
        good = self._now < mirror.dies_at and took < CONNECT_TIMEOUT
        if good:
            self._network.opened(Connection(mirror))
        if good and wanted:
            self._send(m.Granted(mirror.name, ready=True, connect=took))
            return
        grants = self._network.arbiter.release(self, mirror.name)
        if not good:
            self._send(m.ConnectFailed(mirror.name, reason("made no connection")))
        self._network.pass_on(grants)

    # Requests and responses

    def _fetch(self, fetch: m.Fetch) -> None:
        mirror = self._mirrors[fetch.source]
        self.trace.requests += 1
        self.trace.lines[fetch.attempt] = Line(fetch.source, [(self._now, fetch.start)])
        connection = self._network.take(mirror, self._lanes(mirror.name))
        latency = self._network.latency(mirror)
        head = mirror.responds_at(self._now) + latency
        if mirror.responds_at(head) > head:
            head = mirror.responds_at(head) + latency
        self._attempts[fetch.attempt] = (connection, head)
        self._heard_at[fetch.attempt] = self._now
        if head < inf:
            self._network.at(head, lambda: self._head(fetch, connection))
        if mirror.changes:
            self._network.at(self._now + TIMEOUT, lambda: self._watch(fetch.attempt))

    def _head(self, fetch: m.Fetch, connection: Connection) -> None:
        number = fetch.attempt
        if number not in self._attempts:
            return
        mirror = connection.mirror
        self._heard_at[number] = self._now
        if self._now >= mirror.lies_at:
            self._end(number, m.End.LIED, "another range than was asked")
            return
        if fetch.start >= self._size:
            self._network.answered(connection)
            self._end(number, m.End.BEYOND, "416", length=self._size)
            return
        stop = min(fetch.stop, self._size)
        self.trace.lines[number].points.append((self._now, fetch.start))
        stream = Stream(number, connection, stop - fetch.start, self._chunk)
        self._streams[number] = stream
        self._network.carry(stream)
        shared = connection if mirror.shared else None
        self._send(m.HeadCame(number, fetch.start, stop, self._size, connection=shared))

    def _chunk(self, stream: Stream, size: int) -> None:
        number = stream.attempt
        if stream.left <= 0:
            del self._streams[number]
        self._heard_at[number] = self._now
        points = self.trace.lines[number].points
        points.append((self._now, points[-1][1] + size))
        self.trace.wasted += size
        self._send(m.BytesCame(number, size))
        if stream.left <= 0 and number in self._attempts:
            self._network.answered(stream.connection)
            self._end(number, m.End.COMPLETED)

    def _abandon(self, number: int) -> None:
        connection, head = self._attempts[number]
        mirror = connection.mirror
        stream = self._streams.get(number)
        speed = stream.speed if stream else min(mirror.rate_at(self._now), mirror.per_connection)
        under_way = speed * min(max(self._now - head + mirror.latency, 0.0), mirror.latency)
        self.trace.wasted += min(under_way, stream.left) if stream else under_way
        self._drop(number)

    def _end(self, number: int, end: m.End, why: str = "", length: int | None = None) -> None:
        if number in self._attempts:
            self._drop(number, m.Ended(number, end, reason(why) if why else None, length=length))

    def _drop(self, number: int, event: m.Ended | None = None) -> None:
        connection, _ = self._attempts.pop(number)
        self._network.ended(connection)
        stream = self._streams.pop(number, None)
        if stream is not None:
            self._network.drop(stream)
        grants = self._network.arbiter.release(self, connection.mirror.name)
        if event is not None:
            self._send(event)
        self._network.pass_on(grants)

    def _keep(self, number: int, start: int, stop: int) -> None:
        if self._kept.count(start, stop):
            raise AssertionError(f"attempt {number}: bytes of [{start}, {stop}) kept twice")
        self._kept.add(start, stop)
        self.trace.wasted -= stop - start
        self.trace.buffer = max(self.trace.buffer, self._kept.size - self._scheduler.taken)

    def fail_all(self, mirror: Mirror, end: m.End) -> None:
        """End every attempt at the mirror in this way."""
        for number, (connection, _) in list(self._attempts.items()):
            if connection.mirror is mirror:
                self._end(number, end)

    def _watch(self, number: int) -> None:
        heard = self._heard_at[number]
        if number not in self._attempts:
            return
        if self._now >= heard + TIMEOUT:
            self._end(number, m.End.BROKEN, "timed out")
        else:
            self._network.at(heard + TIMEOUT, lambda: self._watch(number))

    # The client

    def _client(self) -> None:
        ready = self._scheduler.ready - self._scheduler.taken
        if not ready or self._client_busy or self.over:
            return
        if self._drain == inf:
            self._took(ready)
            return
        self._client_busy = True
        size = min(ready, _TAKE)
        self._network.at(self._now + size / self._drain, lambda: self._took(size))

    def _took(self, size: int) -> None:
        self._client_busy = False
        start = self._scheduler.taken
        if self._kept.count(start, start + size) != size:
            raise AssertionError(f"[{start}, {start + size}) is ready but wasn't kept")
        self.trace.delivered.append((self._now, start + size))
        self._send(m.ClientTook(size))
