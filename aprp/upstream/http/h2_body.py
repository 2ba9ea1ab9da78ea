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


@implementer(IConsumer)
class OutgoingBody:
    """The body of one stream. `changed` is called when there is something to send."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.sent = 0
        """Bytes handed to the socket."""
        self.ending = False
        self.largest = 0
        """The largest window that the receiver has opened."""
        self.code: int | None = None
        """The error code with which the stream ends, if the body isn't complete."""
        self._changed = changed
        self._held: deque[bytes] = deque()
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
            self._held.append(data)
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

    def take(self, most: int) -> bytes:
        """Remove and return the next bytes, at most so many."""
        first, at = self._held[0], self._at
        if len(first) - at >= most:
            data = first[at : at + most] if at or len(first) > most else first
            self._at = at + most
            if self._at == len(first):
                self._held.popleft()
                self._at = 0
        else:
            data = self._gathered(most)
        self._size -= len(data)
        self.sent += len(data)
        return data

    def _gathered(self, most: int) -> bytes:
        """Join small pieces into one frame."""
        pieces, left = [], most
        while self._held and left:
            piece = self._held.popleft()
            useful = piece[self._at : self._at + left]
            if self._at + len(useful) < len(piece):
                self._held.appendleft(piece)
                self._at += len(useful)
            else:
                self._at = 0
            pieces.append(useful)
            left -= len(useful)
        return b"".join(pieces)

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
