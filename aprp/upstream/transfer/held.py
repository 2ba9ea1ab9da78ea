"""The bytes that wait in a transfer, verified in pieces where the file has them."""

from __future__ import annotations

from collections.abc import Callable

from twisted.python.failure import Failure

from aprp.core.reasons import Reason
from aprp.core.scheduling import messages as m
from aprp.upstream.transfer.fetched_range import FetchedRange
from aprp.upstream.transfer.store import Store
from aprp.upstream.transfer.turns import Chunk
from aprp.upstream.transfer.verifier import Verifier


class HeldBytes:
    """The bytes of one range, in `store`. The callables are those of `Verifier`."""

    def __init__(
        self,
        fetched: FetchedRange,
        feed: Callable[[m.Event], None],
        blame: Callable[[str, Reason], None],
        failed: Callable[[Failure], None],
    ) -> None:
        self.store = Store()
        self._verifier: Verifier | None = None
        if fetched.pieces is not None:
            self._verifier = Verifier(fetched, self.store, feed, blame, failed)

    @property
    def size(self) -> int:
        """The number of bytes in memory."""
        return self.store.size + (0 if self._verifier is None else self._verifier.held)

    @property
    def verified(self) -> bool:
        """Whether bytes wait here until they are verified."""
        return self._verifier is not None

    def write(self, chunk: Chunk, start: int, stop: int) -> None:
        """Keep [start, stop) of the chunk."""
        self.store.write(start, chunk.part(start, stop))
        if self._verifier is not None:
            self._verifier.kept(chunk.attempt.source.name, start, stop)

    def forget(self, start: int, stop: int) -> None:
        """Drop what is held of [start, stop)."""
        self.store.forget(start, stop)
        if self._verifier is not None:
            self._verifier.forgot(start, stop)

    def close(self) -> None:
        """Drop everything, and verify nothing more."""
        self.store.clear()
        if self._verifier is not None:
            self._verifier.close()
