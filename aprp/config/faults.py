"""What is wrong with a configuration, where, and what to do about it.

Each fault and warning is one line, ``FILE:LINE:COLUMN: key.path: what is wrong``, which people,
editors and scripts can all read. Lines and columns count from 1. Faults of the file as a whole have
``file`` or ``yaml`` instead of a key.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from aprp.core.values import dataclass


class Position(NamedTuple):
    """A position in a file, both counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault or warning at one position of a file."""

    file: str
    place: Position
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.place.line}:{self.place.column}: {self.key}: {self.message}"


class ConfigFaults(Exception):
    """An invalid configuration. ``str()`` has one line per fault."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


def shown(text: str, most: int = 60) -> str:
    """Quote a text for a message, on one line and shortened to `most` characters."""
    return repr(text if len(text) <= most else text[: most - 3] + "...")


def nearest(text: str, known: Iterable[str]) -> str | None:
    """Return the known word that was probably meant, or None.

    One typo is allowed for every three letters. Failing that, the only word that has the text as
    one of its parts is returned: ``basic_auth`` for ``auth``.
    """
    by_folded = {word.lower().replace("-", "_"): word for word in known}
    folded = text.lower().replace("-", "_")
    close = [
        (slips, word[:1] != folded[:1], word)
        for word in by_folded
        if (slips := _slips(folded, word)) <= max(1, min(len(folded), len(word)) // 3)
        and slips < max(len(folded), len(word))
    ]
    if close:
        return by_folded[min(close)[2]]
    holding = [word for word in by_folded if folded in word.split("_")]
    return by_folded[holding[0]] if len(holding) == 1 else None


def _slips(one: str, other: str) -> int:
    """Return the edit distance: insertions, deletions, substitutions and swaps of neighbours."""
    if abs(len(one) - len(other)) > 4 or len(one) > 60:
        return len(one) + len(other)
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one):
        earlier, before, row = before, row, [i + 1]
        for j, b in enumerate(other):
            least = min(before[j] + (a != b), before[j + 1] + 1, row[j] + 1)
            if i and j and a == other[j - 1] and b == one[i - 1]:
                least = min(least, earlier[j - 1] + 1)
            row.append(least)
    return row[-1]


def listed(words: Iterable[str]) -> str:
    """Join words as ``a``, ``a or b``, ``a, b or c``."""
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
