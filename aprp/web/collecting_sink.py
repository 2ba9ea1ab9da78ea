"""A body that is kept in memory on its way to a client."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IConsumer
from zope.interface import implementer


@implementer(IConsumer)
class CollectingSink:
    """Passes a body on to `sink`, and keeps it if it has at most `most` bytes."""

    def __init__(self, sink: Any, most: int) -> None:
        self._sink = sink
        self._most = most
        self._pieces: list[bytes] | None = []
        self._size = 0

    @property
    def body(self) -> bytes | None:
        """What was written, or None if it was too much."""
        return None if self._pieces is None else b"".join(self._pieces)

    def write(self, data: bytes) -> None:
        if self._pieces is not None:
            self._size += len(data)
            if self._size > self._most:
                self._pieces = None
            else:
                self._pieces.append(data)
        self._sink.write(data)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._sink.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        self._sink.unregisterProducer()
