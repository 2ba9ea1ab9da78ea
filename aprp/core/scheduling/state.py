"""The state of one transfer: which bytes are held, which are asked of whom, which of neither.

Rules:
- ``unasked`` is what is missing and not covered by an attempt that is believed in;
- at most two attempts cover any byte;
- a byte is kept when it first comes, from whichever attempt;
- an attempt that has nothing missing before it is over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from aprp.core.http.ranges import MAX
from aprp.core.scheduling.messages import KIB, Source, Urgency
from aprp.core.scheduling.ratings import Rating
from aprp.core.scheduling.spans import Spans

ENDLESS = MAX + 1
"""Stands for the end of a file whose length isn't known: beyond every position that can be read."""

BASE_WASTE = 512 * KIB
"""Bytes that may be fetched in vain however little was needed."""


@dataclass(slots=True, eq=False)
class AttemptState:
    """One fetch of ``[start, stop)``; ``wire_stop`` is the end that was asked of the source.

    ``at`` is the next byte to come, ``since`` when it was asked, ``began`` when its head came,
    ``life`` its last sign of life. A ``second`` one took over a part of another. A doubted one
    has been silent for too long: its bytes are in the pool again, though they are still taken if
    they come.
    """

    number: int
    source: str
    start: int
    stop: int
    wire_stop: int
    at: int
    since: float
    life: float
    warm: bool
    began: float | None = None
    doubted: bool = False
    second: bool = False

    @property
    def left(self) -> int:
        """Bytes it has still to bring."""
        return max(0, self.stop - self.at)


@dataclass(slots=True, eq=False)
class SourceState:
    """What this transfer knows of one of its sources.

    ``wanted`` is how badly a slot is wanted and ``wanted_since`` when first,
    ``claim_until`` how long others leave it a block meanwhile, ``in_hand`` that an open
    connection is waiting to be told what to fetch, ``opened_ahead`` that one was asked for before
    there was anything to fetch on it (once in a transfer, whatever comes of it).
    ``failures`` counts those since its last byte, ``silences`` the attempts doubted since then,
    ``lasting`` marks one that lied or hasn't the file, ``barred`` that others are left beside it,
    ``parked`` that it named the time ``retry_at``, before which no failing source is asked.
    ``chunk_at`` is when its last bytes came, ``flows`` how many attempts were streaming then, and
    ``flowed`` how many before, while those bytes were coming.
    ``blocks`` and ``seen`` are for the older policies: blocks it delivered, and blocks that all
    had delivered when it last asked.
    """

    spec: Source
    rating: Rating
    order: int
    attempts: list[AttemptState] = field(default_factory=list)
    wanted: Urgency | None = None
    wanted_since: float = 0.0
    claim_until: float = 0.0
    in_hand: bool = False
    opened_ahead: bool = False
    failures: int = 0
    silences: int = 0
    lasting: bool = False
    barred: bool = False
    parked: bool = False
    retry_at: float = 0.0
    reason: str = ""
    chunk_at: float | None = None
    flows: int = 0
    flowed: int = 1
    blocks: int = 0
    seen: int | None = None

    @property
    def name(self) -> str:
        """The name of the source."""
        return self.spec.name

    @property
    def spare(self) -> bool:
        """It may have more connections than make it faster: one can wait for the next block."""
        return self.lanes < self.spec.connections

    @property
    def lanes(self) -> int:
        """Connections that make it faster; other routes may allow more of them than this one."""
        return min(self.rating.lanes, self.spec.connections)

    @property
    def silent(self) -> bool:
        """It owes bytes and nobody believes that they come."""
        return any(attempt.doubted for attempt in self.attempts)

    @property
    def streaming(self) -> int:
        """How many of its attempts have had their response head."""
        return sum(attempt.began is not None for attempt in self.attempts)

    def usable(self, now: float) -> bool:
        """It may be asked now, and others may count on it."""
        if self.wanted is not None and now >= self.claim_until:
            return False
        return self.retry_at <= now and not self.silent and not self.barred


