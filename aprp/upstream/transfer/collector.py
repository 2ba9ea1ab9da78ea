"""A consumer that keeps a few bytes, for bodies that are read to be examined or dropped."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IConsumer
from zope.interface import implementer


@implementer(IConsumer)
class Collector:
    """A consumer that keeps the first `keep` bytes that it gets, and drops the rest."""

    def __init__(self, keep: int = 0) -> None:
        self._keep = keep
        self._data = bytearray()

    @property
    def data(self) -> bytes:
        """The bytes that it keeps."""
        return bytes(self._data)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Do nothing: it is never full."""

    def unregisterProducer(self) -> None:
        """Do nothing: it holds no producer."""

    def write(self, data: bytes) -> None:
        if len(self._data) < self._keep:
            self._data += data[: self._keep - len(self._data)]
