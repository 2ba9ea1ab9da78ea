"""How many stored bytes are verified at once for a viewer, and how early.

Rules:
- the first bytes are few, so that they leave soon;
- after that it is what the viewer takes in a moment, within bounds, so that a fast one costs few
  turns of threads, and a slow one keeps few files open;
- for a fast viewer the next bytes are verified while the last ones are sent, so that it never
  waits for them. What the kernel holds for a slow one lasts until then.
"""

from __future__ import annotations

from aprp.core.cache.layout import CHUNK
from aprp.core.scheduling.messages import KIB, MIB

FIRST = 256 * KIB
USUAL = CHUNK
MOST = 16 * MIB
MOMENT = 0.05
"""Seconds."""
_GROWTH = 4


class Portions:
    """The portions of one viewer."""

    __slots__ = ("_next", "early")

    def __init__(self) -> None:
        self._next = FIRST
        self.early = True
        """Whether to verify the next portion while this one is sent."""

    def after(self, at: int) -> int:
        """Return where the next portion from the offset `at` on stops: at a chunk's edge, if it
        comes that far.
        """
        stop = at + self._next
        edge = stop // CHUNK * CHUNK
        return edge if edge > at else stop

    def taken(self, count: int, seconds: float) -> None:
        """Take note of how long the viewer took for a portion of `count` bytes."""
        lasts = MOST if seconds <= 0 else int(min(MOST, count / seconds * MOMENT))
        self.early = lasts >= USUAL
        self._next = max(min(_GROWTH * self._next, lasts), USUAL)
