"""Where the missing bytes of a cached file come from, as the cache sees it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from twisted.internet.interfaces import IConsumer

from aprp.core.http.ranges import Range


class Origin(Protocol):
    """A source of bytes of exactly one version of a file. It is used for one delivery."""

    def deliver(self, wanted: Range, sink: IConsumer) -> Awaitable[None]:
        """Write these bytes into `sink`, in order and at its pace; raise SourceError."""
        ...

    def end_at(self, stop: int) -> None:
        """Request no bytes from `stop` on, as far as they haven't been requested yet."""
        ...

    def drain(self) -> None:
        """Request nothing more, and end with the bytes in order that are held already."""
        ...

    def ready(self) -> int:
        """Return the end of the next bytes that are held already; 0 if that isn't known."""
        ...

    def abort(self) -> None:
        """Stop at once. It may be called at any time."""
        ...
