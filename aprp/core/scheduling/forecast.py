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
from aprp.core.scheduling.outlook import Outlook
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
_WORTH_TRIPS, _WORTH_SHARED = 20, 0.4
"""Round trips, and seconds, that it must take where requests share connections."""
_WORTH_ENDING = 0.2
"""The part of it that must be left for a trial to go on."""


def lane_rate(state: TransferState, source: SourceState) -> float:
    """Return the bytes per second that one connection to the source gets, or is assumed to get."""
    rate = source.rating.rate
    if rate is not None:
        return max(rate / source.rating.lanes, 1.0)
    known = sorted(
        other.rating.lane_rate
        for other in state.sources.values()
        if other.rating.lane_rate is not None
    )
    return max(known[len(known) // 2], 1.0) if known else UNKNOWN_RATE


def all_rates(state: TransferState, now: float) -> float:
    """The total rate, in bytes per second, of all sources that are measured and usable."""
    kept = state.outlooks
    if kept is not None and kept.rates is not None:
        return kept.rates
    total = 0.0
    for source in state.sources.values():
        rate = source.rating.rate
        if rate and source.usable(now):
            total += rate
    if kept is not None:
        kept.found_rates(total)
    return total


def delay(state: TransferState, now: float) -> float:
    """Return the seconds in which every usable source that was measured brings the least block,
    from the request on."""
    most = 0.0
    for source in state.sources.values():
        rating = source.rating
        rate, first = rating.lane_rate, rating.latency
        if rate and first is not None and source.usable(now):
            most = max(most, first + 2 * rating.deviation + blocks.EDGE / rate)
    return most


def first_byte(state: TransferState, source: SourceState, now: float) -> float:
    """Return the seconds from a request wanted now to its first byte."""
    return _outlook(state, source, now).first


def _first_byte(state: TransferState, source: SourceState, now: float) -> float:
    shares = source.shared and source.shared >= spread(state, source, now)
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
        now, attempt.since + (_first_byte(state, source, now) if measured is None else measured)
    )


def finishes(state: TransferState, source: SourceState, now: float) -> dict[int, float]:
    """Return when each of the source's attempts will be complete."""
    return _outlook(state, source, now).ends


def lanes_free(state: TransferState, source: SourceState, now: float) -> list[float]:
    """Return when the first byte of another block could come on each of the source's lanes."""
    return _outlook(state, source, now).frees


def _outlook(state: TransferState, source: SourceState, now: float) -> Outlook:
    """Return what is expected of the source."""
    kept = state.outlooks
    if kept is None:
        return _look(state, source, now)
    found = kept.sources.get(source.order)
    if found is None:
        found = kept.sources[source.order] = _look(state, source, now)
    return found


def _look(state: TransferState, source: SourceState, now: float) -> Outlook:
    first, rate = _first_byte(state, source, now), lane_rate(state, source)
    lanes = [now] * source.lanes
    ends: dict[int, float] = {}
    for attempt in _in_order(source.attempts):
        if attempt.doubted:
            continue
        lane = 0 if len(lanes) == 1 else min(range(len(lanes)), key=lanes.__getitem__)
        start = max(lanes[lane], begins(state, source, attempt, now))
        lanes[lane] = ends[attempt.number] = start + left(attempt, rate, now) / rate
    soonest = now + first
    return Outlook(first, ends, lanes, [end if end > soonest else soonest for end in lanes])


def _in_order(attempts: list[AttemptState]) -> list[AttemptState]:
    """Return attempts in the order in which they are served."""
    if len(attempts) < 2:
        return attempts
    return sorted(attempts, key=lambda a: (a.began is None, a.since))


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


def free_at(state: TransferState, source: SourceState, now: float) -> float:
    """Return when the first byte of another block could come from the source."""
    return min(lanes_free(state, source, now))


def due(state: TransferState, source: SourceState, now: float) -> float | None:
    """Return when to send the next request so that the source never idles.

    None: not before something arrives (the source was never measured, is late, or has all its
    connections in use).
    """
    kept = state.outlooks
    if kept is None:
        return _due(state, source, now)
    if source.order not in kept.dues:
        kept.dues[source.order] = _due(state, source, now)
    return kept.dues[source.order]


def _due(state: TransferState, source: SourceState, now: float) -> float | None:
    live = len(source.attempts)
    if live >= source.spec.connections:
        return None
    if live:
        live = sum([not attempt.doubted for attempt in source.attempts])
    if not live:
        return now
    if source.rating.rate is None:
        return None
    if live < _lanes_to_try(state, source, live, now):
        return now
    if live >= source.lanes + _DEPTH:
        return None
    lanes = _outlook(state, source, now).lanes
    when = min(lanes) - lead(state, source, now)
    return None if when > now and _is_late(state, source, now) else when


def _lanes_to_try(state: TransferState, source: SourceState, live: int, now: float) -> int:
    """Return how many requests the source should serve at once to learn from it, if those are more
    than the ``live`` ones. While that is tried, its blocks come more slowly, so it isn't done near
    the end, nor early beside other sources.
    """
    lanes, most = source.lanes, source.spec.connections
    if source.rating.lanes_to_try(most, now, at_once=True) <= live:
        return lanes
    alone = _is_alone(state, source, now)
    if not _pays_to_try(state, source, alone, now):
        return lanes
    return source.rating.lanes_to_try(most, now, at_once=alone)


def _is_alone(state: TransferState, source: SourceState, now: float) -> bool:
    return not any(each is not source and each.usable(now) for each in state.sources.values())


def _pays_to_try(state: TransferState, source: SourceState, alone: bool, now: float) -> bool:
    """Return whether enough is left for a trial of more connections to pay."""
    seconds = _WORTH_ALONE if alone else _WORTH_BESIDE
    if alone and source.rating.shares:
        seconds = max(_WORTH_SHARED, _WORTH_TRIPS * source.rating.round_trip)
        seconds *= _WORTH_ENDING if source.rating.trying else 1.0
    return state.unrequested.size >= seconds * all_rates(state, now)


def spread(state: TransferState, source: SourceState, now: float) -> int:
    """Return over how many connections requests to the source are spread, where they may share one.

    Those that make it faster, and as many as are to be tried: a request that is sent early may as
    well show whether a further connection does.
    """
    lanes, most = source.lanes, source.spec.connections
    tried = source.rating.lanes_to_try(most, now, at_once=True)
    if tried > lanes and not _pays_to_try(state, source, _is_alone(state, source, now), now):
        tried = lanes
    return min(most, tried)


def under_way(state: TransferState, attempt: AttemptState) -> float:
    """Return how many bytes the source will still send if the attempt is abandoned now."""
    if attempt.began is None or attempt.doubted:
        return 0.0
    rating = state.sources[attempt.source].rating
    sent = lane_rate(state, state.sources[attempt.source]) * (rating.latency or 0.0)
    return min(sent, attempt.wire_stop - attempt.at)
