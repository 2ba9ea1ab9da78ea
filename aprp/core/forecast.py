"""When which source could deliver what, as far as its rating tells.

Rules:
- requests to one source are served one after the other on each of its lanes (connections that
  make it faster); a lane is free when what was asked on it has come;
- nothing comes from a new request before its latency has passed, twice that on a connection that
  must be opened first;
- attempts that have fallen silent are left out;
- a source that was never measured is taken for a middling one of those that were;
- the next request goes out early by as much as the source is unsteady: what is left of the
  current one may come sooner than its rate tells.
"""

from __future__ import annotations

from aprp.core import blocks
from aprp.core.board import Attempt, Board, Place

MARGIN = 0.005
"""Seconds by which the next request goes out early, beyond the deviation of the latency."""

UNKNOWN_RATE = 1e6
UNKNOWN_LATENCY = 0.1
_CHUNK_TIME = 0.05
_UNSTEADY = 2.0
"""How much earlier the next request goes out, in latencies, for each part by which a rate swings;
one latency at most."""

_DEPTH = 2
"""Attempts beyond those that make a source faster: one on its way, one whose turn comes early."""

_WORTH_ALONE, _WORTH_BESIDE = 2.0, 4.0
"""Seconds of work that must be left for it to be worth learning about more connections."""


def lane_rate(board: Board, place: Place) -> float:
    """Bytes a second that one connection to the place gets, or is supposed to get."""
    rate = place.rating.lane_rate
    if rate is not None:
        return max(rate, 1.0)
    known = sorted(
        other.rating.lane_rate
        for other in board.places.values()
        if other.rating.lane_rate is not None
    )
    return max(known[len(known) // 2], 1.0) if known else UNKNOWN_RATE


def all_rates(board: Board, now: float) -> float:
    """Bytes a second of all sources that were measured and may be asked, together."""
    return sum(place.rating.rate or 0.0 for place in board.places.values() if place.usable(now))


def first_byte(board: Board, place: Place, now: float) -> float:
    """Seconds from a request wanted now to its first byte."""
    warm = place.in_hand or place.rating.warm > 0
    measured = place.rating.first_byte(warm)
    if measured is not None:
        if place.wanted is None or warm:
            return measured
        return max(measured - (now - place.wanted_since), place.rating.first_byte(True) or 0.0)
    known = [
        other.rating.latency for other in board.places.values() if other.rating.latency is not None
    ]
    return 2 * max(known, default=UNKNOWN_LATENCY)


def lead(board: Board, place: Place, now: float) -> float:
    """How long before a lane is free its next request has to go out."""
    unsteady = 1 + min(_UNSTEADY * place.rating.swing, 1.0)
    return first_byte(board, place, now) * unsteady + 2 * place.rating.deviation + MARGIN


def block_size(board: Board, place: Place, rates: float) -> int:
    """Bytes to ask of the place at once, away from the end of the file; ``rates`` is what comes
    from all sources that matter together, in bytes a second."""
    return blocks.wanted_size(
        lane_rate(board, place),
        rates,
        place.rating.latency or 0.0,
        board.window,
        spare=place.spare,
    )


def left(attempt: Attempt, rate: float, now: float) -> float:
    """Bytes that the attempt still has to bring, counting what must have come by now but has
    not been handed over yet."""
    if attempt.began is None:
        return attempt.left
    return max(0.0, attempt.left - rate * min(now - attempt.life, _CHUNK_TIME))


def begins(board: Board, place: Place, attempt: Attempt, now: float) -> float:
    """When the attempt's first byte comes, or ``now`` if it has."""
    if attempt.began is not None:
        return now
    measured = place.rating.first_byte(attempt.warm)
    return max(
        now, attempt.since + (first_byte(board, place, now) if measured is None else measured)
    )


def finishes(board: Board, place: Place, now: float) -> dict[int, float]:
    """When each of the place's attempts will have brought all."""
    return _schedule(board, place, now)[0]


def lanes_free(board: Board, place: Place, now: float) -> list[float]:
    """When the first byte of a further block could come on each of the place's lanes."""
    soonest = now + first_byte(board, place, now)
    return [max(soonest, end) for end in _schedule(board, place, now)[1]]


def _schedule(board: Board, place: Place, now: float) -> tuple[dict[int, float], list[float]]:
    """(when each attempt is done, when each lane is)."""
    rate = lane_rate(board, place)
    lanes = [now] * place.lanes
    ends: dict[int, float] = {}
    for attempt in sorted(place.attempts, key=lambda a: (a.began is None, a.since)):
        if attempt.doubted:
            continue
        lane = min(range(len(lanes)), key=lanes.__getitem__)
        start = max(lanes[lane], begins(board, place, attempt, now))
        lanes[lane] = ends[attempt.number] = start + left(attempt, rate, now) / rate
    return ends, lanes


def lane_free(board: Board, place: Place, now: float) -> float:
    """When the place has a lane with nothing left to do; ``now`` if it has one."""
    return min(_schedule(board, place, now)[1])


def free_at(board: Board, place: Place, now: float) -> float:
    """When the first byte of a further block could come from the place."""
    return min(lanes_free(board, place, now))


def due(board: Board, place: Place, now: float) -> float | None:
    """When the next request to the place has to go out so that it never idles; None: not before
    something comes (it was never measured, or its connections are all in use)."""
    live = sum(not attempt.doubted for attempt in place.attempts)
    if len(place.attempts) >= place.source.connections:
        return None
    if not live:
        return now
    if place.rating.rate is None:
        return None
    if live < _lanes_to_try(board, place, now):
        return now
    if live >= place.lanes + _DEPTH:
        return None
    return lane_free(board, place, now) - lead(board, place, now)


def _lanes_to_try(board: Board, place: Place, now: float) -> int:
    """How many requests the place should serve at once to learn from it. While that is tried,
    its blocks come more slowly: it's not done near the end, nor early beside other sources."""
    lanes, rates = place.lanes, all_rates(board, now)
    alone = not any(p is not place and p.usable(now) for p in board.places.values())
    if board.unasked.size < (_WORTH_ALONE if alone else _WORTH_BESIDE) * rates:
        return lanes
    return place.rating.lanes_to_try(place.source.connections, now, at_once=alone)


def under_way(board: Board, attempt: Attempt) -> float:
    """Bytes that come, or are sent, though the attempt is abandoned now."""
    if attempt.began is None or attempt.doubted:
        return 0.0
    rating = board.places[attempt.source].rating
    sent = lane_rate(board, board.places[attempt.source]) * (rating.latency or 0.0)
    return min(sent, attempt.wire_stop - attempt.at)
