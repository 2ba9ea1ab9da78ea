"""How much of the traffic is HTTP/2 now."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol


class Carrying(Protocol):
    """A connection, as far as it is counted."""

    @property
    def streams(self) -> int:
        """The requests under way on it."""
        ...


class Http2Counts(NamedTuple):
    """Open connections of HTTP/2, and the streams on them that haven't ended."""

    connections: int = 0
    streams: int = 0

    @classmethod
    def of(cls, connections: Iterable[Carrying]) -> Http2Counts:
        """Count these connections."""
        streams = [each.streams for each in connections]
        return cls(len(streams), sum(streams))
