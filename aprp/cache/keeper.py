"""How the bytes of a fetch get into the store: in whole blocks, one write at a time.

While a write is under way the next blocks gather. Where nothing more may wait, blocks are passed
over: they are delivered like the others, and simply not kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.python.failure import Failure

from aprp.cache.backlog import Backlog
from aprp.cache.store.store import StoredFile
from aprp.core.cache.extents import BLOCK, around, whole_blocks
from aprp.core.scheduling.messages import KIB, MIB

MOST_AT_ONCE = 2 * MIB
"""Bytes of one write."""
WORTH_WRITING = 512 * KIB
"""Bytes; fewer wait for more, as long as there are more to come."""


class Keeper:
    """Writes what one fetch brings, from the edge `start` on, of a file of `complete` bytes.

    `settled` is called when bytes needn't be held in memory any longer: they are stored, or won't
    be. `failed` is called when the store failed; nothing more is written then.
    """

    def __init__(
        self,
        start: int,
        complete: int,
        backlog: Backlog,
        settled: Callable[[], None],
        failed: Callable[[Failure], None],
    ) -> None:
        self._complete = complete
        self._backlog = backlog
        self._settled = settled
        self._failed = failed
        self._stored: StoredFile | None = None
        self._closed = False
        self._ended = False
        self._pieces: list[bytes | memoryview] = []
        self._from = start  # an edge: what is before it has been written, is being, or won't be
        self._to = start
        self._writing_at: int | None = None
        self._writing = 0

    @property
    def unsettled(self) -> int:
        """The first byte that may still be stored; what is before it is stored, or won't be."""
        return self._from if self._writing_at is None else self._writing_at

    @property
    def busy(self) -> bool:
        """Whether a write is under way, or may still begin."""
        return self._writing_at is not None or bool(self._pieces)

    @property
    def writes(self) -> bool:
        """Whether a write is under way."""
        return self._writing_at is not None

    def has(self, start: int, stop: int) -> bool:
        """Return whether all bytes from one offset to the other can be read from the store."""
        return self._stored is not None and self._stored.present.covers(start, stop)

    def flush(self) -> None:
        """Write the blocks that wait for more, since memory is short."""
        self._write(BLOCK)

    def open(self, stored: StoredFile) -> None:
        """Write into that file from now on."""
        self._stored = stored
        self._write()

    def append(self, data: bytes) -> None:
        """Take the next bytes."""
        at, self._to = self._to, self._to + len(data)
        if self._closed or self._backlog.full:
            self._pass_over()
        elif self._to > self._from:
            kept = data if at >= self._from else data[self._from - at :]
            self._pieces.append(kept)
            self._backlog.add(len(kept))
            self._write()

    def end(self) -> None:
        """Take no more: drop the bytes of a block that won't be completed."""
        self._ended = True
        if not self._whole().length:
            self._pass_over()
        self._write()

    def close(self) -> None:
        """Take and write no more."""
        self._closed = True
        self._pass_over()

    def _whole(self) -> Any:
        return whole_blocks(self._from, max(self._from, self._to), self._complete)

    def _pass_over(self) -> None:
        """Drop what waits, and continue with the next block."""
        dropped = sum(map(len, self._pieces))
        self._pieces.clear()
        if self._to > self._from:
            self._from = around(self._from, self._to, self._complete).stop
        if dropped:
            self._backlog.drop(dropped, written=False)

    def _write(self, least: int = WORTH_WRITING) -> None:
        if self._stored is None or self._writing_at is not None or self._closed:
            return
        whole = self._whole()
        if not whole.length or not (self._ended or whole.length >= least):
            if self._ended:
                self._pass_over()
            return
        stop = min(whole.stop, whole.start + MOST_AT_ONCE)
        pieces = self._cut(stop - self._from)
        self._writing_at, self._writing, self._from = self._from, stop - self._from, stop
        written = self._stored.write(self._writing_at, *pieces, hurried=self._backlog.behind)
        written.addCallbacks(self._written, self._broken)

    def _cut(self, count: int) -> list[bytes | memoryview]:
        """Take the first bytes that wait. The pieces aren't copied."""
        taken, size = 0, 0
        while size < count:
            size += len(self._pieces[taken])
            taken += 1
        pieces, over = self._pieces[:taken], size - count
        del self._pieces[:taken]
        if over:
            last = memoryview(pieces[-1])
            pieces[-1] = last[:-over]
            self._pieces.insert(0, last[-over:])
        return pieces

    def _written(self, _: Any) -> None:
        self._rest()
        self._write()
        self._settled()

    def _broken(self, failure: Failure) -> None:
        self._rest()
        self.close()
        self._settled()
        self._failed(failure)

    def _rest(self) -> None:
        written, self._writing = self._writing, 0
        self._writing_at = None
        self._backlog.drop(written, written=True)
