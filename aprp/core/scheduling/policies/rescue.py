"""Duplicate requests, our own: which bytes are requested a second time because they are late.

Rules:
- when the head block needs more than LATE and another source would have it in half the time, the
  other gets its suffix, and the first attempt's end is cut back to where both are done at once;
- a block that takes far longer than blocks should is cut back, and the rest of it goes to any
  source that is free;
- when nothing is left to request, a source that is free takes over the suffix of the attempt
  that would be the last to finish (as the end game of other downloaders, but nothing is fetched
  twice), if that saves more time than is lost by what the other has already sent;
- an attempt silent for longer than its source ever was gives its bytes back to the pool, wherever
  they lie. If it resumes, it keeps what no other source was asked for; it's dropped when another
  is asked for its next byte. No timeout has to pass first (Dean and Barroso, The Tail at Scale,
  2013: hedged and tied requests);
- a head that no source is about to request is requested at once, on a further connection.
"""

from __future__ import annotations

from collections import Counter
from math import inf

from aprp.core.scheduling import blocks, forecast
from aprp.core.scheduling.assignment import Assignment
from aprp.core.scheduling.attempt_state import AttemptState
from aprp.core.scheduling.messages import KIB
from aprp.core.scheduling.settings import SchedulingSettings
from aprp.core.scheduling.source_state import SourceState
from aprp.core.scheduling.state import TransferState

LATE = 0.3
SPARE = 0.003
"""Part of the bytes held that may be wasted for speed ..."""

NEED = 0.02
"""... and for a client that waits."""

SILENT = 0.15
UNKNOWN_SILENT = 0.75
UNANSWERED = 3.0
_OVERLONG = 2
_CHUNK = 16 * KIB
_GAIN = 0.005
_SOON = 0.05

_PATIENCE = (1.0, 2.0, 4.0)
"""Seconds until the last, silent source is retried, by how often it went silent."""


