"""A body that is kept in memory on its way to a client."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.internet.interfaces import IConsumer
from zope.interface import implementer

MOST_HELD = 64 * 1024 * 1024
"""Bytes of all bodies that are kept like this at a time."""


@implementer(IConsumer)
class CollectingSink:
    """Passes a body on to `sink`, and keeps it if it has at most `most` bytes and there is memory.

    Call `close` when the body isn't needed any more.
    """

    _held: ClassVar[int] = 0

    def __init__(self, sink: Any, most: int) -> None:
        self._sink = sink
        self._most = most
        self._pieces: list[bytes] | None = []
        self._size = 0

    @property
    def body(self) -> bytes | None:
        """What was written, or None if it was too much."""
        return None if self._pieces is None else b"".join(self._pieces)

    def close(self) -> None:
        """Keep nothing."""
        CollectingSink._held -= self._size
        self._pieces, self._size = None, 0

    def write(self, data: bytes) -> None:
        if self._pieces is not None:
            self._size += len(data)
            CollectingSink._held += len(data)
            if self._size > self._most or CollectingSink._held > MOST_HELD:
                self.close()
            else:
                self._pieces.append(data)
        self._sink.write(data)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._sink.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        self._sink.unregisterProducer()
