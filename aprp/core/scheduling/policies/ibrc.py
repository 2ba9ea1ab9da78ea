"""``duplicate: ibrc``: counts invalid blocks by read count."""

from __future__ import annotations

from aprp.core.scheduling.policies.invalid_block_count import InvalidBlockCount
from aprp.core.scheduling.state import TransferState


class Ibrc(InvalidBlockCount):
    """``ibrc``: the count grows by one each time a block comes and the reader still finds
    nothing, and is 0 again when it finds something."""

    def count(self, state: TransferState, advanced: bool, before: int) -> int:
        return 0 if advanced else before + 1
