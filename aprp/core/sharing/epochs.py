"""The epoch of what is stored under each key, which ends when a request invalidates it. Pure.

The numbers lie in memory that several processes see. What a process learned in an earlier epoch may
be out of date. Keys share numbers, so an epoch may end for no reason, but never goes unnoticed.
"""

from __future__ import annotations

from zlib import crc32

EPOCHS = 1 << 14
"""Numbers that the keys share."""
EPOCH_BYTES = 8 * EPOCHS


class Epochs:
    """The epochs in `memory`, which has `EPOCH_BYTES`."""

    def __init__(self, memory: memoryview) -> None:
        self._numbers = memory.cast("Q")

    @classmethod
    def alone(cls) -> Epochs:
        """Return those of a process that shares them with no other."""
        return cls(memoryview(bytearray(EPOCH_BYTES)))

    def of(self, key: bytes) -> int:
        """Return the number of the epoch of a key."""
        return self._numbers[crc32(key) % EPOCHS]

    def end(self, key: bytes) -> None:
        """End the epoch of a key. The caller holds a lock if there are other processes."""
        at = crc32(key) % EPOCHS
        self._numbers[at] = (self._numbers[at] + 1) % (1 << 64)
