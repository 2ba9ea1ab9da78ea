"""The latest bytes of a shared fetch, in memory."""

from __future__ import annotations

from bisect import bisect_right


class Tail:
    """Bytes that were appended one after the other, of which the first may be dropped.

    Pieces are kept as they came: nothing is copied or joined.
    """

    __slots__ = ("_pieces", "_starts", "start", "stop")

    def __init__(self, start: int) -> None:
        self.start = start
        self.stop = start
        self._starts: list[int] = []
        self._pieces: list[bytes] = []

    def append(self, data: bytes) -> None:
        """Add the next bytes."""
        self._starts.append(self.stop)
        self._pieces.append(data)
        self.stop += len(data)

    def at(self, offset: int) -> bytes:
        """Return bytes from `offset` on: at least one, or none if it isn't held."""
        if not self.start <= offset < self.stop:
            return b""
        index = bisect_right(self._starts, offset) - 1
        skipped = offset - self._starts[index]
        piece = self._pieces[index]
        return piece[skipped:] if skipped else piece

    def drop(self, before: int) -> None:
        """Drop the pieces that end at or before that offset."""
        index = max(0, bisect_right(self._starts, before) - 1)
        if self._starts and self.stop <= before:
            index = len(self._starts)
        if index:
            del self._starts[:index], self._pieces[:index]
            self.start = self._starts[0] if self._starts else self.stop
