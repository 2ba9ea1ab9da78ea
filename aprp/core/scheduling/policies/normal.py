"""``delay: normal``: no delay requests."""

from __future__ import annotations

from aprp.core.scheduling.policies.block_queue import BlockQueue
from aprp.core.scheduling.source_state import SourceState
from aprp.core.scheduling.state import TransferState


class Normal(BlockQueue):
    """``normal``: the first block not requested yet."""

    def position(self, state: TransferState, source: SourceState, now: float) -> int:
        return 0