class AdaptiveRescue:
    """The policy ``duplicate: adaptive``; see the module for its rules."""

    def __init__(self, settings: SchedulingSettings) -> None:
        self._silences: Counter[str] = Counter()  # by source, since it was last heard from

    def choose(self, state: TransferState, source: SourceState, now: float) -> Assignment | None:
        """Return what to request from the source before anything else, or None."""
        if len(source.attempts) >= source.spec.connections:
            return None
        if state.unrequested.holds(state.ready) and state.ready < state.edge:
            return self._orphan(state, source, now)
        head = state.head
        if head is not None and head.source != source.name and not source.failures:
            rescue = self._split(state, source, head, now, late=True)
            if rescue is not None and self._is_best(state, source, head, now):
                return rescue
        if state.known and not state.unrequested.size:
            return self._end_game(state, source, now)
        return None

    def doubtful(self, state: TransferState, now: float) -> list[AttemptState]:
        """Return the attempts that have just been silent for too long, and count them."""
        found = [
            attempt
            for attempt in state.attempts.values()
            if not attempt.doubted and attempt.left and self._doubt_at(state, attempt, now) <= now
        ]
        if found:
            self._silences.update(attempt.source for attempt in found)
        return found

    def heard_from(self, source: SourceState) -> None:
        """Record that bytes arrived from the source."""
        del self._silences[source.name]

    def ask_again_at(self, state: TransferState, source: SourceState, now: float) -> float:
        """Return when a silent source may get another request: not while another source is usable;
        then after pauses that grow with each silence."""
        if any(other.usable(now) for other in state.sources.values()):
            return now + _PATIENCE[0]
        last = max(attempt.since for attempt in source.attempts)
        times = max(1, self._silences[source.name])  # 0 if another of its attempts continues
        return last + _PATIENCE[min(times, len(_PATIENCE)) - 1]

    def overlong(self, state: TransferState, now: float) -> list[tuple[AttemptState, int]]:
        """Return the attempts to cut back, and to where."""
        cuts: list[tuple[AttemptState, int]] = []
        if all(a.left < _OVERLONG * blocks.EDGE for a in state.attempts.values()):
            return cuts
        rates = forecast.all_rates(state, now)
        for source in state.sources.values():
            if not source.attempts:
                continue
            others = any(o is not source and o.usable(now) for o in state.sources.values())
            if source.rating.rate is None or not others:
                continue
            rate = forecast.lane_rate(state, source)
            size = forecast.block_size(state, source, rates)
            for attempt in source.attempts:
                if attempt.began is None or attempt.doubted or attempt.left < _OVERLONG * size:
                    continue
                stop = blocks.edge_after(attempt.at + size)
                waste = rate * (source.rating.latency or 0.0)
                part = NEED if attempt is state.head else SPARE
                if stop + 2 * blocks.EDGE <= attempt.stop and state.may_waste(waste, part):
                    cuts.append((attempt, stop))
        return cuts

    def wake(self, state: TransferState, now: float) -> float | None:
        """Return when to look again if nothing comes."""
        times = [
            self._doubt_at(state, attempt, now)
            for attempt in state.attempts.values()
            if not attempt.doubted and attempt.left
        ]
        return min(times, default=None)

    def completed(self, state: TransferState, source: SourceState, advanced: bool) -> None:
        """Ignore complete blocks."""

    def _doubt_at(self, state: TransferState, attempt: AttemptState, now: float) -> float:
        rating = state.sources[attempt.source].rating
        if attempt.began is not None:
            rate = rating.lane_rate or forecast.UNKNOWN_RATE
            known = 0.0 if rating.latency is None else rating.latency + 4 * rating.deviation
            return attempt.heard_at + max(SILENT, known, 4 * _CHUNK / rate)
        expected = rating.first_byte(attempt.warm)
        if expected is not None:
            return (
                attempt.heard_at + expected + max(SILENT, rating.latency or 0, 4 * rating.deviation)
            )
        answered = [
            source.rating.first_byte(warm=False) or 0.0
            for source in state.sources.values()
            if source.rating.latency is not None
        ]
        if not answered:
            return attempt.heard_at + UNANSWERED
        return attempt.heard_at + max(UNKNOWN_SILENT, 3 * max(answered))

    def _orphan(self, state: TransferState, source: SourceState, now: float) -> Assignment | None:
        """Assign a head that was given back to the source that brings it first, unless some source
        is about to request it."""
        soon = [
            due
            for p in state.sources.values()
            if p.usable(now) and not p.failures and (due := forecast.due(state, p, now)) is not None
        ]
        if min(soon, default=inf) <= now + _SOON or not self._is_best(state, source, None, now):
            return None
        span = state.unrequested.first(state.ready, state.edge)
        if span is None:
            return None
        size = forecast.block_size(state, source, forecast.lane_rate(state, source))
        return Assignment(
            span[0], min(span[1], max(blocks.edge_before(span[0] + size), span[0] + 1))
        )

    def _is_best(
        self, state: TransferState, source: SourceState, head: AttemptState | None, now: float
    ) -> bool:
        """Return whether no other source that may be asked would have the head sooner."""
        mine = self._arrival(state, source, now)
        return all(
            (mine, source.order) <= (self._arrival(state, other, now), other.order)
            for other in state.sources.values()
            if other is not source
            and other.usable(now)
            and not other.failures
            and (head is None or other.name != head.source)
            and len(other.attempts) < other.spec.connections
        )

    def _arrival(self, state: TransferState, source: SourceState, now: float) -> float:
        return (
            now
            + forecast.first_byte(state, source, now)
            + 2 * blocks.EDGE / self._rate(state, source)
        )

    def _rate(self, state: TransferState, source: SourceState) -> float:
        rate = forecast.lane_rate(state, source)
        return rate / 2 if source.streaming >= source.lanes else rate

    def _end_game(self, state: TransferState, source: SourceState, now: float) -> Assignment | None:
        due = forecast.due(state, source, now)
        if due is None or due > now or source.failures or source.rating.rate is None:
            return None
        latest, last = now, None
        for other in state.sources.values():
            ends = forecast.finishes(state, other, now)
            for attempt in other.attempts:
                if (
                    (other is not source or source.lanes > 1)
                    and not attempt.doubted
                    and ends[attempt.number] > latest
                ):
                    latest, last = ends[attempt.number], attempt
        return None if last is None else self._split(state, source, last, now, late=False)

    def _split(
        self,
        state: TransferState,
        source: SourceState,
        first: AttemptState,
        now: float,
        *,
        late: bool,
    ) -> Assignment | None:
        """Give the suffix of ``first`` to ``source`` so that both are done at once."""
        holder = state.sources[first.source]
        if holder.rating.rate is None or first.doubted:
            return None
        ends = forecast.finishes(state, holder, now)[first.number]
        if late and ends - now - state.slack <= LATE:
            return None
        if state.covered(first.at, first.stop) > 1 or (first.took_over and first.at == first.start):
            return None
        theirs, ours = forecast.lane_rate(state, holder), self._rate(state, source)
        if late:
            mine = now + forecast.first_byte(state, source, now)
        else:
            mine = forecast.free_at(state, source, now)
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
        if cut >= first.stop or not state.may_waste(waste, NEED if late else SPARE):
            return None
        if not late and ends - done < waste / theirs:
            return None
        return Assignment(cut, first.stop, first)
