"""Which chunk makes room: S3-FIFO, over queues that the index keeps.

What is new enters a small queue, a tenth of the cache. What was used there again moves on to the
main queue when its turn comes; the rest leaves, and is remembered for a while: if it comes back, it
enters the main queue at once. So one pass through a large library costs the small queue only. In
the main queue, what was used since its last turn gets another one.

Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023.
"""

from __future__ import annotations

from enum import Enum, IntEnum

SMALL_SHARE = 0.1
"""The part of the cache that the small queue has."""
MOST_USES = 3
"""Further uses aren't counted."""


class Queue(IntEnum):
    """Where a chunk waits for its turn; the numbers are those of the index."""

    SMALL = 0
    MAIN = 1
    PINNED = 2
    """Never evicted."""


class Fate(Enum):
    """What becomes of the chunk whose turn it is."""

    EVICT = "evict"
    TO_MAIN = "to main"
    """It goes to the end of the main queue, as if it hadn't been used."""
    AGAIN = "again"
    """It goes to the end of its queue, and has one use less."""


def enters(pinned: bool, remembered: bool) -> Queue:
    """Return the queue of a new chunk; `remembered`: it left the small queue not long ago."""
    if pinned:
        return Queue.PINNED
    return Queue.MAIN if remembered else Queue.SMALL


def whose_turn(small: int, main: int) -> Queue | None:
    """Return the queue that gives up a chunk, by the bytes that both hold; None: both are empty."""
    if small == 0 and main == 0:
        return None
    return Queue.SMALL if main == 0 or small > (small + main) * SMALL_SHARE else Queue.MAIN


def fate(queue: Queue, uses: int) -> Fate:
    """Return what becomes of the first chunk of a queue when room is needed."""
    if uses == 0:
        return Fate.EVICT
    return Fate.TO_MAIN if queue is Queue.SMALL else Fate.AGAIN
