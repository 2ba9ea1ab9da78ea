"""``delay: inv``: a source is given a block further ahead the fewer it delivered."""

from __future__ import annotations

from aprp.core.scheduling.policies.block_queue import BlockQueue
from aprp.core.scheduling.source_state import SourceState
from aprp.core.scheduling.state import TransferState


class Inverse(BlockQueue):
    """``inv``: the fewer blocks it has delivered compared with the best source, the further ahead.

    Position: most blocks any source delivered over those of this one, less one; all that is left
    for one that delivered none while another has.
    """

    def position(self, state: TransferState, source: SourceState, now: float) -> int:
        most = max(self._delivered.values(), default=0)
        if not most:
            return 0
        left = -(-state.missing.size // self._size)
        mine = self._delivered[source.name]
        if not mine:
            return left
        return min(left, int(most / mine - 1))
