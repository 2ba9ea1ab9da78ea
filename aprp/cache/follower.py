"""A reader of a shared fetch, as the fetch sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aprp.cache.fetch import SharedFetch


class Follower(Protocol):
    """A reader that takes bytes from a fetch."""

    @property
    def at(self) -> int:
        """The next byte that it needs."""
        ...

    @property
    def waits(self) -> bool:
        """Whether it would send that byte now."""
        ...

    def came(self, at: int, data: bytes) -> None:
        """Take bytes that have just arrived, if they are the next."""
        ...

    def fetch_ended(self, fetch: SharedFetch, error: Exception | None) -> None:
        """Take note that no more bytes will come of this fetch."""
        ...
