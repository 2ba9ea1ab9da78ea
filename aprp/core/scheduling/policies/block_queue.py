"""The delay policies of sphttp: what ``normal``, ``diff``, ``inv`` and ``static`` have in common.

The file is cut into blocks of one size, a source has one block at a time, and its next one is found
by its position in the queue of blocks not requested yet, in file order. The policies
differ in that position.

Source: sphttp (2018), after Funasaka et al., "An adaptive parallel downloading method for proxy
servers" (2007). Two things are different here: only blocks inside the window are requested, where
sphttp buffers without limit; and a source that stopped starts again when a block is put back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator

from aprp.core.scheduling import blocks
from aprp.core.scheduling.settings import SchedulingSettings
from aprp.core.scheduling.source_state import SourceState
from aprp.core.scheduling.state import TransferState

_GIVES_UP = 0.9


class BlockQueue(ABC):
    """Delay requests by position in the queue, which subclasses define."""

    def __init__(self, settings: SchedulingSettings) -> None:
        self._size = max(settings.block_size, blocks.EDGE)
        self._stopped: dict[str, int] = {}
        self._delivered: Counter[str] = Counter()  # blocks, by source

    @abstractmethod
    def position(self, state: TransferState, source: SourceState, now: float) -> int:
        """Return how many blocks of the queue the source leaves to others, at least 0."""

    def choose(
        self, state: TransferState, source: SourceState, now: float
    ) -> tuple[int, int] | None:
        """Return the block to request from the source now; None while it has one, or for none."""
        others = self._others_work(state, source, now)
        if source.attempts or (others and self._stops(source, state)):
            return None
        size = min(self._size, max(blocks.EDGE, state.window // 2))
        left = sum((stop - 1) // size - start // size + 1 for start, stop in state.unrequested)
        position = self.position(state, source, now) if left > 1 and others else 0
        if position * _GIVES_UP > left:
            self._stopped[source.name] = state.returned
            return None
        chosen = None
        for index, block in enumerate(self._queue(state, size)):
            chosen = block
            if index >= position:
                break
        return chosen

    def due(self, state: TransferState, source: SourceState, now: float) -> float | None:
        """Return now for a source that is idle."""
        return None if source.attempts else now

    def opens_ahead(self, state: TransferState, source: SourceState, now: float) -> bool:
        """Never: there is one request at a time."""
        return False

    def begun(self, source: SourceState) -> None:  # noqa: B027
        """Record that a block was requested from the source."""

    def completed(self, source: SourceState) -> None:
        """Note that the source delivered a block."""
        self._delivered[source.name] += 1

    def _queue(self, state: TransferState, size: int) -> Iterator[tuple[int, int]]:
        """Give the blocks inside the window not requested yet; one that the window cuts is left
        until it fits, unless nothing else is in progress."""
        for start, stop in state.unrequested.within(state.ready, state.edge):
            while start < stop:
                end = min((start // size + 1) * size, stop)
                cut = end == state.edge < state.stop and end % size
                if cut and (state.attempts or state.deliverable > state.taken):
                    return
                yield start, end
                start = end

    def _stops(self, source: SourceState, state: TransferState) -> bool:
        """Return whether the source left everything to others, and nothing came back since."""
        return self._stopped.get(source.name) == state.returned

    def _others_work(self, state: TransferState, source: SourceState, now: float) -> bool:
        """Return whether another source would fetch the blocks that this one leaves."""
        return any(
            other.attempts or (other.usable(now) and not self._stops(other, state))
            for other in state.sources.values()
            if other is not source
        )
