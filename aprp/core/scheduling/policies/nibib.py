"""``duplicate: nibib``: counts the number of invalid blocks in the buffer."""

from __future__ import annotations

from aprp.core.scheduling.policies.invalid_block_count import InvalidBlockCount
from aprp.core.scheduling.state import TransferState


class Nibib(InvalidBlockCount):
    """``nibib``: the count is the number of blocks that wait in the buffer."""

    def count(self, state: TransferState, advanced: bool, before: int) -> int:
        return (state.buffered() - (state.ready - state.taken)) // self._size
