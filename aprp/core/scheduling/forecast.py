"""Forecasts, from the ratings, of when each source could deliver which bytes.

Rules:
- requests to one source are served one after the other on each of its lanes (connections that
  make it faster); a lane is free when the responses to its requests have arrived;
- nothing comes from a new request before its latency has passed, twice that on a connection that
  must be opened first;
- doubted attempts are ignored;
- a source that was never measured is assumed to have the median rate of those that were;
- the less steady a source is, the earlier its next request is sent: the rest of the current one
  may arrive sooner than its rate suggests.
"""

from __future__ import annotations

from aprp.core.scheduling import blocks
from aprp.core.scheduling.attempt_state import AttemptState
from aprp.core.scheduling.source_state import SourceState
from aprp.core.scheduling.state import TransferState

MARGIN = 0.005
"""Seconds by which the next request goes out early, beyond the deviation of the latency."""

UNKNOWN_RATE = 1e6
UNKNOWN_LATENCY = 0.1
_CHUNK_TIME = 0.05
_UNSTEADY = 2.0
"""By how much earlier the next request is sent, in latencies, per unit of `Rating.swing`; at most
one latency."""

_DEPTH = 2
"""Requests in flight beyond the lanes: the next one, and one in case that comes early."""

_WORTH_ALONE, _WORTH_BESIDE = 2.0, 4.0
"""Seconds that the rest of the transfer must take for a trial of more connections to pay."""


