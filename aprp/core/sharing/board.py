"""Counts that several processes keep on memory that all of them see. Pure.

Each process has a row, which it alone writes, and reads all rows. A row is a hash table of cells:
a key and `VALUES` numbers, all 0 for what isn't there. The caller holds a lock while it writes, or
reads numbers to decide by them. When a process dies, its row is cleared.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b

VALUES = 4
_WORDS = 1 + VALUES
CELLS = 1 << 15
"""The cells of a row."""
ROW_BYTES = 8 * _WORDS * CELLS
_FULL = CELLS * 3 // 4  # cells; beyond them, searches would take long

Values = tuple[int, ...]
NONE: Values = (0,) * VALUES


@lru_cache(4096)
def key_of(kind: str, name: str) -> int:
    """Return the key of a name, among those of its kind; never 0."""
    digest = blake2b(f"{kind} {name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


class Row:
    """The cells of one process, in 64-bit words: open addressing with linear probing."""

    def __init__(self, words: memoryview) -> None:
        self._words = words
        self._used = 0

    def get(self, key: int) -> Values:
        """Return the values of a key."""
        at = self._find(key)
        return tuple(self._words[at + 1 : at + _WORDS]) if self._words[at] == key else NONE

    def put(self, key: int, values: Values) -> None:
        """Set the values of a key; a row that is full takes no other key."""
        words, at = self._words, self._find(key)
        if words[at] != key:
            if values == NONE or self._used >= _FULL:
                return
            self._used += 1
        elif values == NONE:
            self._used -= 1
            self._remove(at)
            return
        words[at + 1 : at + _WORDS] = array("Q", values)
        words[at] = key

    def clear(self) -> None:
        """Remove all keys."""
        self._used = 0
        self._words[:] = array("Q", bytes(8 * len(self._words)))

    def _find(self, key: int) -> int:
        """Return the place of the key, or of the cell where it would be."""
        words, size = self._words, len(self._words)
        at = key % CELLS * _WORDS
        for _ in range(CELLS):
            if words[at] in (key, 0):
                break
            at = (at + _WORDS) % size
        return at

    def _remove(self, hole: int) -> None:
        """Empty a cell, and move those that are found past it into its place."""
        words, size = self._words, len(self._words)
        at = hole
        while key := words[at := (at + _WORDS) % size]:
            home = key % CELLS * _WORDS
            if (at - home) % size >= (at - hole) % size:
                words[hole : hole + _WORDS] = words[at : at + _WORDS]
                hole = at
        words[hole : hole + _WORDS] = array("Q", bytes(8 * _WORDS))


class Board:
    """The rows of all processes; `own` is the number of this one's."""

    def __init__(self, memory: memoryview, own: int) -> None:
        words = memory.cast("Q")
        size = CELLS * _WORDS
        self._rows = [Row(words[at : at + size]) for at in range(0, len(words), size)]
        self._own = own

    def elsewhere(self, key: int) -> Iterator[tuple[int, Values]]:
        """Give the number of each other process that has the key, and its values."""
        for number, row in enumerate(self._rows):
            if number != self._own and (values := row.get(key)) is not NONE:
                yield number, values

    def note(self, key: int, *values: int) -> None:
        """Set this process's first values of the key; the others are 0."""
        self._rows[self._own].put(key, values + NONE[len(values) :])

    def clear(self, number: int) -> None:
        """Clear the row of a process that is gone."""
        self._rows[number].clear()
