"""The older algorithms, as those who used sphttp know them.

All of them cut the file into blocks of one size, give a source one block at a time, and choose it
by its position in the queue of blocks that were not asked for, in file order. They differ in that
position (delay requests) and in when the head block is asked a second time (duplicate requests).

Source: sphttp (2018), after Funasaka et al., "An adaptive parallel downloading method for proxy
servers" (2007). Not taken over: its unbounded buffer (here only blocks inside the window are
asked), and that a source which stops never comes back (here it does when a block is put back).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from aprp.core.scheduling import blocks
from aprp.core.scheduling.policies.rescue import Assignment
from aprp.core.scheduling.state import AttemptState, SourceState, TransferState

_GIVES_UP = 0.9


class Queue(ABC):
    """Delay requests by position in the queue. Subclasses state the position.

    Args:
        block_size: bytes.
    """

    def __init__(self, block_size: int) -> None:
        self._size = max(block_size, blocks.EDGE)
        self._stopped: dict[str, int] = {}

    @abstractmethod
    def position(self, state: TransferState, source: SourceState, now: float) -> int:
        """How many blocks of the queue the source leaves to others, at least 0."""

    def choose(
        self, state: TransferState, source: SourceState, now: float
    ) -> tuple[int, int] | None:
        """The block to ask of the source now; None while it has one, or for nothing."""
        if source.attempts or self._stopped.get(source.name) == state.returned:
            return None
        size = min(self._size, max(blocks.EDGE, state.window // 2))
        left = sum((stop - 1) // size - start // size + 1 for start, stop in state.unasked)
        position = self.position(state, source, now) if left > 1 else 0
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
        """A source is asked when it has nothing to do."""
        return None if source.attempts else now

    def opens_ahead(self, state: TransferState, source: SourceState, now: float) -> bool:
        """Never: there is one request at a time."""
        return False

    def _queue(self, state: TransferState, size: int) -> Iterator[tuple[int, int]]:
        """The blocks inside the window that nobody was asked for; one that the window cuts is
        left until it fits, unless nothing else is going on."""
        for start, stop in state.unasked.within(state.ready, state.edge):
            while start < stop:
                end = min((start // size + 1) * size, stop)
                cut = end == state.edge < state.stop and end % size
                if cut and (state.attempts or state.ready > state.taken):
                    return
                yield start, end
                start = end


class Normal(Queue):
    """``normal``: the first block nobody was asked for."""

    def position(self, state: TransferState, source: SourceState, now: float) -> int:
        return 0


class Diff(Queue):
    """``diff``: as many blocks ahead as others delivered while this source fetched its last one.

    Position: blocks received from all since this source last asked, less the number of sources,
    plus those out of use. On the first request: ten blocks, or as many as the setting says, for
    each multiple of the least latency by which its own is longer, where both were measured before.
    """

    def position(self, state: TransferState, source: SourceState, now: float) -> int:
        if source.seen is None:
            return self._initial(state, source)
        bad = sum(not other.usable(now) for other in state.sources.values())
        received = sum(other.blocks for other in state.sources.values())
        return max(0, received - source.seen - len(state.sources) + bad)

    def _initial(self, state: TransferState, source: SourceState) -> int:
        mine = source.rating.latency
        known = [p.rating.latency for p in state.sources.values() if p.rating.latency]
        if not mine or not known:
            return 0
        return int((mine / min(known) - 1) * state.initial_delay)


class Inverse(Queue):
    """``inv``: the further ahead, the fewer blocks it delivered beside the best source.

    Position: most blocks any source delivered over those of this one, less one; all that is left
    for one that delivered none while another has.
    """

    def position(self, state: TransferState, source: SourceState, now: float) -> int:
        most = max(other.blocks for other in state.sources.values())
        if not most:
            return 0
        left = -(-state.missing.size // self._size)
        if not source.blocks:
            return left
        return min(left, int(most / source.blocks - 1))


class Static(Queue):
    """``static``: the number of blocks given for the source."""

    def position(self, state: TransferState, source: SourceState, now: float) -> int:
        return source.spec.static_delay


class NoDuplicates:
    """``off``: nothing is asked twice; a late block is waited for."""

    def choose(self, state: TransferState, source: SourceState, now: float) -> Assignment | None:
        """The block to ask a second time."""
        return None

    def doubtful(self, state: TransferState, now: float) -> list[AttemptState]:
        """None: silence is left to timeouts."""
        return []

    def overlong(self, state: TransferState, now: float) -> list[tuple[AttemptState, int]]:
        """None: a block is fetched as it was asked."""
        return []

    def wake(self, state: TransferState, now: float) -> float | None:
        """Never."""
        return None

    def arrived(self, state: TransferState, advanced: bool) -> None:
        """A block came whole; ``advanced`` if the client could take something for it."""


class _ByCount(NoDuplicates):
    """The source that delivered the most blocks asks again for the head block, when the count of
    invalid blocks (held, but not the next to be delivered) is over the threshold.

    Args:
        threshold: blocks; never more than the window's blocks less one.
        block_size: bytes.
    """

    def __init__(self, threshold: int, block_size: int) -> None:
        self._threshold = threshold
        self._size = max(block_size, blocks.EDGE)
        self._count = 0

    def choose(self, state: TransferState, source: SourceState, now: float) -> Assignment | None:
        head = state.head
        most = max(other.blocks for other in state.sources.values())
        if source.attempts or head is None or head.source == source.name:
            return None
        threshold = min(self._threshold, state.window // self._size - 1)
        if source.blocks < max(most, 1) or self._count <= threshold:
            return None
        if state.covered(head.at, head.stop) > 1:
            return None
        return Assignment(head.at, head.stop)


class WaitingBlocks(_ByCount):
    """``nibib``: the count is the number of blocks that wait in the buffer."""

    def arrived(self, state: TransferState, advanced: bool) -> None:
        self._count = (state.buffered() - (state.ready - state.taken)) // self._size


class VainReads(_ByCount):
    """``ibrc``: the count grows by one each time a block comes and the reader still finds
    nothing, and is 0 again when it finds something."""

    def arrived(self, state: TransferState, advanced: bool) -> None:
        self._count = 0 if advanced else self._count + 1
