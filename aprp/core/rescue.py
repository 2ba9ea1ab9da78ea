"""Duplicate requests, our own: what is asked a second time because it's late.

Rules:
- when the head block needs more than LATE and another source would have it in half the time, the
  other gets its suffix, and the first attempt's end is cut back to where both are done at once;
- a block that turns out to take far longer than blocks should is cut back, and what was behind
  goes to whoever is free;
- when nothing is left to ask for, a source that is free takes over the suffix of the attempt
  that would be the last to finish (as the end game of other downloaders, but nothing is fetched
  twice), if that saves more time than is lost by what the other has already sent;
- an attempt silent for longer than its source ever was gives its bytes back to the pool, wherever
  they lie. Should it wake up, it keeps what nobody else was asked for; it's dropped when another
  is asked for its next byte. No timeout is waited for (Dean and Barroso, The Tail at Scale, 2013:
  hedged and tied requests);
- a head that nobody is about to ask for is asked for at once, on a further connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from aprp.core import blocks, forecast
from aprp.core.board import Attempt, Board, Place
from aprp.core.messages import KIB

LATE = 0.3
SPARE = 0.003
"""Part of the bytes held that may be fetched in vain for the sake of speed ..."""

NEED = 0.02
"""... and of a client that waits."""

SILENT = 0.15
UNKNOWN_SILENT = 0.75
UNANSWERED = 3.0
_OVERLONG = 2
_CHUNK = 16 * KIB
_GAIN = 0.005
_SOON = 0.05


@dataclass(frozen=True, slots=True)
class Second:
    """A range to ask though it's asked already, and where that attempt ends from then on; an
    attempt that is cut to its next byte is abandoned."""

    start: int
    stop: int
    first: Attempt | None = None


class AdaptiveRescue:
    """The policy ``duplicate: adaptive``; see the module for its rules."""

    def choose(self, board: Board, place: Place, now: float) -> Second | None:
        """What the place should be asked for before anything else; None for nothing special."""
        if len(place.attempts) >= place.source.connections:
            return None
        if board.unasked.holds(board.ready) and board.ready < board.edge:
            return self._orphan(board, place, now)
        head = board.head
        if head is not None and head.source != place.name and not place.failures:
            rescue = self._split(board, place, head, now, late=True)
            if rescue is not None and self._is_best(board, place, head, now):
                return rescue
        if board.known and not board.unasked:
            return self._end_game(board, place, now)
        return None

    def doubtful(self, board: Board, now: float) -> list[Attempt]:
        """Attempts that were silent for too long just now."""
        return [
            attempt
            for attempt in board.attempts.values()
            if not attempt.doubted and attempt.left and self._doubt_at(board, attempt, now) <= now
        ]

    def overlong(self, board: Board, now: float) -> list[tuple[Attempt, int]]:
        """Attempts to be cut back, and to where."""
        rates = forecast.all_rates(board, now)
        cuts = []
        for place in board.places.values():
            others = any(o is not place and o.usable(now) for o in board.places.values())
            if place.rating.rate is None or not others:
                continue
            rate = forecast.lane_rate(board, place)
            size = forecast.block_size(board, place, rates)
            for attempt in place.attempts:
                if attempt.began is None or attempt.doubted or attempt.left < _OVERLONG * size:
                    continue
                stop = blocks.edge_after(attempt.at + size)
                waste = rate * (place.rating.latency or 0.0)
                part = NEED if attempt is board.head else SPARE
                if stop + 2 * blocks.EDGE <= attempt.stop and board.may_waste(waste, part):
                    cuts.append((attempt, stop))
        return cuts

    def wake(self, board: Board, now: float) -> float | None:
        """When to look again if nothing comes."""
        times = [
            self._doubt_at(board, attempt, now)
            for attempt in board.attempts.values()
            if not attempt.doubted and attempt.left
        ]
        return min(times, default=None)

    def arrived(self, board: Board, advanced: bool) -> None:
        """A block came whole; of no use here."""

    def _doubt_at(self, board: Board, attempt: Attempt, now: float) -> float:
        rating = board.places[attempt.source].rating
        if attempt.began is not None:
            rate = rating.lane_rate or forecast.UNKNOWN_RATE
            known = 0.0 if rating.latency is None else rating.latency + 4 * rating.deviation
            return attempt.life + max(SILENT, known, 4 * _CHUNK / rate)
        expected = rating.first_byte(attempt.warm)
        if expected is not None:
            return attempt.life + expected + max(SILENT, rating.latency or 0, 4 * rating.deviation)
        answered = [
            place.rating.first_byte(warm=False) or 0.0
            for place in board.places.values()
            if place.rating.latency is not None
        ]
        if not answered:
            return attempt.life + UNANSWERED
        return attempt.life + max(UNKNOWN_SILENT, 3 * max(answered))

    def _orphan(self, board: Board, place: Place, now: float) -> Second | None:
        """The head was given back: whoever has it first asks at once, unless one is about to."""
        soon = [
            due
            for p in board.places.values()
            if p.usable(now) and not p.failures and (due := forecast.due(board, p, now)) is not None
        ]
        if min(soon, default=inf) <= now + _SOON or not self._is_best(board, place, None, now):
            return None
        span = board.unasked.first(board.ready, board.edge)
        if span is None:
            return None
        size = forecast.block_size(board, place, forecast.lane_rate(board, place))
        return Second(span[0], min(span[1], max(blocks.edge_before(span[0] + size), span[0] + 1)))

    def _is_best(self, board: Board, place: Place, head: Attempt | None, now: float) -> bool:
        """No other source that may be asked would have the head sooner."""
        mine = self._arrival(board, place, now)
        return all(
            (mine, place.order) <= (self._arrival(board, other, now), other.order)
            for other in board.places.values()
            if other is not place
            and other.usable(now)
            and not other.failures
            and (head is None or other.name != head.source)
            and len(other.attempts) < other.source.connections
        )

    def _arrival(self, board: Board, place: Place, now: float) -> float:
        return (
            now
            + forecast.first_byte(board, place, now)
            + 2 * blocks.EDGE / self._rate(board, place)
        )

    def _rate(self, board: Board, place: Place) -> float:
        rate = forecast.lane_rate(board, place)
        return rate / 2 if place.streaming >= place.lanes else rate

    def _end_game(self, board: Board, place: Place, now: float) -> Second | None:
        due = forecast.due(board, place, now)
        if due is None or due > now or place.failures or place.rating.rate is None:
            return None
        latest, last = now, None
        for other in board.places.values():
            ends = forecast.finishes(board, other, now)
            for attempt in other.attempts:
                if (
                    (other is not place or place.lanes > 1)
                    and not attempt.doubted
                    and ends[attempt.number] > latest
                ):
                    latest, last = ends[attempt.number], attempt
        return None if last is None else self._split(board, place, last, now, late=False)

    def _split(
        self, board: Board, place: Place, first: Attempt, now: float, *, late: bool
    ) -> Second | None:
        """Give the suffix of ``first`` to ``place`` so that both are done at once."""
        holder = board.places[first.source]
        ends = forecast.finishes(board, holder, now)[first.number]
        if (
            holder.rating.rate is None
            or first.doubted
            or (late and ends - now - board.slack <= LATE)
        ):
            return None
        if board.covered(first.at, first.stop) > 1 or (first.second and first.at == first.start):
            return None
        theirs, ours = forecast.lane_rate(board, holder), self._rate(board, place)
        if late:
            mine = now + forecast.first_byte(board, place, now)
        else:
            mine = forecast.free_at(board, place, now)
        begins = ends - forecast.left(first, theirs, now) / theirs
        # both are done at T: theirs · (T − begins) + ours · (T − mine) = what is left
        done = (first.left + theirs * begins + ours * mine) / (theirs + ours)
        if done <= begins:
            done = mine + first.left / ours
        if done <= mine or ends - done < _GAIN:
            return None
        if late and done - now > (ends - now) / 2:
            return None
        stop = first.at + max(0.0, theirs * (done - begins))
        cut = max(first.at, blocks.edge_before(stop + blocks.EDGE / 2))
        waste = min(theirs * (holder.rating.latency or 0.0), first.stop - cut)
        if cut >= first.stop or not board.may_waste(waste, NEED if late else SPARE):
            return None
        if not late and ends - done < waste / theirs:
            return None
        return Second(cut, first.stop, first)
