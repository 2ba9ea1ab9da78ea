"""The memory of one worker, as far as the other workers are concerned.

While the windows of all deliveries fit into the memory, nothing is divided. If they don't, it is
divided among the workers as a worker divides its own among deliveries.
"""

from __future__ import annotations

from collections.abc import Callable

from aprp.core.scheduling.shares import MemoryClaim, windows
from aprp.daemon.workers.common import Common
from aprp.web.memory_watch import resident

WAITING = "bytes waiting"
RESIDENT = "resident memory"


class SharedMemory:
    """What this worker has, and what the others leave to it."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self._short = False

    def part(self, memory: int, most: int, claim: Callable[[], MemoryClaim]) -> int | None:
        """Return how much of the memory this worker may use; see `MemoryPool.part`."""
        with self._common:
            others = dict(self._common.elsewhere(WAITING, ""))
            short = most + sum(values[0] for values in others.values()) > memory
            own = claim() if short and most else MemoryClaim(most, most)
            self._common.note(WAITING, "", most, own.wanted, own.used)
        if short and not self._short:
            self._common.ring(others)
        self._short = short
        if not short:
            return None
        claims = [MemoryClaim(wanted, used) for _, wanted, used, _ in others.values()]
        return windows(memory, [own, *claims])[0]

    def resident(self) -> int:
        """Return the resident memory of all workers."""
        has = resident()
        with self._common:
            self._common.note(RESIDENT, "", has)
            return has + self._common.count(RESIDENT, "")