def lane_rate(state: TransferState, source: SourceState) -> float:
    """Return the bytes per second that one connection to the source gets, or is assumed to get."""
    rate = source.rating.lane_rate
    if rate is not None:
        return max(rate, 1.0)
    known = sorted(
        other.rating.lane_rate
        for other in state.sources.values()
        if other.rating.lane_rate is not None
    )
    return max(known[len(known) // 2], 1.0) if known else UNKNOWN_RATE


def all_rates(state: TransferState, now: float) -> float:
    """The total rate, in bytes per second, of all sources that are measured and usable."""
    return sum(source.rating.rate or 0.0 for source in state.sources.values() if source.usable(now))


def first_byte(state: TransferState, source: SourceState, now: float) -> float:
    """Return the seconds from a request wanted now to its first byte."""
    shares = source.shared and source.shared >= spread(source, now)
    warm = source.slot.connected or source.rating.warm > 0 or bool(shares)
    measured = source.rating.first_byte(warm)
    if measured is not None:
        if source.slot.urgency is None or warm:
            return measured
        return max(measured - (now - source.slot.since), source.rating.first_byte(True) or 0.0)
    known = [
        other.rating.latency for other in state.sources.values() if other.rating.latency is not None
    ]
    return 2 * max(known, default=UNKNOWN_LATENCY)


def lead(state: TransferState, source: SourceState, now: float) -> float:
    """Return how long before a lane is free its next request must be sent."""
    unsteady = 1 + min(_UNSTEADY * source.rating.swing, 1.0)
    return first_byte(state, source, now) * unsteady + 2 * source.rating.deviation + MARGIN


def block_size(state: TransferState, source: SourceState, rates: float) -> int:
    """Return how many bytes to request at once, away from the end of the file; ``rates`` is the
    total rate of all usable sources, in bytes per second."""
    return blocks.wanted_size(
        lane_rate(state, source),
        rates,
        source.rating.latency or 0.0,
        state.window,
        spare=source.spare,
    )


def left(attempt: AttemptState, rate: float, now: float) -> float:
    """Return how many bytes the attempt still has to fetch, less those that should have arrived
    since the last chunk.
    """
    if attempt.began is None:
        return attempt.left
    return max(0.0, attempt.left - rate * min(now - attempt.heard_at, _CHUNK_TIME))


def begins(state: TransferState, source: SourceState, attempt: AttemptState, now: float) -> float:
    """Return when the attempt's first byte is expected, or ``now`` if it has arrived."""
    if attempt.began is not None:
        return now
    measured = source.rating.first_byte(attempt.warm)
    return max(
        now, attempt.since + (first_byte(state, source, now) if measured is None else measured)
    )


def finishes(state: TransferState, source: SourceState, now: float) -> dict[int, float]:
    """Return when each of the source's attempts will be complete."""
    return _schedule(state, source, now)[0]


def lanes_free(state: TransferState, source: SourceState, now: float) -> list[float]:
    """Return when the first byte of another block could come on each of the source's lanes."""
    soonest = now + first_byte(state, source, now)
    return [max(soonest, end) for end in _schedule(state, source, now)[1]]


def _schedule(
    state: TransferState, source: SourceState, now: float
) -> tuple[dict[int, float], list[float]]:
    """Return when each attempt will be complete, and when each lane will be free."""
    rate = lane_rate(state, source)
    lanes = [now] * source.lanes
    ends: dict[int, float] = {}
    for attempt in sorted(source.attempts, key=lambda a: (a.began is None, a.since)):
        if attempt.doubted:
            continue
        lane = min(range(len(lanes)), key=lanes.__getitem__)
        start = max(lanes[lane], begins(state, source, attempt, now))
        lanes[lane] = ends[attempt.number] = start + left(attempt, rate, now) / rate
    return ends, lanes


def _is_late(state: TransferState, source: SourceState, now: float) -> bool:
    """Return whether bytes of an attempt were expected by now, so that its end recedes as time
    passes.
    """
    for attempt in source.attempts:
        if attempt.doubted:
            continue
        if attempt.began is None and begins(state, source, attempt, now) <= now:
            return True
        if attempt.began is not None and now - attempt.heard_at >= _CHUNK_TIME:
            return True
    return False


def lane_free(state: TransferState, source: SourceState, now: float) -> float:
    """Return when the source has a lane with nothing left to do; ``now`` if it has one."""
    return min(_schedule(state, source, now)[1])


def free_at(state: TransferState, source: SourceState, now: float) -> float:
    """Return when the first byte of another block could come from the source."""
    return min(lanes_free(state, source, now))


def due(state: TransferState, source: SourceState, now: float) -> float | None:
    """Return when to send the next request so that the source never idles.

    None: not before something arrives (the source was never measured, is late, or has all its
    connections in use).
    """
    live = sum(not attempt.doubted for attempt in source.attempts)
    if len(source.attempts) >= source.spec.connections:
        return None
    if not live:
        return now
    if source.rating.rate is None:
        return None
    if live < _lanes_to_try(state, source, now):
        return now
    if live >= source.lanes + _DEPTH:
        return None
    when = lane_free(state, source, now) - lead(state, source, now)
    return None if when > now and _is_late(state, source, now) else when


def _lanes_to_try(state: TransferState, source: SourceState, now: float) -> int:
    """Return how many requests the source should serve at once to learn from it. While that is
    tried, its blocks come more slowly, so it isn't done near the end, nor early beside other
    sources.
    """
    lanes, rates = source.lanes, all_rates(state, now)
    alone = not any(p is not source and p.usable(now) for p in state.sources.values())
    if state.unrequested.size < (_WORTH_ALONE if alone else _WORTH_BESIDE) * rates:
        return lanes
    return source.rating.lanes_to_try(source.spec.connections, now, at_once=alone)


def spread(source: SourceState, now: float) -> int:
    """Return over how many connections requests to the source are spread, where they may share one.

    Those that make it faster, and as many as are to be tried: a request that is sent early may as
    well show whether a further connection does. Where several do, one more is always watched.
    """
    most = source.spec.connections
    lanes = source.rating.lanes_to_try(most, now, at_once=True)
    return min(most, max(lanes, source.lanes + 1) if source.lanes > 1 else lanes)


def under_way(state: TransferState, attempt: AttemptState) -> float:
    """Return how many bytes the source will still send if the attempt is abandoned now."""
    if attempt.began is None or attempt.doubted:
        return 0.0
    rating = state.sources[attempt.source].rating
    sent = lane_rate(state, state.sources[attempt.source]) * (rating.latency or 0.0)
    return min(sent, attempt.wire_stop - attempt.at)
