"""The clock, the arbiter, the mirrors and the connections that simulated transfers share.

Events lie on one heap, in order of time and then of their coming; the same seed gives the same run.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from itertools import count
from math import inf
from random import Random
from typing import Protocol

from aprp.core.http2.sharing import carrier
from aprp.core.scheduling import messages as m
from aprp.core.scheduling.arbiter import Arbiter, Grant
from aprp.core.scheduling.ratings import Ratings
from aprp.simulator.mirror import Connection, Mirror, Pipe, Stream


class SharingTransfer(Hashable, Protocol):
    """A transfer, as the network sees it."""

    @property
    def over(self) -> bool: ...

    def granted(self, source: str) -> None: ...

    def fail_all(self, mirror: Mirror, end: m.End) -> None: ...


class Network:
    """The mirrors and the network to them.

    Args:
        mirrors: the sources.
        seed: of everything random.
        ratings: what is known from before; None for nothing.
    """

    def __init__(
        self, mirrors: Sequence[Mirror], seed: int = 0, ratings: Ratings | None = None
    ) -> None:
        self.mirrors = {mirror.name: mirror for mirror in mirrors}
        self.ratings = ratings or Ratings()
        self.arbiter = Arbiter()
        self.idle: dict[str, list[Connection]] = {mirror.name: [] for mirror in mirrors}
        self.shared: dict[str, list[Connection]] = {mirror.name: [] for mirror in mirrors}
        self.connections = 0
        """Connections opened so far."""
        self.now = 0.0
        self._random = Random(seed)
        self._pipes: dict[str, Pipe] = {}
        for mirror in mirrors:
            name = mirror.bottleneck or mirror.name
            self._pipes.setdefault(name, Pipe(mirror, self._random))
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._turns = count()
        self._transfers: dict[Hashable, SharingTransfer] = {}

    def join(self, transfer: SharingTransfer) -> None:
        """Add a transfer, which gets grants and failures from now on."""
        self._transfers[transfer] = transfer

    def at(self, time: float, act: Callable[[], None]) -> None:
        """Schedule a call for that time."""
        heapq.heappush(self._heap, (time, next(self._turns), act))

    def run(self, limit: float) -> None:
        """Run until every transfer is over, or ``limit`` seconds have passed."""
        while self._heap and not all(transfer.over for transfer in self._transfers.values()):
            time, _, act = heapq.heappop(self._heap)
            if time > limit:
                break
            self.now = time
            act()

    def begin(self) -> None:
        """Schedule what will happen to the mirrors."""
        for mirror in self.mirrors.values():
            for time, _ in mirror.changes:
                self.at(time, partial(self._changed, mirror))
            if mirror.dies_at < inf:
                self.at(mirror.dies_at, partial(self._fail_all, mirror, m.End.BROKEN))
            if mirror.lies_at < inf:
                self.at(mirror.lies_at, partial(self._fail_all, mirror, m.End.LIED))

    def ready(self, mirror: Mirror, lanes: int) -> bool:
        """Return whether no connection has to be opened for the next request; ``lanes`` is how many
        those that share connections are spread over."""
        if not mirror.shared:
            return bool(self.idle[mirror.name])
        return self._carrier(mirror, lanes) is not None

    def opened(self, connection: Connection) -> None:
        """A connection was opened."""
        mirror = connection.mirror
        (self.shared if mirror.shared else self.idle)[mirror.name].append(connection)
        self.connections += 1

    def take(self, mirror: Mirror, lanes: int) -> Connection:
        """Return the connection for the next request; there is one."""
        if not mirror.shared:
            return self.idle[mirror.name].pop()
        best, there = self._carrier(mirror, lanes), self.shared[mirror.name]
        connection = min(there, key=lambda each: each.load) if best is None else there[best]
        connection.load += 1
        return connection

    def answered(self, connection: Connection) -> None:
        """A response is complete, and its connection good for another."""
        if not connection.mirror.shared:
            self.idle[connection.mirror.name].append(connection)

    def ended(self, connection: Connection) -> None:
        """A request has ended in any way."""
        connection.load -= 1

    def _carrier(self, mirror: Mirror, lanes: int) -> int | None:
        return carrier([each.load for each in self.shared[mirror.name]], lanes)

    def latency(self, mirror: Mirror) -> float:
        """Return the seconds of one round trip, drawn at random each time."""
        return mirror.latency * (1 + mirror.jitter * self._random.uniform(-1, 1))

    def pass_on(self, grants: Sequence[Grant]) -> None:
        """Pass granted slots on to their transfers."""
        for grant in grants:
            self._transfers[grant.transfer].granted(grant.source)

    def carry(self, stream: Stream) -> None:
        """Start a body."""
        self._pipe(stream.connection.mirror).add(stream, self.now)
        self._schedule(stream.connection.mirror)

    def drop(self, stream: Stream) -> None:
        """Remove a body that is over."""
        self._pipe(stream.connection.mirror).drop(stream, self.now)
        self._schedule(stream.connection.mirror)

    def _pipe(self, mirror: Mirror) -> Pipe:
        return self._pipes[mirror.bottleneck or mirror.name]

    def _schedule(self, mirror: Mirror) -> None:
        pipe = self._pipe(mirror)
        time, version = pipe.next_time(), pipe.version
        if time < inf:
            self.at(max(time, self.now), lambda: self._flow(pipe, version, mirror))

    def _flow(self, pipe: Pipe, version: int, mirror: Mirror) -> None:
        if pipe.version != version:
            return
        pipe.advance(self.now)
        for stream in pipe.finished():
            if pipe.carries(stream):
                pipe.hand_over(stream)
        self._schedule(mirror)

    def _changed(self, mirror: Mirror) -> None:
        self._pipe(mirror).advance(self.now)
        self._schedule(mirror)

    def _fail_all(self, mirror: Mirror, end: m.End) -> None:
        self.idle[mirror.name].clear()
        self.shared[mirror.name].clear()
        for transfer in self._transfers.values():
            transfer.fail_all(mirror, end)
