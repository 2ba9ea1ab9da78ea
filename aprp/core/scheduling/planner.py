"""Which slots are wanted now, and when to look again: planned from the state after each event.

Rules:
- sources without failures come first, those that would bring the next byte soonest before others;
- a slot is wanted as long as there is something to request on it; what to request is decided when
  it is granted, since much may have changed by then;
- what will be requested from a source isn't assigned to others, unless it's slow to connect;
- a slot that was given back isn't wanted again at the same time;
- plans are made after every event; where only bytes came, every few milliseconds;
- a short range that is all requested in one attempt is left alone while it is on time;
- what a plan found for the first request of a short range is requested without looking again, if
  the slot is granted at once.
"""

from __future__ import annotations

from aprp.core.scheduling import forecast
from aprp.core.scheduling import messages as m
from aprp.core.scheduling.assignment import Assignment
from aprp.core.scheduling.attempts import AttemptTracker
from aprp.core.scheduling.blocks import EDGE, HORIZON
from aprp.core.scheduling.failures import FailurePolicy
from aprp.core.scheduling.policies.registry import DelayPolicy, DuplicatePolicy
from aprp.core.scheduling.read_ahead import KEPT, ReadAhead
from aprp.core.scheduling.source_state import SourceState
from aprp.core.scheduling.state import TransferState

_QUIET = 0.005
"""The minimum number of seconds between two plans when only bytes arrive."""

_STEP = 0.001
"""Seconds that the next deadline is ahead of now, at least."""

_CLAIM = 0.25
"""Seconds that a source may take to connect before its block is offered to others."""


_SHORT = 4 * EDGE
"""Bytes of a range that is too short to be worth dividing, as long as it comes in time."""


