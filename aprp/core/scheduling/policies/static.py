"""``delay: static``: a source is given a block as far ahead as its ``static_delay`` says."""

from __future__ import annotations

from aprp.core.scheduling.policies.block_queue import BlockQueue
from aprp.core.scheduling.source_state import SourceState
from aprp.core.scheduling.state import TransferState


class Static(BlockQueue):
    """``static``: the number of blocks given for the source."""

    def position(self, state: TransferState, source: SourceState, now: float) -> int:
        return source.spec.static_delay
