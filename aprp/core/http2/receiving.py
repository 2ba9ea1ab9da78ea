"""What a receiver keeps account of: its windows, and streams that it stopped."""

from __future__ import annotations

from aprp.core.http2.frames import DEFAULT_WINDOW, Broken, Code

REMEMBERED = 1000
"""Streams that were stopped from here of which bytes may still be on their way."""


class ReceiveWindow:
    """What the other side may still send, on a stream."""

    def __init__(self, left: int = DEFAULT_WINDOW) -> None:
        self.left = left

    def allow(self, count: int) -> None:
        """Let it send so many bytes more."""
        self.left += count

    def charge(self, cost: int) -> None:
        """Count what came; raise Broken if it is more than was allowed."""
        self.left -= cost
        if self.left < 0:
            raise Broken(Code.FLOW_CONTROL_ERROR, "it sent more than its window")


class ConnectionWindow(ReceiveWindow):
    """The window of a connection as a whole: wide, so that it's the streams' that count."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._size = size

    @property
    def first(self) -> int:
        """The increment with which it is opened."""
        return self._size - DEFAULT_WINDOW

    def increment(self) -> int:
        """Return by how much to open it again; 0 while that isn't worth a frame."""
        owed = self._size - self.left
        if owed * 4 <= self._size:
            return 0
        self.left = self._size
        return owed


class StoppedStreams:
    """Streams that were reset from here: what the other side sent before it knew is dropped."""

    def __init__(self) -> None:
        self._numbers: dict[int, None] = {}

    def __contains__(self, number: int) -> bool:
        return number in self._numbers

    def add(self, number: int) -> None:
        """Note a stream that is reset. The oldest are forgotten."""
        self._numbers[number] = None
        while len(self._numbers) > REMEMBERED:
            del self._numbers[next(iter(self._numbers))]

    def ended(self, number: int) -> None:
        """Nothing more comes on that stream."""
        self._numbers.pop(number, None)

    def check(self, number: int, idle: bool) -> None:
        """Raise Broken for bytes of a stream that isn't open, unless it was stopped. `idle` tells
        that it was never begun (section 5.1)."""
        if number not in self._numbers:
            code = Code.PROTOCOL_ERROR if idle else Code.STREAM_CLOSED
            raise Broken(code, "it sent bytes on a stream that isn't open")
