"""Which source was asked for which bytes of a transfer, and how far each got: for pictures of it.

Kept whether or not anybody looks, so it costs one small object for each request to a source, and
one attribute for each piece of a body.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container

MOST = 2048
"""Marks kept; the oldest go first."""
_CROWD = 64


class Mark:
    """A request to `source` for the bytes [start, stop), which has brought [start, at)."""

    __slots__ = ("at", "live", "source", "start", "stop")

    def __init__(self, source: str, start: int, stop: int) -> None:
        self.source = source
        self.start = start
        self.at = start
        self.stop = stop
        self.live = True


class Trail:
    """The marks of one transfer, in the order of their requests."""

    def __init__(self) -> None:
        self.marks: deque[Mark] = deque(maxlen=MOST)
        self._open: dict[int, Mark] = {}

    def asked(self, number: int, mark: Mark, running: Container[int]) -> None:
        """Attempt `number` begins; `running` has the numbers of all that go on."""
        if len(self._open) >= _CROWD:
            self.settle(running)
        self._open[number] = mark
        self.marks.append(mark)

    def came(self, number: int, at: int) -> None:
        """Attempt `number` has brought everything before `at`."""
        mark = self._open.get(number)
        if mark is not None:
            mark.at = at

    def settle(self, running: Container[int] = ()) -> None:
        """Close the marks of the attempts that are over."""
        for number in [each for each in self._open if each not in running]:
            self._open.pop(number).live = False
