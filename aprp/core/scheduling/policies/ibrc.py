"""``duplicate: ibrc``: counts invalid blocks by read count."""

from __future__ import annotations

from aprp.core.scheduling.policies.invalid_block_count import InvalidBlockCount
from aprp.core.scheduling.state import TransferState


class Ibrc(InvalidBlockCount):
    """``ibrc``: the count grows by one each time a block comes and the reader still finds
    nothing, and is 0 again when it finds something."""

    def arrived(self, state: TransferState, advanced: bool) -> None:
        self._count = 0 if advanced else self._count + 1
