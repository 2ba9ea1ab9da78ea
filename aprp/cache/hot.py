"""Blocks that were read lately, in memory: small ranges of the same place need no thread."""

from __future__ import annotations

from collections import OrderedDict

from aprp.core.scheduling.messages import MIB

Place = tuple[int, int]
"""A stored file's id, and the offset of a block."""


class Hot:
    """Verified blocks of all files, at most `most` bytes. The least recently used goes first."""

    def __init__(self, most: int = 16 * MIB) -> None:
        self._most = most
        self._size = 0
        self._blocks: OrderedDict[Place, bytes] = OrderedDict()

    def get(self, place: Place) -> bytes | None:
        """Return the block, or None if it isn't held."""
        found = self._blocks.get(place)
        if found is not None:
            self._blocks.move_to_end(place)
        return found

    def put(self, place: Place, block: bytes) -> None:
        """Hold a block."""
        self._size += len(block) - len(self._blocks.pop(place, b""))
        self._blocks[place] = block
        while self._size > self._most:
            _, dropped = self._blocks.popitem(last=False)
            self._size -= len(dropped)

    def forget(self, file: int) -> None:
        """Drop the blocks of a file."""
        for place in [each for each in self._blocks if each[0] == file]:
            self._size -= len(self._blocks.pop(place))