class Planner:
    """Plans one transfer. ``wake`` is when to plan again if nothing happens; None: no need."""

    def __init__(
        self,
        state: TransferState,
        tracker: AttemptTracker,
        failures: FailurePolicy,
        read_ahead: ReadAhead,
        delay: DelayPolicy,
        duplicate: DuplicatePolicy,
    ) -> None:
        self._state = state
        self._sources = list(state.sources.values())
        self._tracker = tracker
        self._failures = failures
        self._read_ahead = read_ahead
        self._delay = delay
        self._duplicate = duplicate
        self._planned = -1.0
        self.wake: float | None = None
        self._rests_until = -1.0
        self._declined: SourceState | None = None
        self._found: tuple[SourceState, Assignment] | None = None

    def look(self, now: float) -> None:
        """Find how far ahead to request, and which attempts can't be relied on."""
        state = self._state
        self._drop_read_ahead(now)
        state.keep_outlooks(True)
        self._look_ahead(now)
        for attempt in self._duplicate.doubtful(state, now):
            state.doubt(attempt)
            self._failures.doubted(state.sources[attempt.source], now)
            state.look_anew()
        overlong = self._duplicate.overlong(state, now)
        state.keep_outlooks(False)
        for attempt, stop in overlong:
            self._tracker.cut(attempt, stop, now)

    def plan(self, now: float) -> None:
        """Want slots for what is worth requesting, and find when to look again."""
        state = self._state
        state.keep_outlooks(True)
        self._planned, self._found = now, None
        room = state.unrequested.count(state.ready, state.edge)
        for source in sorted(self._in_play(), key=self._preference):
            assignment = None if source is self._declined else self._assign(source, now)
            if assignment is not None and (room > 0 or assignment.relieved is not None):
                head = assignment.start <= state.ready
                if self._found is None and not state.attempts and self._short:
                    self._found = source, assignment
                self._want(source, m.Urgency.HEAD if head else m.Urgency.AHEAD, now)
                if assignment.relieved is None and now < source.slot.claim_until:
                    room -= assignment.stop - assignment.start
            elif self._opens_ahead(source, now):
                self._want(source, m.Urgency.AHEAD, now)
            else:
                self._withdraw(source)
        self._set_wake(now)
        state.keep_outlooks(False)

    def rests(self, now: float) -> bool:
        """Return whether no plan is needed, and find when one is: all of a short range is on its
        way in one attempt."""
        state = self._state
        if not self._short or state.unrequested.size or len(state.attempts) != 1:
            return False
        for source in self._sources:
            if source.slot.urgency is not None:
                return False
        if now >= self._rests_until:
            (attempt,) = state.attempts.values()
            late, silent = attempt.since + HORIZON, self._duplicate.wake(state, now)
            self._rests_until = late if silent is None else min(late, silent)
        self.wake = self._rests_until
        return now < self._rests_until

    @property
    def _short(self) -> bool:
        return self._state.stop - self._state.start <= _SHORT

    def _in_play(self) -> list[SourceState]:
        """Return the sources that are used, or have something that must be ended."""
        return [
            source
            for source in self._sources
            if not source.excluded or source.attempts or source.slot.urgency is not None
        ]

    def decline(self, source: SourceState | None) -> None:
        """Note which source's granted slot was given back; None: no source's."""
        self._declined = source

    def withdraw(self) -> None:
        """Withdraw every want."""
        for source in self._sources:
            self._withdraw(source)

    def is_time(self, now: float) -> bool:
        """Return whether to plan again where only bytes came, which happens often."""
        if now >= self._planned + _QUIET or (self.wake is not None and now >= self.wake):
            return True
        later = self._planned + _QUIET
        self.wake = later if self.wake is None else min(self.wake, later)
        return False

    def _withdraw(self, source: SourceState) -> None:
        if source.slot.urgency is not None:
            source.slot.settle()
            self._tracker.actions.append(m.WithdrawWant(source.name))
            self._state.look_anew()  # it may be of use again

    def _opens_ahead(self, source: SourceState, now: float) -> bool:
        """Whether a connection is wanted though there's nothing to fetch on it yet."""
        if source.slot.opened_ahead and source.slot.urgency is None:
            return False
        if not self._may_ask(source, now) or not self._delay.opens_ahead(self._state, source, now):
            return False
        source.slot.open_ahead()
        return True

    def _look_ahead(self, now: float) -> None:
        rates = forecast.all_rates(self._state, now)
        delay = forecast.delay(self._state, now) if self._read_ahead.sparing else 0.0
        window = self._read_ahead.window(now, rates, delay)
        self._state.look_ahead(window, self._read_ahead.rate)

    def _preference(self, source: SourceState) -> tuple[bool, bool, float, int]:
        rating, doubtful, idle = source.rating, bool(source.failures), source.slot.urgency is None
        rate, first = rating.lane_rate, rating.first_byte(warm=rating.warm > 0)
        if rate is None or first is None:
            return (doubtful, idle, 0.0, source.order)
        return (doubtful, idle, first + EDGE / max(rate, 1.0), source.order)

    def _want(self, source: SourceState, urgency: m.Urgency, now: float) -> None:
        if source.slot.urgency is None:
            patience = max(_CLAIM, 2 * forecast.first_byte(self._state, source, now))
            source.slot.claim(now, now + patience)
        if source.slot.want(urgency):
            self._tracker.actions.append(m.WantSlot(source.name, urgency))

    def assign(self, source: SourceState, now: float) -> Assignment | None:
        """Return what to request from the source, which has been granted a slot."""
        found, self._found = self._found, None
        if found is not None and found[0] is source and now < self._planned + _QUIET:
            return found[1]
        self._state.keep_outlooks(True)
        assignment = self._assign(source, now)
        self._state.keep_outlooks(False)
        return assignment

    def _assign(self, source: SourceState, now: float) -> Assignment | None:
        if len(source.attempts) >= source.spec.connections or not self._may_ask(source, now):
            return None
        second = self._duplicate.choose(self._state, source, now)
        if second is not None:
            return second
        block = self._delay.choose(self._state, source, now)
        return None if block is None else Assignment(*block)

    def _may_ask(self, source: SourceState, now: float) -> bool:
        if source.barred or source.retry_at > now:
            return False
        return not source.silent or now >= self._duplicate.ask_again_at(self._state, source, now)

    def _drop_read_ahead(self, now: float) -> None:
        when = self._read_ahead.drop_at()
        if when is None or now < when:
            return
        state = self._state
        self._read_ahead.sleep()
        for attempt in list(state.attempts.values()):
            self._tracker.abandon(attempt)
        self._tracker.lose(state.kept_to(KEPT), state.stop)

    def _set_wake(self, now: float) -> None:
        state = self._state
        times = [self._duplicate.wake(state, now), self._read_ahead.drop_at()]
        times += self._failures.wake(now)
        for source in self._in_play():
            if source.slot.urgency is not None:
                times.append(source.slot.claim_until)
            elif source.silent:
                times.append(self._duplicate.ask_again_at(state, source, now))
            elif self._may_ask(source, now):
                times.append(self._delay.due(state, source, now))
        if self._declined is not None:  # what was given back is not wanted again at once
            times.append(now + _QUIET)
        coming = [time for time in times if time is not None and time > now]
        self.wake = max(min(coming), now + _STEP) if coming else None
