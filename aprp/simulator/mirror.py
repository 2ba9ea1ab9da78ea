"""Simulated sources: what they are (frozen descriptions) and how their bytes flow.

A Mirror's connections share its rate, or that of a bottleneck it shares with other mirrors, by
water filling: each gets an equal part, except where its own limit is lower. Rates are constant
between changes, so the flow is exact; bytes are handed over in chunks of about CHUNK_TIME.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from math import inf, sqrt
from random import Random

from aprp.core.scheduling.messages import KIB
from aprp.core.values import dataclass

CHUNK_TIME = 0.01
SMALLEST_CHUNK, LARGEST_CHUNK = 4 * KIB, 64 * KIB
SEGMENT = 1460
INITIAL_WINDOW = 14_600
"""Bytes a new connection may have under way (RFC 6928: ten segments)."""

GROWTH = 0.69
"""Bytes that this window grows by for each byte delivered: it doubles in a latency."""


@dataclass(frozen=True, slots=True)
class Mirror:
    """One simulated source.

    Args:
        name: also the key of its rating.
        rate: bytes a second over all its connections.
        latency: seconds from a request to its first byte; connecting takes as long once more.
        jitter: part of the latency by which it varies at random, up or down.
        per_connection: bytes a second that one connection gets at most.
        connections: how many may be used at once.
        changes: (time, rate) in order of time: from then on the rate is this; 0 is a silent
            stall, in which nothing is answered either.
        dies_at: from then on connections are reset and refused.
        lies_at: from then on responses are for another range.
        bottleneck: mirrors of the same name here share the rate of the first.
        slow_start: whether each new connection has to find its rate.
        loss: the part of its segments that is lost; each loss halves the connection's rate, as
            with Reno.
        shared: whether requests share connections, as over HTTP/2.
    """

    name: str
    rate: float
    latency: float = 0.02
    jitter: float = 0.0
    per_connection: float = inf
    connections: int = 4
    changes: tuple[tuple[float, float], ...] = ()
    dies_at: float = inf
    lies_at: float = inf
    bottleneck: str = ""
    slow_start: bool = False
    loss: float = 0.0
    shared: bool = False

    def rate_at(self, time: float) -> float:
        """Return the rate at that time, in bytes per second."""
        if time >= self.dies_at:
            return 0.0
        index = bisect_right(self.changes, (time, inf)) - 1
        return self.rate if index < 0 else self.changes[index][1]

    def responds_at(self, time: float) -> float:
        """Return when, from ``time`` on, it isn't in a silent stall; infinite for never."""
        if self.rate_at(time) > 0:
            return time
        return next((t for t, rate in self.changes if t > time and rate > 0), inf)


@dataclass(slots=True, eq=False)
class Connection:
    """An open connection; ``carried`` counts the bytes it brought so far, ``load`` the requests
    under way on one that is shared.

    ``window`` is how many bytes it may have under way, which is what it has until the next loss
    is noticed; ``found`` is the window from which it grows by a segment in a latency.
    """

    mirror: Mirror
    carried: float = 0.0
    load: int = 0
    window: float = INITIAL_WINDOW
    found: float = inf
    _halved: float = -inf

    def brought(self, count: float) -> None:
        """Note that bytes came, by which the window grows."""
        self.carried += count
        if self.window < self.found:
            self.window += GROWTH * count
        else:
            self.window += SEGMENT * count / self.window
        self.window = min(self.window, 2 * self.mirror.rate * self.mirror.latency + SEGMENT)

    def lose(self, count: int, now: float, draw: Random) -> None:
        """Halve the window if one of the segments of so many bytes was lost; at most once in a
        latency, since what is lost within it is noticed at once."""
        kept = (1 - self.mirror.loss) ** (count / SEGMENT)
        if draw.random() >= kept and now >= self._halved + self.mirror.latency:
            self._halved = now
            self.window = self.found = max(self.window / 2, 2 * SEGMENT)


@dataclass(slots=True, eq=False)
class Stream:
    """A body on its way: ``left`` bytes on the wire, ``chunk`` of them until the next hand-over,
    ``speed`` as the pipe last had it."""

    attempt: int
    connection: Connection
    left: int
    done: Callable[[Stream, int], None]
    size: int = 0
    chunk: float = 0.0
    speed: float = 0.0

    def limit(self) -> float:
        """The bytes per second that its own connection allows now."""
        mirror = self.connection.mirror
        if not mirror.slow_start:
            return mirror.per_connection
        return min(mirror.per_connection, self.connection.window / mirror.latency)


def loss_limit(latency: float, loss: float) -> float:
    """Return the bytes a second of a TCP connection that loses this part of its segments, by the
    formula of Mathis et al. (1997)."""
    return 1.22 * SEGMENT / (latency * sqrt(loss))


class Pipe:
    """The rate that streams share. ``advance`` moves time on; ``next_time`` says when the next
    chunk is complete."""

    def __init__(self, mirror: Mirror, draw: Random) -> None:
        self._mirror = mirror
        self._random = draw
        self._streams: list[Stream] = []
        self._now = 0.0
        self.version = 0

    def add(self, stream: Stream, now: float) -> None:
        """Start a body."""
        self.advance(now)
        self._streams.append(stream)
        self._share()
        self._next_chunk(stream)

    def drop(self, stream: Stream, now: float) -> None:
        """Remove a body that is over."""
        if stream in self._streams:
            self.advance(now)
            self._streams.remove(stream)
            self._share()

    def advance(self, now: float) -> None:
        """Let the bytes flow until now."""
        for stream in self._streams:
            moved = min(stream.chunk, stream.speed * (now - self._now))
            stream.chunk -= moved
            stream.connection.brought(moved)
        self._now = now
        self._share()

    def carries(self, stream: Stream) -> bool:
        """Return whether the stream is carried here."""
        return stream in self._streams

    def finished(self) -> list[Stream]:
        """Return the streams whose chunk is complete."""
        return [stream for stream in self._streams if stream.chunk < 0.5]

    def hand_over(self, stream: Stream) -> None:
        """Pass the stream's chunk to its reader, and start the next."""
        size, mirror = stream.size, stream.connection.mirror
        if mirror.loss:
            stream.connection.lose(size, self._now, self._random)
        stream.left -= size
        if stream.left > 0:
            self._next_chunk(stream)
        else:
            self._streams.remove(stream)
            self._share()
        stream.done(stream, size)

    def next_time(self) -> float:
        """Return when the next chunk will be complete if nothing changes; infinite for never."""
        return min(
            (self._now + s.chunk / s.speed for s in self._streams if s.speed > 0), default=inf
        )

    def _next_chunk(self, stream: Stream) -> None:
        size = min(max(stream.speed * CHUNK_TIME, SMALLEST_CHUNK), LARGEST_CHUNK)
        stream.size = min(int(size), stream.left)
        stream.chunk = float(stream.size)

    def _share(self) -> None:
        """Share the rate among connections; what a connection gets is its first stream's."""
        first: dict[Connection, Stream] = {}
        for stream in self._streams:
            first.setdefault(stream.connection, stream)
            stream.speed = 0.0
        rest, count = self._mirror.rate_at(self._now), len(first)
        for stream in sorted(first.values(), key=lambda s: (s.limit(), s.attempt)):
            stream.speed = min(stream.limit(), rest / count)
            rest -= stream.speed
            count -= 1
        self.version += 1
