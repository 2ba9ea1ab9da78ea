"""What a shared fetch has in memory: for readers that are a little behind, and for the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.python.failure import Failure

from aprp.cache.backlog import Backlog
from aprp.cache.keeper import Keeper
from aprp.cache.store.store import StoredFile
from aprp.cache.tail import Tail
from aprp.core.cache.pace import MOST_ROOM, room_in
from aprp.core.scheduling.messages import MIB

MOST_UNSETTLED = 4 * MIB
"""Bytes that stay for the store at most, if the disk is slow."""


class Held:
    """The bytes that arrived from the edge `start` on, of a file of `complete` bytes.

    `settled` is called when bytes needn't be held for the store any longer, and `store_failed` when
    the store failed.
    """

    def __init__(
        self,
        start: int,
        complete: int,
        backlog: Backlog,
        settled: Callable[[], None],
        store_failed: Callable[[Failure], None],
    ) -> None:
        self._tail = Tail(start)
        self._backlog = backlog
        self._keeper = Keeper(start, complete, backlog, settled, store_failed)
        self.room = MOST_ROOM

    @property
    def stop(self) -> int:
        """The next byte that will arrive."""
        return self._tail.stop

    @property
    def size(self) -> int:
        """The number of bytes."""
        return self._tail.stop - self._tail.start

    @property
    def unsettled(self) -> bool:
        """Whether some may still be stored."""
        return self._keeper.busy

    @property
    def limited(self) -> bool:
        """Whether there is less room than is of use."""
        return self.room is not MOST_ROOM

    @property
    def crowded(self) -> bool:
        """Whether so many are there that some had better be dropped, while more arrive."""
        return self.size >= self.room.behind + self.room.slack

    def limit(self, window: int | None) -> None:
        """Hold at most about so many bytes; None: as many as are of use."""
        self.room = room_in(window)

    def keep_in(self, stored: StoredFile) -> None:
        """Store what arrives, and what has arrived, in that file."""
        self._keeper.open(stored)

    def keep_nothing(self) -> None:
        """Store nothing more."""
        self._keeper.close()

    def append(self, data: bytes) -> None:
        """Add the next bytes."""
        self._tail.append(data)
        self._keeper.append(data)

    def end(self) -> None:
        """Note that no more will arrive."""
        self._keeper.end()

    def at(self, offset: int) -> bytes:
        """Return bytes from `offset` on: at least one, or none if it isn't held."""
        return self._tail.at(offset)

    def takes_more(self) -> bool:
        """Return whether more may arrive now. If memory is short, what can be stored is written."""
        if not self._backlog.holds and self.size < self.room.most:
            return True
        self._keeper.flush()
        return not (self._backlog.holds or self._keeper.writes)

    def drop(self, needed: Sequence[int], ended: bool = False) -> None:
        """Drop what is stored, or never will be, and isn't about to be read.

        Readers need the bytes from the offsets `needed` on; `ended`: no more will arrive.
        """
        if ended:
            behind = min(needed, default=self.stop)
        else:
            behind = min(self.stop - self.room.behind, max(needed, default=self.stop))
        settled = max(self._keeper.unsettled, self.stop - MOST_UNSETTLED)
        if self.size > self.room.most and self._keeper.has(min(needed, default=settled), settled):
            behind = settled  # readers take it from the disk
        self._tail.drop(min(settled, behind))
