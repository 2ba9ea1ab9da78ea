"""Delay requests, our own: which block is requested from a source next, and when.

Rules:
- the next request goes out when what is left of the current one takes no longer than the new
  one's first byte needs, so that the source never idles;
- a block is what the source delivers in a quarter of a second (see blocks);
- it begins at the first byte not requested yet, unless another source would have that block
  a quarter of a second sooner: then that block is left to the other source, and the next one
  is considered (after ECF, Lim et al. 2017, and BLEST, Ferlin et al. 2016, which choose paths
  for the same reason: a slow one must not hold up delivery in order);
- near the end, a source takes no more than half of what it could deliver until all sources
  would be done together; a source that can't deliver any of it in time takes nothing;
- while nothing is under way, who would have the first bytes soonest takes them in any case;
- sources never measured get a modest first block each, side by side;
- a source that just failed is tried ahead of the head, never at it;
- the first piece, where bytes are verified in pieces, is divided among the sources by their rates,
  since the client gets nothing of it before its last byte.
"""

from __future__ import annotations

from math import inf

from aprp.core.scheduling import blocks, forecast
from aprp.core.scheduling.bound import water_level
from aprp.core.scheduling.messages import KIB, MIB
from aprp.core.scheduling.settings import SchedulingSettings
from aprp.core.scheduling.source_state import SourceState
from aprp.core.scheduling.state import TransferState

OPENING = MIB
PATIENCE = 0.25
"""Seconds by which another source must be sooner for a block to be left to it; half a window's
worth where that's less, since the others stall while they wait."""

MOST_OPENING = 4 * MIB
GUESS = 12e6
"""Bytes of a first block per second of the time it took to connect: a distant source needs
more work until its next request can reach it."""

_SMALLEST_OPENING = 256 * KIB
_FAR = 3
"""Blocks that a source could deliver until all are done, from which on the end is ignored."""
_PROVING_DISTANCE = MIB


