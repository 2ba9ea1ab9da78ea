"""Delay requests, our own: which block a source is asked for next, and when.

Rules:
- the next request goes out when what is left of the current one takes no longer than the new
  one's first byte needs, so that the source never idles;
- a block is what the source delivers in a quarter of a second (see blocks);
- it's taken at the first byte nobody was asked for, unless another source would have that block
  a quarter of a second sooner: then the other is left its block and the next one is
  looked at (after ECF, Lim et al. 2017, and BLEST, Ferlin et al. 2016, which choose paths for the
  same reason: a slow one must not hold up what comes in order);
- near the end, a source takes no more than half of what it could deliver until all sources
  would be done together; a source that can't deliver any of it in time takes nothing;
- sources never measured get a modest first block each, side by side;
- a source that just failed is tried ahead of the head, never at it.
"""

from __future__ import annotations

from aprp.core import blocks, forecast
from aprp.core.board import Board, Place
from aprp.core.bound import water_level
from aprp.core.messages import KIB, MIB

OPENING = MIB
PATIENCE = 0.25
"""Seconds by which another source must have a block sooner to be left it; half a window's worth
where that's less, since the others can't go on further while they wait."""

MOST_OPENING = 4 * MIB
GUESS = 12e6
"""Bytes of a first block per second of the time it took to connect: a far source needs more to
do until it can be told what to do next."""

_SMALLEST_OPENING = 256 * KIB
_PROVING_DISTANCE = MIB


class Adaptive:
    """The policy ``delay: adaptive``; see the module for its rules.

    Args:
        block_size: bytes; the first block of a source never measured.
    """

    def __init__(self, block_size: int = OPENING) -> None:
        self._opening = min(max(block_size, _SMALLEST_OPENING), 4 * MIB)

    def choose(self, board: Board, place: Place, now: float) -> tuple[int, int] | None:
        """The range to ask of the place now; None for nothing."""
        if (due := self.due(board, place, now)) is None or due > now:
            return None
        if place.rating.rate is None:
            return self._open(board, place, now)
        return self._place_block(board, place, now)

    def due(self, board: Board, place: Place, now: float) -> float | None:
        """When the place has to be asked for its next block; None: not before something comes."""
        return forecast.due(board, place, now)

    def opens_ahead(self, board: Board, place: Place, now: float) -> bool:
        """A far source that was never measured is connected to once more while its first block
        is on its way, so that the next request can go out as soon as its rate is known."""
        return (
            place.rating.rate is None
            and len(place.attempts) == 1 < place.source.connections
            and GUESS * (place.rating.connect or 0.0) > OPENING
            and place.usable(now)
            and place.rating.warm == 0
            and bool(board.unasked.first(board.ready, board.edge))
        )

    def _open(self, board: Board, place: Place, now: float) -> tuple[int, int] | None:
        others = [p for p in board.places.values() if p is not place and p.usable(now)]
        size = max(self._opening, min(MOST_OPENING, int(GUESS * (place.rating.connect or 0.0))))
        if board.known:
            size = min(size, blocks.edge_after((board.stop - board.start) / len(board.places)))
        size = min(size, blocks.edge_before(board.window / (len(others) + 1)))
        size = max(size, min(_SMALLEST_OPENING, blocks.edge_before(board.window)))
        near = board.ready
        if any(self._is_sooner(board, other, place, now) for other in others):
            near += _PROVING_DISTANCE
        span = _roomy(board, near, size)
        return None if span is None else (span[0], _end(span, size))

    def _is_sooner(self, board: Board, other: Place, place: Place, now: float) -> bool:
        """A measured source would have the next block before this one could begin it."""
        if other.rating.rate is None or other.failures:
            return False
        finish = forecast.free_at(board, other, now)
        finish += _SMALLEST_OPENING / forecast.lane_rate(board, other)
        return finish < now + forecast.first_byte(board, place, now) + blocks.HORIZON

    def _place_block(self, board: Board, place: Place, now: float) -> tuple[int, int] | None:
        rate = forecast.lane_rate(board, place)
        others = [
            _Other(board, other, now)
            for other in board.places.values()
            if other is not place
            and other.rating.rate is not None
            and other.usable(now)
            and not other.failures
        ]
        all_rates = rate * place.lanes + sum(other.rate * other.lanes for other in others)
        size = forecast.block_size(board, place, all_rates)
        frees = forecast.lanes_free(board, place, now)
        free = min(frees)
        patience = min(PATIENCE, board.window / (2 * all_rates))
        span = board.unasked.first(self._from(board, place, others, all_rates), board.edge)
        while span is not None:
            block = min(size, span[1] - span[0])
            sooner = min(others, key=lambda o: o.free + block / o.rate, default=None)
            if sooner is None or sooner.finish(block) + patience >= free + block / rate:
                break
            span = board.unasked.first(span[0] + sooner.take(span[1] - span[0]), board.edge)
        if span is None:
            return None
        if board.known:
            size = self._tail(board, place, frees, size, others)
        if size <= 0 or self._wait_for_window(board, span, size):
            return None
        return span[0], _end(span, size)

    def _from(self, board: Board, place: Place, others: list[_Other], all_rates: float) -> int:
        if place.failures and others:
            distance = min(max(_PROVING_DISTANCE, all_rates), (board.edge - board.ready) // 2)
            return blocks.edge_after(board.ready + max(distance, 1))
        return board.ready

    def _tail(
        self,
        board: Board,
        place: Place,
        frees: list[float],
        size: int,
        others: list[_Other],
    ) -> int:
        rate, free = forecast.lane_rate(board, place), min(frees)
        lanes = [(rate, time) for time in frees]
        lanes += ((other.rate, time) for other in others for time in other.frees)
        share = rate * (water_level(board.unasked.size, lanes) - free)
        floor = blocks.smallest_size(rate, place.rating.latency or 0.0)
        if share < blocks.EDGE:
            rest = min(board.unasked.size, blocks.EDGE)
            mine = free + rest / rate
            if any(other.began + rest / other.rate < mine for other in others):
                return 0
            return blocks.EDGE
        return blocks.tail_size(size, share, floor, rate, spare=place.spare)

    def _wait_for_window(self, board: Board, span: tuple[int, int], size: int) -> bool:
        """Only a sliver of the window is free: wait until it's worth a request. Not until it's
        all of a block: for a far source of a small window that would be too late each time."""
        sliver = span[1] == board.edge < board.stop and span[1] - span[0] < size / 2
        return sliver and bool(board.attempts or board.ready > board.taken)


class _Other:
    """Another source, as it would go on if it were left some blocks."""

    def __init__(self, board: Board, place: Place, now: float) -> None:
        self.rate = forecast.lane_rate(board, place)
        self.lanes = place.lanes
        self.frees = forecast.lanes_free(board, place, now)
        self.began = self.free = min(self.frees)
        self._size = forecast.block_size(board, place, self.rate * self.lanes)

    def finish(self, size: int) -> float:
        """When it would have a block of ``size``."""
        return self.free + size / self.rate

    def take(self, room: int) -> int:
        """It's left its next block; the size of that."""
        size = min(self._size, room)
        self.free += size / (self.rate * self.lanes)
        return size


def _roomy(board: Board, near: int, size: int) -> tuple[int, int] | None:
    """The head, or the first gap at or after ``near`` that has room for ``size``, or the largest:
    a far source between the blocks of others would soon have nothing to do."""
    largest: tuple[int, int] | None = None
    for span in board.unasked.within(near, board.edge):
        if span[0] == board.ready or span[1] - span[0] >= size:
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
