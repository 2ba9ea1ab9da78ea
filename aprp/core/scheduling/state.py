"""The state of one transfer: which bytes are held, which are requested, and from which source.

Rules:
- ``unrequested`` is what is missing and not covered by an attempt, other than doubted ones;
- at most two attempts cover any byte;
- a byte is kept when it first arrives, from whichever attempt;
- an attempt in whose range nothing is missing any longer is over;
- with pieces, the client may have what is ready and verified, otherwise all that is ready.
"""

from __future__ import annotations

from collections.abc import Iterator

from aprp.core.http.ranges import MAX
from aprp.core.scheduling.attempt_state import AttemptState
from aprp.core.scheduling.blocks import edge_before
from aprp.core.scheduling.messages import KIB
from aprp.core.scheduling.outlook import Outlooks
from aprp.core.scheduling.source_state import SourceState
from aprp.core.spans import Spans

ENDLESS = MAX + 1
"""The end of a file of unknown length: beyond every position that can be read."""

BASE_WASTE = 512 * KIB
"""Bytes that may be wasted, however few are held."""


class TransferState:
    """Offsets of one transfer. ``stop`` is ENDLESS until the end is known.

    ``taken`` is the next byte owed to the client, ``ready`` the first after it that is missing,
    ``edge`` the end of what may be requested now, ``window`` its distance from ``taken`` when
    nothing clips it, ``slack`` the seconds until the client has taken all that is ready.
    ``piece`` is the length of the file's pieces, None if it has none, and ``verified`` where the
    verified ones end.
    ``returned`` counts how often bytes were put back, ``wasted`` the bytes that came and weren't
    needed, or were on their way when their attempt was abandoned. While a plan is made,
    ``outlooks`` is there: then forecasts are worked out once, until something changes.
    """

    def __init__(
        self, sources: list[SourceState], start: int, stop: int, piece: int | None = None
    ) -> None:
        self.sources = {source.name: source for source in sources}
        self.start = start
        self.stop = stop
        self.piece = piece
        self.verified = start
        self.taken = start
        self.ready = start
        self.edge = start
        self.window = 0
        self.slack = 0.0
        self.missing = Spans((start, stop))
        self.unrequested = Spans((start, stop))
        self.attempts: dict[int, AttemptState] = {}
        self.returned = 0
        self.wasted = 0.0
        self.outlooks: Outlooks | None = None
        self._numbers = 0

    @property
    def known(self) -> bool:
        """Whether the end of the range is known."""
        return self.stop != ENDLESS

    @property
    def deliverable(self) -> int:
        """The offset up to which the client may take bytes."""
        return self.ready if self.piece is None else min(self.verified, self.ready)

    def kept_to(self, count: int) -> int:
        """Return how far a paused client's bytes are kept: ``count`` of them, or its piece."""
        if self.piece is None:
            return self.taken + count
        return (self.taken // self.piece + 1) * self.piece

    @property
    def head(self) -> AttemptState | None:
        """The attempt that is likeliest to bring the byte at ``ready``."""
        best: AttemptState | None = None
        for attempt in self.attempts.values():
            if attempt.at <= self.ready < attempt.stop and (
                best is None or (best.doubted, -best.at) > (attempt.doubted, -attempt.at)
            ):
                best = attempt
        return best

    def buffered(self) -> int:
        """The number of bytes held and not taken."""
        return self.stop - self.taken - self.missing.size

    def in_flight(self) -> int:
        """The number of missing bytes that attempts cover."""
        spans = Spans(*((a.at, a.stop) for a in self.attempts.values()))
        return sum(self.missing.count(start, stop) for start, stop in spans)

    def keep_outlooks(self, on: bool) -> None:
        """Keep the forecasts that are made from now on, or no longer: those of before are void."""
        self.outlooks = Outlooks() if on else None

    def look_anew(self) -> None:
        """Make new forecasts: something has changed."""
        if self.outlooks is not None:
            self.outlooks = Outlooks()

    def begin(
        self,
        source: SourceState,
        start: int,
        stop: int,
        now: float,
        *,
        warm: bool,
        took_over: bool = False,
    ) -> AttemptState:
        """Begin an attempt at ``[start, stop)``."""
        self._numbers += 1
        attempt = AttemptState(
            self._numbers, source.name, start, stop, stop, start, now, now, warm, took_over
        )
        self.attempts[attempt.number] = attempt
        source.attempts.append(attempt)
        self.unrequested.remove(start, stop)
        return attempt

    def end(self, attempt: AttemptState) -> None:
        """Remove the attempt; what it hasn't delivered may be requested again."""
        del self.attempts[attempt.number]
        self.sources[attempt.source].attempts.remove(attempt)
        if not attempt.doubted:
            self._give_back(attempt.at, attempt.stop)

    def doubt(self, attempt: AttemptState) -> None:
        """Keep the attempt, but allow its bytes to be requested from other sources."""
        attempt.doubted = True
        self._give_back(attempt.at, attempt.stop)

    def believe(self, attempt: AttemptState) -> None:
        """Trust a doubted attempt again, for the bytes not requested from another source."""
        attempt.doubted = False
        stop = attempt.at
        for start, end in self._wanted_of(attempt):
            if start > stop and self.missing.count(stop, start):
                break
            stop = end
        self.unrequested.remove(attempt.at, stop)
        attempt.stop = max(attempt.at, stop)

    def cut(self, attempt: AttemptState, stop: int) -> None:
        """Move the attempt's end to ``stop``; what lies after it may be requested again."""
        old, attempt.stop = attempt.stop, stop
        self._give_back(stop, old)

    def receive(self, attempt: AttemptState, count: int) -> list[tuple[int, int]]:
        """Take ``count`` bytes that came; return the parts of them that are new."""
        start, attempt.at = attempt.at, attempt.at + count
        fresh = list(self.missing.within(start, min(attempt.at, attempt.stop)))
        self.wasted += count
        for low, high in fresh:
            self.wasted -= high - low
            self.missing.remove(low, high)
            self.unrequested.remove(low, high)
        if fresh and fresh[0][0] == self.ready:
            self.advance()
        return fresh

    def take(self, count: int) -> None:
        """Move ``taken`` on by ``count`` bytes, all of which are ready and verified."""
        if count < 0 or self.taken + count > self.deliverable:
            ready = self.deliverable - self.taken
            raise ValueError(f"the client can't have taken {count} bytes of {ready} ready")
        self.taken += count

    def verify(self, stop: int) -> None:
        """Note that all bytes before ``stop`` are verified."""
        self.verified = stop

    def look_ahead(self, window: int, rate: float) -> None:
        """Set how far ahead may be requested, for a client that takes ``rate`` bytes a second."""
        self.window = window
        self.edge = min(self.stop, self.taken + window)
        if self.edge < self.stop and edge_before(self.edge) > self.taken:
            self.edge = edge_before(self.edge)
        self.slack = (self.ready - self.taken) / rate

    def waste(self, count: float) -> None:
        """Count bytes that are in flight for an attempt that is abandoned."""
        self.wasted += count

    def advance(self) -> None:
        """Move ``ready`` to the first byte that is missing."""
        first = self.missing.first(self.taken, self.stop)
        self.ready = self.stop if first is None else first[0]

    def may_waste(self, count: float, part: float) -> bool:
        """Return whether ``count`` more wasted bytes stay within that part of what is held."""
        held = self.taken - self.start + self.buffered()
        return self.wasted + count <= BASE_WASTE + part * held

    def forget(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Drop what is held of ``[start, stop)``; return the parts that were held."""
        held = Spans((start, stop))
        for low, high in self.missing.within(start, stop):
            held.remove(low, high)
        for low, high in held:
            self.missing.add(low, high)
            self._give_back(low, high)
        self.advance()
        self.verified = min(self.verified, max(start, self.taken))
        return list(held)

    def limit(self, stop: int) -> list[AttemptState]:
        """Set the end to ``stop``; return the attempts that went beyond it and now end there."""
        for spans in (self.missing, self.unrequested):
            spans.remove(stop, self.stop)
            spans.add(self.stop, stop)
        self.stop = stop
        self.edge = min(self.edge, stop)
        self.advance()
        beyond = [attempt for attempt in self.attempts.values() if attempt.stop > stop]
        for attempt in beyond:
            attempt.stop = stop
        return beyond

    def trim(self, attempt: AttemptState) -> int:
        """Return the end of what is missing in the attempt's range; its ``at`` if nothing is."""
        last = self.missing.last(attempt.at, attempt.stop)
        return attempt.at if last is None else last[1]

    def others_over(self, attempt: AttemptState, start: int, stop: int) -> Iterator[AttemptState]:
        """Yield the other attempts that cover a part of ``[start, stop)``."""
        for other in list(self.attempts.values()):
            if other is not attempt and other.at < stop and start < other.stop:
                yield other

    def covered(self, start: int, stop: int) -> int:
        """Return the largest number of attempts that cover one byte of ``[start, stop)``."""
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
        return self.unrequested.within(attempt.at, attempt.stop)

    def _give_back(self, start: int, stop: int) -> None:
        free = Spans(*self.missing.within(start, stop))
        for other in self.attempts.values():
            if not other.doubted:
                free.remove(other.at, other.stop)
        for low, high in free:
            self.unrequested.add(low, high)
            self.returned += 1