class Adaptive:
    """The policy ``delay: adaptive``; see the module for its rules.

    Of the settings it uses ``block_size``: the first block of a source never measured.
    """

    def __init__(self, settings: SchedulingSettings) -> None:
        self._opening = min(max(settings.block_size, _SMALLEST_OPENING), MOST_OPENING)

    def choose(
        self, state: TransferState, source: SourceState, now: float
    ) -> tuple[int, int] | None:
        """Return the range to request from the source now; None for nothing."""
        if (due := self.due(state, source, now)) is None or due > now:
            return None
        if source.rating.rate is None:
            return self._open(state, source, now)
        if state.stop - state.start <= blocks.EDGE and not state.attempts and state.known:
            return self._whole(state, source, now)
        return self._place_block(state, source, now)

    def due(self, state: TransferState, source: SourceState, now: float) -> float | None:
        """Return when to request the source's next block; None: not before something comes."""
        return forecast.due(state, source, now)

    def opens_ahead(self, state: TransferState, source: SourceState, now: float) -> bool:
        """Return whether to open a second connection to a distant source that was never measured
        while its first block comes, so that the next request goes out once its rate is known."""
        return (
            source.rating.rate is None
            and len(source.attempts) == 1 < source.spec.connections
            and GUESS * (source.rating.connect or 0.0) > OPENING
            and source.usable(now)
            and source.rating.warm == 0
            and bool(state.unrequested.first(state.ready, state.edge))
        )

    def begun(self, source: SourceState) -> None:
        """Ignore requests: the state has them."""

    def completed(self, source: SourceState) -> None:
        """Ignore complete blocks."""

    def _open(
        self, state: TransferState, source: SourceState, now: float
    ) -> tuple[int, int] | None:
        others = [p for p in state.sources.values() if p is not source and p.usable(now)]
        size = max(self._opening, min(MOST_OPENING, int(GUESS * (source.rating.connect or 0.0))))
        if state.known:
            used = sum(not each.excluded for each in state.sources.values())
            size = min(size, blocks.edge_after((state.stop - state.start) / max(used, 1)))
        size = min(size, blocks.edge_before(state.window / (len(others) + 1)))
        size = max(size, min(_SMALLEST_OPENING, blocks.edge_before(state.window)))
        near = state.ready
        if any(self._is_sooner(state, other, source, now) for other in others):
            near += _PROVING_DISTANCE
        span = _roomy(state, near, size)
        return None if span is None else (span[0], _end(span, size))

    def _is_sooner(
        self, state: TransferState, other: SourceState, source: SourceState, now: float
    ) -> bool:
        """Return whether a measured source would have the next block before this one began it."""
        if other.rating.rate is None or other.failures:
            return False
        finish = forecast.free_at(state, other, now)
        finish += _SMALLEST_OPENING / forecast.lane_rate(state, other)
        return finish < now + forecast.first_byte(state, source, now) + blocks.HORIZON

    def _whole(
        self, state: TransferState, source: SourceState, now: float
    ) -> tuple[int, int] | None:
        """Return the first gap of a range of one block, unless another source has it sooner."""
        size = state.unrequested.size
        mine = forecast.first_byte(state, source, now) + size / forecast.lane_rate(state, source)
        for other in state.sources.values():
            if (
                other is not source
                and other.rating.rate is not None
                and other.usable(now)
                and not other.failures
                and forecast.first_byte(state, other, now) + size / forecast.lane_rate(state, other)
                < mine
            ):
                return None
        return state.unrequested.first(state.ready, state.edge)

    def _place_block(
        self, state: TransferState, source: SourceState, now: float
    ) -> tuple[int, int] | None:
        rate = forecast.lane_rate(state, source)
        others = [
            _Other(state, other, now)
            for other in state.sources.values()
            if other is not source
            and other.rating.rate is not None
            and other.usable(now)
            and not other.failures
        ]
        all_rates = rate * source.lanes + sum(other.rate * other.lanes for other in others)
        size = forecast.block_size(state, source, all_rates)
        frees = forecast.lanes_free(state, source, now)
        free = min(frees)
        patience = min(PATIENCE, state.window / (2 * all_rates))
        near = self._from(state, source, others, all_rates)
        if state.piece is not None and state.verified == state.start == near:
            part = blocks.edge_after(state.piece * rate * source.lanes / all_rates)
            size = min(size, max(part, blocks.smallest_size(rate, source.rating.latency or 0.0)))
        span = state.unrequested.first(near, state.edge)
        while span is not None:
            block = min(size, span[1] - span[0])
            sooner = _soonest(others, block)
            if sooner is None or sooner.finish(block) + patience >= free + block / rate:
                break
            span = state.unrequested.first(span[0] + sooner.take(span[1] - span[0]), state.edge)
        if span is not None and state.known:
            size = self._tail(state, source, frees, size, others)
        if span is None or size <= 0:
            span, size = self._nobody_else_begins(state, source, free, others, near), blocks.EDGE
        if span is None or self._wait_for_window(state, span, size):
            return None
        return span[0], _end(span, size)

    def _nobody_else_begins(
        self,
        state: TransferState,
        source: SourceState,
        free: float,
        others: list[_Other],
        near: int,
    ) -> tuple[int, int] | None:
        """Return the first gap if nothing is under way, and this source would begin it soonest.

        Near the end, each of two sources may be forecast to leave the rest to the other: the one
        with more lanes needs longer for a whole block, and less for its share on all of them.
        """
        if state.attempts or (source.failures and others):
            return None
        mine = free + blocks.EDGE / forecast.lane_rate(state, source)
        if any(other.began + blocks.EDGE / other.rate < mine for other in others):
            return None
        return state.unrequested.first(near, state.edge)

    def _from(
        self, state: TransferState, source: SourceState, others: list[_Other], all_rates: float
    ) -> int:
        if source.failures and others:
            distance = min(max(_PROVING_DISTANCE, all_rates), (state.edge - state.ready) // 2)
            return blocks.edge_after(state.ready + max(distance, 1))
        return state.ready

    def _tail(
        self,
        state: TransferState,
        source: SourceState,
        frees: list[float],
        size: int,
        others: list[_Other],
    ) -> int:
        rate, free = forecast.lane_rate(state, source), min(frees)
        if _is_far(state, rate, frees, size, others):
            return size
        lanes = [(rate, time) for time in frees]
        lanes += ((other.rate, time) for other in others for time in other.frees)
        share = rate * (water_level(state.unrequested.size, lanes) - free)
        floor = blocks.smallest_size(rate, source.rating.latency or 0.0)
        if share < blocks.EDGE:
            rest = min(state.unrequested.size, blocks.EDGE)
            mine = free + rest / rate
            if any(other.began + rest / other.rate < mine for other in others):
                return 0
            return blocks.EDGE
        return blocks.tail_size(size, share, floor, rate, spare=source.spare)

    def _wait_for_window(self, state: TransferState, span: tuple[int, int], size: int) -> bool:
        """Return whether to wait, since only a sliver of the window is free. A whole block isn't
        waited for: for a distant source in a small window that would always be too late."""
        sliver = span[1] == state.edge < state.stop and span[1] - span[0] < size / 2
        return sliver and bool(state.attempts or state.deliverable > state.taken)


class _Other:
    """Another source, and when it would be free if some blocks were left to it."""

    def __init__(self, state: TransferState, source: SourceState, now: float) -> None:
        self.rate = forecast.lane_rate(state, source)
        self.lanes = source.lanes
        self.frees = forecast.lanes_free(state, source, now)
        self.began = self.free = min(self.frees)
        self._state = state
        self._source = source

    def finish(self, size: int) -> float:
        """Return when it would have a block of ``size``."""
        return self.free + size / self.rate

    def take(self, room: int) -> int:
        """Leave it its next block; return the size of that."""
        whole = forecast.block_size(self._state, self._source, self.rate * self.lanes)
        size = min(whole, room)
        self.free += size / (self.rate * self.lanes)
        return size


def _soonest(others: list[_Other], block: int) -> _Other | None:
    """Return the one that would have a block soonest."""
    best, least = None, inf
    for other in others:
        finish = other.free + block / other.rate
        if finish < least:
            best, least = other, finish
    return best


def _is_far(
    state: TransferState, rate: float, frees: list[float], size: int, others: list[_Other]
) -> bool:
    """Return whether the end of the file is certainly too far away to matter for a block: if all
    lanes were free with the first of them, a lane's share would still be several blocks."""
    began = free = min(frees)
    total = rate * len(frees)
    for other in others:
        total += other.rate * len(other.frees)
        began = min(began, other.began)
    share = rate * (began - free + state.unrequested.size / total)
    return share > _FAR * size


def _roomy(state: TransferState, near: int, size: int) -> tuple[int, int] | None:
    """Return the head, or the first gap from ``near`` on with room for ``size``, or the largest
    gap: a distant source between the blocks of others would soon be idle."""
    largest: tuple[int, int] | None = None
    for span in state.unrequested.within(near, state.edge):
        if span[0] == state.ready or span[1] - span[0] >= size:
            return span
        if largest is None or span[1] - span[0] > largest[1] - largest[0]:
            largest = span
    return largest


def _end(span: tuple[int, int], size: int) -> int:
    """The end of a block of about ``size`` that begins the span: an edge, or the span's own end
    where little more would be left of it."""
    start, stop = span
    end = blocks.edge_before(start + size)
    if end <= start:
        end = blocks.edge_after(start + 1)
    return stop if end + min(size // 4, blocks.EDGE) >= stop else end
