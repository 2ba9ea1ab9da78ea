"""What this process is about to write to the index, and who waits for that.

A turn to ask the sources ends once the other processes can find what it has brought.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Writing:
    """The changes of one key that aren't in the index yet, and the turns that end after them."""

    count: int = 0
    turns: list[bytes] = field(default_factory=list)


class Changes:
    """The changes that are under way, by key. `end` is called with each turn that has ended."""

    def __init__(self, end: Callable[[bytes], object]) -> None:
        self._end = end
        self._writing: dict[bytes, _Writing] = {}

    def begin(self, key: bytes) -> None:
        """Note that something under a key is being written."""
        self._writing.setdefault(key, _Writing()).count += 1

    def done(self, key: bytes) -> None:
        """Note that it is written, or that this has failed."""
        writing = self._writing[key]
        writing.count -= 1
        if not writing.count:
            del self._writing[key]
            for turn in writing.turns:
                self._end(turn)

    def end_turn(self, turn: bytes, key: bytes) -> None:
        """End a turn as soon as all that is under way for a key is written."""
        if key in self._writing:
            self._writing[key].turns.append(turn)
        else:
            self._end(turn)