class TransferState:
    """Offsets of one transfer. ``stop`` is ENDLESS until the end is known.

    ``taken`` is the next byte owed to the client, ``ready`` the first after it that is missing,
    ``edge`` the end of what may be asked now, ``window`` its distance from ``taken`` when nothing
    clips it, ``slack`` the seconds until the client has taken all that is ready. ``returned``
    counts how often bytes were put back, ``vain`` the bytes that came and weren't needed, or were
    on their way when their attempt was abandoned.
    """

    def __init__(self, sources: list[SourceState], start: int, stop: int) -> None:
        self.sources = {source.name: source for source in sources}
        self.start = start
        self.stop = stop
        self.taken = start
        self.ready = start
        self.edge = start
        self.window = 0
        self.slack = 0.0
        self.missing = Spans((start, stop))
        self.unasked = Spans((start, stop))
        self.attempts: dict[int, AttemptState] = {}
        self.returned = 0
        self.vain = 0.0
        self._numbers = 0

    @property
    def known(self) -> bool:
        """Whether the end of the range is known."""
        return self.stop != ENDLESS

    @property
    def head(self) -> AttemptState | None:
        """The attempt that will bring the byte at ``ready``, the likeliest first."""
        best: AttemptState | None = None
        for attempt in self.attempts.values():
            if attempt.at <= self.ready < attempt.stop and (
                best is None or (best.doubted, -best.at) > (attempt.doubted, -attempt.at)
            ):
                best = attempt
        return best

    def buffered(self) -> int:
        """Bytes held and not taken."""
        return self.stop - self.taken - self.missing.size

    def in_flight(self) -> int:
        """Missing bytes that some attempt will bring."""
        spans = Spans(*((a.at, a.stop) for a in self.attempts.values()))
        return sum(self.missing.count(start, stop) for start, stop in spans)

    def begin(
        self, source: SourceState, start: int, stop: int, now: float, *, warm: bool
    ) -> AttemptState:
        """A new attempt at ``[start, stop)``."""
        self._numbers += 1
        attempt = AttemptState(self._numbers, source.name, start, stop, stop, start, now, now, warm)
        self.attempts[attempt.number] = attempt
        source.attempts.append(attempt)
        self.unasked.remove(start, stop)
        return attempt

    def end(self, attempt: AttemptState) -> None:
        """The attempt is over; what it owed goes back to the pool."""
        del self.attempts[attempt.number]
        self.sources[attempt.source].attempts.remove(attempt)
        if not attempt.doubted:
            self._give_back(attempt.at, attempt.stop)

    def doubt(self, attempt: AttemptState) -> None:
        """The attempt stays, but its bytes may be asked of others."""
        attempt.doubted = True
        self._give_back(attempt.at, attempt.stop)

    def believe(self, attempt: AttemptState) -> None:
        """A doubted attempt gave a sign of life: it keeps what nobody else was asked for."""
        attempt.doubted = False
        stop = attempt.at
        for start, end in self._wanted_of(attempt):
            if start > stop and self.missing.count(stop, start):
                break
            stop = end
        self.unasked.remove(attempt.at, stop)
        attempt.stop = max(attempt.at, stop)

    def cut(self, attempt: AttemptState, stop: int) -> None:
        """The attempt's end becomes ``stop``; what lies behind goes back to the pool."""
        old, attempt.stop = attempt.stop, stop
        self._give_back(stop, old)

    def receive(self, attempt: AttemptState, count: int) -> list[tuple[int, int]]:
        """``count`` bytes came; the parts of them that are new."""
        start, attempt.at = attempt.at, attempt.at + count
        fresh = list(self.missing.within(start, min(attempt.at, attempt.stop)))
        self.vain += count
        for low, high in fresh:
            self.vain -= high - low
            self.missing.remove(low, high)
            self.unasked.remove(low, high)
        if fresh and fresh[0][0] == self.ready:
            self.advance()
        return fresh

    def advance(self) -> None:
        """Find ``ready`` anew."""
        first = self.missing.first(self.taken, self.stop)
        self.ready = self.stop if first is None else first[0]

    def may_waste(self, count: float, part: float) -> bool:
        """Whether ``count`` bytes more in vain stay within that part of what is held."""
        held = self.taken - self.start + self.buffered()
        return self.vain + count <= BASE_WASTE + part * held

    def forget(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Of ``[start, stop)`` nothing is held any longer; the parts that were."""
        held = Spans((start, stop))
        for low, high in self.missing.within(start, stop):
            held.remove(low, high)
        for low, high in held:
            self.missing.add(low, high)
            self._give_back(low, high)
        self.advance()
        return list(held)

    def limit(self, stop: int) -> None:
        """The end turns out to be ``stop``: nothing lies behind it."""
        self.missing.remove(stop, self.stop)
        self.unasked.remove(stop, self.stop)
        self.stop = stop
        self.edge = min(self.edge, stop)
        self.advance()

    def trim(self, attempt: AttemptState) -> int:
        """Where the attempt may end since others have brought the rest; its ``at`` if nothing is
        missing before it."""
        last = self.missing.last(attempt.at, attempt.stop)
        return attempt.at if last is None else last[1]

    def others_over(self, attempt: AttemptState, start: int, stop: int) -> Iterator[AttemptState]:
        """Attempts besides this one that cover a part of ``[start, stop)``."""
        for other in list(self.attempts.values()):
            if other is not attempt and other.at < stop and start < other.stop:
                yield other

    def covered(self, start: int, stop: int) -> int:
        """The most attempts that cover any one byte of ``[start, stop)``."""
        marks = sorted(
            mark
            for a in self.attempts.values()
            if max(a.at, start) < min(a.stop, stop)
            for mark in ((max(a.at, start), 1), (min(a.stop, stop), -1))
        )
        most = depth = 0
        for _, step in marks:
            depth += step
            most = max(most, depth)
        return most

    def _wanted_of(self, attempt: AttemptState) -> Iterator[tuple[int, int]]:
        return self.unasked.within(attempt.at, attempt.stop)

    def _give_back(self, start: int, stop: int) -> None:
        free = Spans(*self.missing.within(start, stop))
        for other in self.attempts.values():
            if not other.doubted:
                free.remove(other.at, other.stop)
        for low, high in free:
            self.unasked.add(low, high)
            self.returned += 1
