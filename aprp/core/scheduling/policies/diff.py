"""``delay: diff``: a source is given a block as far ahead as others delivered meanwhile."""

from __future__ import annotations

from aprp.core.scheduling.policies.block_queue import BlockQueue
from aprp.core.scheduling.settings import SchedulingSettings
from aprp.core.scheduling.source_state import SourceState
from aprp.core.scheduling.state import TransferState


class Diff(BlockQueue):
    """``diff``: as many blocks ahead as others delivered while this source fetched its last one.

    Position: blocks received from all since this source last asked, less the number of sources,
    plus those out of use. On the first request: ten blocks, or as many as the setting says, for
    each multiple of the least latency by which its own is longer, where both were measured before.
    """

    def __init__(self, settings: SchedulingSettings) -> None:
        super().__init__(settings)
        self._initial_delay = settings.initial_delay
        self._seen: dict[str, int] = {}  # blocks that all had delivered when it was last asked

    def begun(self, source: SourceState) -> None:
        self._seen[source.name] = self._delivered.total()

    def position(self, state: TransferState, source: SourceState, now: float) -> int:
        seen = self._seen.get(source.name)
        if seen is None:
            return self._initial(state, source)
        bad = sum(not other.usable(now) for other in state.sources.values())
        return max(0, self._delivered.total() - seen - len(state.sources) + bad)

    def _initial(self, state: TransferState, source: SourceState) -> int:
        mine = source.rating.latency
        known = [p.rating.latency for p in state.sources.values() if p.rating.latency]
        if not mine or not known:
            return 0
        return int((mine / min(known) - 1) * self._initial_delay)
