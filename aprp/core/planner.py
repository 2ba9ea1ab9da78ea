"""What is wanted of whom now, and when to look again: one look over the board after each event.

Rules:
- sources without failures come first, those that would bring the next byte soonest before others;
- a slot is wanted for as long as there's something to ask on it; what is asked is picked again
  when the slot comes, since much may have changed;
- what a source is about to be asked for isn't offered to the others, unless it's slow to connect;
- a slot that was given back isn't wanted again at the same moment;
- plans are made anew when something happened; where only bytes came, every few milliseconds.
"""

from __future__ import annotations

from aprp.core import forecast
from aprp.core import messages as m
from aprp.core.blocks import EDGE
from aprp.core.board import Board, Place
from aprp.core.pace import KEPT, Pace
from aprp.core.policies import DelayPolicy, DuplicatePolicy
from aprp.core.rescue import Second
from aprp.core.traffic import Traffic
from aprp.core.trouble import Trouble

_QUIET = 0.005
"""Seconds between two plans when nothing but bytes came."""

_STEP = 0.001
"""Seconds that the next deadline is ahead of now, at least."""

_CLAIM = 0.25
"""Seconds that a source may take to connect before its block is offered to others."""

_PATIENCE = (1.0, 2.0, 4.0)
"""Seconds until the only source left, silent, is asked again; by how often it fell silent."""


class Planner:
    """The plans of one transfer. ``wake`` is when to look again though nothing happened, None for
    no need; ``declined`` the place whose slot was given back just now."""

    def __init__(
        self,
        board: Board,
        traffic: Traffic,
        trouble: Trouble,
        pace: Pace,
        delay: DelayPolicy,
        duplicate: DuplicatePolicy,
    ) -> None:
        self._board = board
        self._places = list(board.places.values())
        self._traffic = traffic
        self._trouble = trouble
        self._pace = pace
        self._delay = delay
        self._duplicate = duplicate
        self._planned = -1.0
        self.wake: float | None = None
        self.declined: Place | None = None

    def look(self, now: float) -> None:
        """See how far ahead may be asked, and which attempts can't be relied on."""
        board = self._board
        self._let_go(now)
        self._look_ahead(now)
        for attempt in self._duplicate.doubtful(board, now):
            board.doubt(attempt)
            board.places[attempt.source].silences += 1
        for attempt, stop in self._duplicate.overlong(board, now):
            self._traffic.cut(attempt, stop, now)

    def plan(self, now: float) -> None:
        """Want what is worth asking for, and find out when to look again."""
        board = self._board
        self._planned = now
        room = board.unasked.count(board.ready, board.edge)
        for place in sorted(self._places, key=self._preference):
            picked = None if place is self.declined else self.pick(place, now)
            if picked is not None and (room > 0 or picked.first is not None):
                head = picked.start <= board.ready
                self._want(place, m.Urgency.HEAD if head else m.Urgency.AHEAD, now)
                if picked.first is None and now < place.claim_until:
                    room -= picked.stop - picked.start
            elif self._opens_ahead(place, now):
                self._want(place, m.Urgency.AHEAD, now)
            else:
                self._withdraw(place)
        self._set_wake(now)

    def withdraw(self) -> None:
        """Nothing is wanted any more."""
        for place in self._places:
            self._withdraw(place)

    def is_time(self, now: float) -> bool:
        """Bytes come often; plans needn't be made more often than they can differ."""
        if now >= self._planned + _QUIET or (self.wake is not None and now >= self.wake):
            return True
        later = self._planned + _QUIET
        self.wake = later if self.wake is None else min(self.wake, later)
        return False

    def _withdraw(self, place: Place) -> None:
        if place.wanted is not None:
            place.wanted = None
            self._traffic.actions.append(m.WithdrawWant(place.name))

    def _opens_ahead(self, place: Place, now: float) -> bool:
        """Whether a connection is wanted though there's nothing to fetch on it yet."""
        if place.opened_ahead and place.wanted is None:
            return False
        if not self._may_ask(place, now) or not self._delay.opens_ahead(self._board, place, now):
            return False
        place.opened_ahead = True
        return True

    def _look_ahead(self, now: float) -> None:
        board = self._board
        board.window = self._pace.window(now, forecast.all_rates(board, now))
        board.edge = min(board.stop, board.taken + board.window)
        if board.edge < board.stop and board.edge // EDGE * EDGE > board.taken:
            board.edge = board.edge // EDGE * EDGE
        board.slack = (board.ready - board.taken) / self._pace.rate

    def _preference(self, place: Place) -> tuple[bool, bool, float, int]:
        rating, doubtful, idle = place.rating, bool(place.failures), place.wanted is None
        rate, first = rating.lane_rate, rating.first_byte(warm=rating.warm > 0)
        if rate is None or first is None:
            return (doubtful, idle, 0.0, place.order)
        return (doubtful, idle, first + EDGE / max(rate, 1.0), place.order)

    def _want(self, place: Place, urgency: m.Urgency, now: float) -> None:
        if place.wanted is None:
            place.wanted_since = now
            patience = max(_CLAIM, 2 * forecast.first_byte(self._board, place, now))
            place.claim_until = now + patience
        if place.wanted is not urgency:
            place.wanted = urgency
            self._traffic.actions.append(m.WantSlot(place.name, urgency))

    def pick(self, place: Place, now: float) -> Second | None:
        """What the place should be asked for, if a slot is there."""
        if len(place.attempts) >= place.source.connections or not self._may_ask(place, now):
            return None
        second = self._duplicate.choose(self._board, place, now)
        if second is not None:
            return second
        block = self._delay.choose(self._board, place, now)
        return None if block is None else Second(*block)

    def _may_ask(self, place: Place, now: float) -> bool:
        if place.barred or place.retry_at > now:
            return False
        return not place.silent or now >= self._ask_again_at(place, now)

    def _ask_again_at(self, place: Place, now: float) -> float:
        """A silent source is asked again only if there's no other, after some patience."""
        if any(other.usable(now) for other in self._places):
            return now + _PATIENCE[0]
        last = max(attempt.since for attempt in place.attempts)
        times = max(1, place.silences)  # none is left of the count when another attempt goes on
        return last + _PATIENCE[min(times, len(_PATIENCE)) - 1]

    def _let_go(self, now: float) -> None:
        when = self._pace.let_go_at()
        if when is None or now < when:
            return
        board = self._board
        self._pace.asleep = True
        for attempt in list(board.attempts.values()):
            self._traffic.abandon(attempt)
        for low, high in board.forget(board.taken + KEPT, board.stop):
            self._traffic.actions.append(m.Forget(low, high))

    def _set_wake(self, now: float) -> None:
        board = self._board
        times = [self._duplicate.wake(board, now), self._pace.let_go_at()]
        times += self._trouble.wake(now)
        for place in self._places:
            if place.wanted is not None:
                times.append(place.claim_until)
            elif place.silent:
                times.append(self._ask_again_at(place, now))
            elif self._may_ask(place, now):
                times.append(self._delay.due(board, place, now))
        if self.declined is not None:  # what was given back is not wanted again at once
            times.append(now + _QUIET)
        coming = [time for time in times if time is not None and time > now]
        self.wake = max(min(coming), now + _STEP) if coming else None
