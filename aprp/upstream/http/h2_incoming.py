"""What a connection of HTTP/2 receives, before its frames are read."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class IncomingBytes:
    """Hands received bytes to `handle`.

    Over TLS each record comes by itself; with `gather`, those of one read are handed on together.
    """

    def __init__(self, clock: IReactorTime, handle: Callable[[bytes], None], gather: bool) -> None:
        self._clock = clock
        self._handle = handle
        self._gather = gather
        self._held: list[bytes] = []
        self._soon: IDelayedCall | None = None

    def came(self, data: bytes) -> None:
        """Take received bytes."""
        if not self._gather:
            self._handle(data)
            return
        self._held.append(data)
        if self._soon is None:
            self._soon = self._clock.callLater(0, self.hand_on)

    def hand_on(self) -> None:
        """Hand on what is held, without waiting for more."""
        self._stop_waiting()
        data, self._held = b"".join(self._held), []
        if data:
            self._handle(data)

    def close(self) -> None:
        """Drop what is held."""
        self._stop_waiting()
        self._held.clear()

    def _stop_waiting(self) -> None:
        soon, self._soon = self._soon, None
        if soon is not None and soon.active():
            soon.cancel()
