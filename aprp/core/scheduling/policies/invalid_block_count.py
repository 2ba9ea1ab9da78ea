"""The duplicate policies of sphttp: what ``nibib`` and ``ibrc`` have in common.

The source that delivered the most blocks requests the head block again when the count of invalid
blocks, those held but not next in order, is over the threshold. The policies differ in how they
count.

Source: sphttp (2018).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter

from aprp.core.scheduling import blocks
from aprp.core.scheduling.assignment import Assignment
from aprp.core.scheduling.policies.off import Off
from aprp.core.scheduling.settings import SchedulingSettings
from aprp.core.scheduling.source_state import SourceState
from aprp.core.scheduling.state import TransferState


class InvalidBlockCount(Off, ABC):
    """Duplicate requests by a count of invalid blocks, which subclasses keep.

    The threshold is never more than the window's blocks less one.
    """

    def __init__(self, settings: SchedulingSettings) -> None:
        self._threshold = settings.duplicate_threshold
        self._size = max(settings.block_size, blocks.EDGE)
        self._count = 0
        self._delivered: Counter[str] = Counter()

    @abstractmethod
    def count(self, state: TransferState, advanced: bool, before: int) -> int:
        """Return the count after one more block, which was ``before`` until then."""

    def completed(self, state: TransferState, source: SourceState, advanced: bool) -> None:
        self._delivered[source.name] += 1
        self._count = self.count(state, advanced, self._count)

    def choose(self, state: TransferState, source: SourceState, now: float) -> Assignment | None:
        head = state.head
        most = max(self._delivered.values(), default=0)
        if source.attempts or head is None or head.source == source.name:
            return None
        threshold = min(self._threshold, state.window // self._size - 1)
        if self._delivered[source.name] < max(most, 1) or self._count <= threshold:
            return None
        if state.covered(head.at, head.stop) > 1:
            return None
        return Assignment(state.ready, head.stop)
