"""The life cycle of attempts: begun, answered, receiving, cut back, abandoned, ended.

Rules:
- a byte is kept when it first comes; attempts that cover it too are cut back to what is still
  missing, or abandoned;
- an attempt that reaches an end that was cut back is abandoned there;
- a 416 tells where the file ends until a good head does: it may be of another version;
- a silent attempt that resumes keeps what no other source was asked for;
- what a source showed (rate, latency, failures) is recorded as it happens.
"""

from __future__ import annotations

from aprp.core.reasons import Reason
from aprp.core.scheduling import forecast
from aprp.core.scheduling import messages as m
from aprp.core.scheduling.assignment import Assignment
from aprp.core.scheduling.attempt_state import AttemptState
from aprp.core.scheduling.failures import FailurePolicy
from aprp.core.scheduling.flow import Flow
from aprp.core.scheduling.messages import Action
from aprp.core.scheduling.policies.registry import DelayPolicy, DuplicatePolicy
from aprp.core.scheduling.source_state import SourceState
from aprp.core.scheduling.state import TransferState


class AttemptTracker:
    """The attempts of one transfer. What has to be done is appended to ``actions``.

    ``length`` is the complete length of the file, None until a good response head has told it;
    ``beyond`` is set when the file turns out to end before the range begins.
    """

    def __init__(
        self,
        state: TransferState,
        delay: DelayPolicy,
        duplicate: DuplicatePolicy,
        failures: FailurePolicy,
        length: int | None,
    ) -> None:
        self._state = state
        self._delay = delay
        self._duplicate = duplicate
        self._flows = {source.name: Flow(source.rating) for source in state.sources.values()}
        self._failures = failures
        self._end = state.stop
        self.length = length
        self.beyond = False
        self.actions: list[Action] = []

    def clear_actions(self) -> None:
        """Begin a new list of actions, for the next event."""
        self.actions = []

    def begin(self, source: SourceState, assignment: Assignment, now: float, *, warm: bool) -> None:
        """Request the assignment from the source, and cut back the attempt it takes over from."""
        if assignment.relieved is not None:
            self.cut(assignment.relieved, assignment.start, now)
        self._make_room(assignment.start, assignment.stop, now)
        self._drop_silent(source, assignment, now)
        self._delay.begun(source)
        attempt = self._state.begin(
            source,
            assignment.start,
            assignment.stop,
            now,
            warm=warm,
            took_over=assignment.relieved is not None,
        )
        self.actions.append(m.Fetch(attempt.number, source.name, attempt.start, attempt.stop))

    def _make_room(self, start: int, stop: int, now: float) -> None:
        """End attempts, the oldest silent one first, until at most one covers each byte."""
        state = self._state
        while state.covered(start, stop) > 1:
            over = [a for a in state.attempts.values() if a.at < stop and start < a.stop]
            oldest = min(over, key=lambda a: (not a.doubted, a.number))
            self.cut(oldest, oldest.at, now)

    def _drop_silent(self, source: SourceState, assignment: Assignment, now: float) -> None:
        """Cut silent attempts whose next byte another source brings: what they sent is wasted."""
        for other in list(self._state.attempts.values()):
            elsewhere = other.source != source.name
            if other.doubted and elsewhere and assignment.start <= other.at < assignment.stop:
                self.cut(other, other.at, now)

    def head_came(self, event: m.HeadCame, now: float) -> None:
        """Take a good response head."""
        attempt = self._state.attempts.get(event.attempt)
        if attempt is None:
            return
        source = self._state.sources[attempt.source]
        busy = source.streaming > 0
        if not busy:
            self._flows[source.name].idle()
        attempt.answered(event.stop, now, event.connection)
        shared = event.connection is not None
        source.rating.answered(now - attempt.since, event.connect, busy=busy, shared=shared)
        if event.connect is not None and attempt.warm:
            source.rating.pool_was_empty()
        self._failures.answered()
        self._alive(source, attempt, now)
        self._learn_length(event.length, now)
        if attempt.number in self._state.attempts and event.stop < attempt.stop:
            self._state.cut(attempt, max(attempt.at, event.stop))

    def bytes_came(self, event: m.BytesCame, now: float) -> bool:
        """Take bytes of a body; return whether the client now waits for bytes not requested yet."""
        attempt, count = self._state.attempts.get(event.attempt), event.count
        if attempt is None:
            return False
        state, source = self._state, self._state.sources[attempt.source]
        ready = state.ready
        fresh = state.receive(attempt, count)
        whole_since = attempt.began if attempt.whole else None
        self._flows[source.name].came(count, now, source.carrying, whole_since)
        attempt.heard(now)
        self.actions += [m.Keep(attempt.number, low, high) for low, high in fresh]
        self._alive(source, attempt, now)
        for low, high in fresh:
            self._failures.delivered(source)
            self._failures.gained(high - low, whole=not state.missing)
            for other in state.others_over(attempt, low, high):
                self._trim(other, now)
        if attempt.number in state.attempts and attempt.at < attempt.wire_stop:
            self._trim(attempt, now)
        return ready < state.ready and state.unrequested.holds(state.ready)

    def _alive(self, source: SourceState, attempt: AttemptState, now: float) -> None:
        self._duplicate.heard_from(source)
        if attempt.doubted:
            self._state.believe(attempt)
            self._trim(attempt, now)

    def _trim(self, attempt: AttemptState, now: float) -> None:
        """Cut the attempt back to what is still missing."""
        stop = self._state.trim(attempt)
        if stop < attempt.stop or attempt.at >= attempt.stop:
            self.cut(attempt, stop, now)

    def cut(self, attempt: AttemptState, stop: int, now: float) -> None:
        """End the attempt at ``stop``, or now if it's there already."""
        if stop <= attempt.at:
            if attempt.doubted:
                source = self._state.sources[attempt.source]
                self._failures.fell_silent(source, attempt.number, now)
            self.abandon(attempt)
        else:
            self._state.cut(attempt, stop)

    def abandon(self, attempt: AttemptState) -> None:
        """Abandon the attempt; any source may bring what it owed."""
        self._state.waste(forecast.under_way(self._state, attempt))
        self._remove(attempt)
        self.actions.append(m.Abandon(attempt.number))

    def lose(self, start: int, stop: int) -> None:
        """Drop what is held of the range; it is requested again when it is needed."""
        for low, high in self._state.forget(start, stop):
            self.actions.append(m.Forget(low, high))

    def ban(self, source: SourceState, why: Reason) -> None:
        """Abandon the attempts of a source that sent wrong bytes, and never use it again."""
        for attempt in list(source.attempts):
            self.abandon(attempt)
        self._failures.ban(source, why)

    def stop(self) -> None:
        """Abandon every attempt except those that have brought all that was requested."""
        for attempt in list(self._state.attempts.values()):
            if attempt.whole:
                self._remove(attempt)
                self._completed(self._state.sources[attempt.source])
            else:
                self.abandon(attempt)

    def _completed(self, source: SourceState) -> None:
        source.rating.connection_left(source.spec.connections)

    def _remove(self, attempt: AttemptState) -> None:
        self._state.end(attempt)
        source = self._state.sources[attempt.source]
        if not source.streaming:
            self._flows[source.name].idle()

    def ended(self, event: m.Ended, now: float) -> None:
        """Take the end of an attempt as the caller reports it."""
        attempt = self._state.attempts.get(event.attempt)
        if attempt is None:
            return
        source = self._state.sources[attempt.source]
        self._remove(attempt)
        match event.end:
            case m.End.COMPLETED:
                self._completed(source)
                self._delay.completed(source)
                self._duplicate.completed(self._state, source, self._state.ready >= attempt.stop)
            case m.End.STALE:
                source.rating.pool_was_empty()
            case m.End.BEYOND if self._ends_before(attempt.start, event.length, now):
                pass
            case _:
                self._failures.blame(source, event, now)

    def _ends_before(self, start: int, length: int | None, now: float) -> bool:
        """Whether the file ends at or before ``start``, as a 416 says.

        It is believed until a good response head tells the length.
        """
        if length is None or length > start:
            return False
        if self.length is None:
            self._end_at(min(length, self._state.stop), now)
        return self.beyond or start >= self._state.stop

    def end_at(self, stop: int, now: float) -> None:
        """End the range at ``stop``, which lies within it."""
        self._end = min(self._end, stop)
        self._end_at(stop, now)

    def _learn_length(self, length: int, now: float) -> None:
        if self.length is None:
            self.length = length
            self._end_at(min(length, self._end), now)

    def _end_at(self, stop: int, now: float) -> None:
        state = self._state
        if stop <= state.start:
            self.beyond = True
        elif stop != state.stop:
            for attempt in state.limit(stop):
                self._trim(attempt, now)
