"""The time that chunks of one source take, from which its rate is measured."""

from __future__ import annotations

from aprp.core.scheduling.ratings import Rating

_SHORTEST, _SILENCE = 0.002, 0.25
"""Seconds between which the time that a chunk took counts in a rate."""


class Flow:
    """The bytes that come to one transfer from one source, over all of its attempts.

    The first chunk after an idle time may have waited to be read, so it only starts the clock,
    unless it is the whole body. Silences don't count in the rate.
    """

    def __init__(self, rating: Rating) -> None:
        self._rating = rating
        self._last: float | None = None
        self._connections = 0
        self._carried = 1

    def idle(self) -> None:
        """Stop the clock: nothing is coming."""
        self._last = None

    def came(self, count: int, now: float, connections: int, whole_since: float | None) -> None:
        """Rate ``count`` bytes.

        Args:
            count: bytes.
            now: when they came.
            connections: how many bring bodies of the source.
            whole_since: if this completes a body, when its head arrived; else None.
        """
        since = self._last
        if since is None and whole_since is not None:
            since = min(whole_since, now - _SHORTEST)
        if since is not None:
            if now > since:
                self._carried = max(1, min(self._connections, connections))
            self._rating.came(count, min(now - since, _SILENCE), self._carried, now)
        self._last, self._connections = now, connections
