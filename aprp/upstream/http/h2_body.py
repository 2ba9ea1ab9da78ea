"""The body of one stream that is sent over HTTP/2: what waits for the receiver's window."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IConsumer
from zope.interface import implementer

HELD = 65536
"""Bytes that wait for the receiver's window before the producer is paused."""
WORTH = 4096
"""Bytes that are worth a frame while more is to follow."""

Piece = bytes | memoryview


@implementer(IConsumer)
class OutgoingBody:
    """The body of one stream. `changed` is called when there is something to send."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.sent = 0
        """Bytes handed to the socket."""
        self.ending = False
        self.over = False
        """Whether the end was sent, too."""
        self.largest = 0
        """The largest window that the receiver has opened."""
        self.code: int | None = None
        """The error code with which the stream ends, if the body isn't complete."""
        self._changed = changed
        self._held: deque[memoryview] = deque()
        self._size = 0
        self._at = 0  # in the first piece
        self._producer: Any = None
        self._streaming = True
        self._paused = False

    def __bool__(self) -> bool:
        """Whether bytes, or the end, are still to be sent."""
        return self._size > 0 or self.ending

    @property
    def size(self) -> int:
        """The bytes that wait."""
        return self._size

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._producer, self._streaming, self._paused = producer, streaming, False
        if not streaming:
            producer.resumeProducing()
        elif self._size > HELD:
            self._pause()

    def unregisterProducer(self) -> None:
        self._producer = None

    def write(self, data: bytes) -> None:
        if data:
            self._held.append(memoryview(data))
            self._size += len(data)
            self._changed()
            if self._size > HELD:
                self._pause()

    def writeSequence(self, pieces: Any) -> None:
        self.write(b"".join(pieces))

    def end(self) -> None:
        """Nothing follows what was written."""
        self.ending = True
        self._changed()

    def cut(self, code: int) -> None:
        """Reset the stream once what was written has been sent."""
        self.code = code
        self.end()

    def take(self, most: int, largest: int, head: Callable[[int], bytes]) -> list[Piece]:
        """Remove the next bytes, at most so many, and return them as frames of `largest` bytes.

        `head` gives what precedes so many bytes in a frame. Nothing is copied.
        """
        frames: list[Piece] = []
        left = min(most, self._size)
        self._size -= left
        self.sent += left
        while left:
            count = min(left, largest)
            frames.append(head(count))
            self._move(count, frames)
            left -= count
        return frames

    def _move(self, count: int, frames: list[Piece]) -> None:
        while count:
            first, at = self._held[0], self._at
            there = len(first) - at
            if there > count:
                frames.append(first[at : at + count])
                self._at = at + count
                return
            frames.append(first[at:] if at else first)
            self._held.popleft()
            self._at = 0
            count -= there

    def fits(self, window: int) -> bool:
        """Return whether it is worth sending what the receiver's window allows.

        A window that is opened bit by bit, as bytes come, would stay in bits for good.
        """
        self.largest = max(self.largest, window)
        return window > 0 and window >= min(self._size, WORTH, self.largest // 2)

    def refill(self) -> None:
        """Let the producer bring more, if there is room."""
        if self._producer is None or self._size > HELD // 2:
            return
        if not self._streaming:
            if not self._size:
                self._producer.resumeProducing()
        elif self._paused:
            self._paused = False
            self._producer.resumeProducing()

    def drop(self) -> None:
        """Forget everything: the stream is over."""
        self._held.clear()
        self._size, self._at, self.ending = 0, 0, False

    def _pause(self) -> None:
        if self._producer is not None and self._streaming and not self._paused:
            self._paused = True
            self._producer.pauseProducing()
