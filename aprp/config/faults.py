"""What is wrong with a configuration, where, and what to do about it.

Everything that is said of a file is one line, ``FILE:LINE:COLUMN: key.path: what is wrong``, so
that people, editors and scripts read it alike. Lines and columns count from 1. What concerns the
file as a whole has ``file`` or ``yaml`` in the place of the key.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


class Position(NamedTuple):
    """A position in a file, both counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong (or, as a warning, worth knowing) at one place of a file."""

    file: str
    place: Position
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.place.line}:{self.place.column}: {self.key}: {self.message}"


class ConfigFaults(Exception):
    """A configuration that can't be used. ``str()`` is one line for each fault."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


def shown(text: str, most: int = 60) -> str:
    """The text as part of a message: quoted, on one line, and not too long."""
    return repr(text if len(text) <= most else text[: most - 3] + "...")


def nearest(text: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant, or None."""
    by_folded = {word.lower().replace("-", "_"): word for word in known}
    folded = text.lower().replace("-", "_")
    close = difflib.get_close_matches(folded, by_folded, n=1, cutoff=0.6)
    return by_folded[close[0]] if close else None


def listed(words: Iterable[str]) -> str:
    """``a``, ``a or b``, ``a, b or c``."""
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
