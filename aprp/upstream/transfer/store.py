"""Where the bytes of a transfer wait between a source and the client: in memory, or in pipes.

Pieces are written at their offsets in the file, in any order and never over each other, and taken
from the front. They are kept as they came: nothing is copied or joined.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from aprp.upstream.splice.piped import Piece, as_bytes


class Store:
    """The bytes that wait, by offset. `size` is how many are held."""

    def __init__(self) -> None:
        self.size = 0
        self._starts: list[int] = []
        self._pieces: dict[int, Piece] = {}

    def write(self, start: int, data: Piece) -> None:
        """Keep `data`, which begins at the offset `start` and overlaps nothing held."""
        if not data:
            return
        if not self._starts or start > self._starts[-1]:
            self._starts.append(start)
        else:
            self._starts.insert(bisect_left(self._starts, start), start)
        self._pieces[start] = data
        self.size += len(data)

    def take(self, start: int) -> Piece:
        """The piece that begins at `start`, which is no longer held; empty if there is none."""
        piece = self._pieces.pop(start, b"")
        if piece:
            del self._starts[bisect_left(self._starts, start)]
            self.size -= len(piece)
        return piece

    def read(self, start: int, stop: int) -> list[memoryview]:
        """Return [start, stop), all of which is held, without taking it."""
        at = max(0, bisect_right(self._starts, start) - 1)
        views = []
        for begin in self._starts[at : bisect_left(self._starts, stop)]:
            view = memoryview(as_bytes(self._pieces[begin]))
            views.append(view[max(0, start - begin) : max(0, stop - begin)])
        return views

    def forget(self, start: int, stop: int) -> None:
        """Drop what is held of [start, stop)."""
        at = max(0, bisect_left(self._starts, start) - 1)
        for begin in [each for each in self._starts[at:] if each < stop]:
            piece = self._pieces[begin]
            if begin + len(piece) <= start:
                continue
            self.take(begin)
            data = as_bytes(piece)
            self.write(begin, data[: max(0, start - begin)])
            self.write(max(begin, stop), data[max(0, stop - begin) :])

    def clear(self) -> None:
        """Drop everything."""
        self._starts.clear()
        self._pieces.clear()
        self.size = 0
