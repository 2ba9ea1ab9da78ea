"""How much the kernel may hold for a client of what is fetched for it.

A socket's buffer grows to megabytes. What is in it has been fetched, and is for nothing if the
client leaves. So it is bounded by the rate at which the client takes bytes, like what a fetch has
in advance. Stored bytes cost the origin nothing: their buffer is as large as the kernel likes.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from aprp.core.cache.pace import held_for, taking


@runtime_checkable
class BoundedSink(Protocol):
    """A consumer that ends in a socket whose buffer can be bounded."""

    def unsent_at_most(self, count: int | None) -> None:
        """Have the kernel hold at most so many bytes that aren't on their way; None: any number."""
        ...


class Buffered:
    """The buffer of the consumer `sink`, whose next byte is at the offset `at`."""

    def __init__(self, sink: Any, clock: Any, at: int) -> None:
        self._sink = sink if isinstance(sink, BoundedSink) else None
        self._clock = clock
        self._speed = taking(clock.seconds())
        self._at = at
        self._bounded = False

    def resumed(self, at: int) -> None:
        """Take note that there is room, now that all before `at` has been written."""
        if self._sink is not None:
            self._speed.count(at - self._at, self._clock.seconds())
            self._at = at
            if self._bounded:
                self._sink.unsent_at_most(held_for(self._speed.rate))

    def bound(self, bounded: bool) -> None:
        """Say whether what comes next is fetched."""
        if bounded is not self._bounded:
            self._bounded = bounded
            if self._sink is not None:
                self._sink.unsent_at_most(held_for(self._speed.rate) if bounded else None)
