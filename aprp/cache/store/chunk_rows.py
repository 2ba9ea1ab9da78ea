"""The chunks of an index: which blocks they have, and the queues in which they wait for their turn.

Methods that change something belong within a transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

import xxhash

from aprp.cache.store.rows import Rows
from aprp.core.cache.eviction import MOST_USES, enters
from aprp.core.cache.layout import Blocks
from aprp.core.values import dataclass

STORED_IN = "SELECT file, chunk, allocated FROM chunks WHERE file & 255 = ?"


@dataclass(frozen=True, slots=True)
class Written:
    """Blocks of a chunk that are in its data file, which now takes `allocated` bytes on disk.

    `anew`: the data file was empty before, so it has no others.
    """

    file: int
    chunk: int
    blocks: Blocks
    allocated: int
    anew: bool = False


class ChunkRows(Rows):
    """The chunks, and the sums of each queue."""

    def of(self, file: int) -> dict[int, Blocks]:
        """Return what is stored of a file, by chunk."""
        found = self.connection.execute(
            "SELECT chunk, blocks FROM chunks WHERE file = ?", (file,)
        ).fetchall()
        return {chunk: blocks for chunk, stored in found if (blocks := _blocks_of(stored))}

    def keep(self, written: Written) -> bool:
        """Add blocks to a file; return False if it isn't there any more."""
        file = self.connection.execute(
            "SELECT key, pinned, doomed FROM files WHERE id = ?", (written.file,)
        ).fetchone()
        if file is None:
            return False
        key, pinned, _ = file
        place = (written.file, written.chunk)
        had = self.connection.execute(
            "SELECT blocks, allocated, queue FROM chunks WHERE file = ? AND chunk = ?", place
        ).fetchone()
        if had is None:
            queue = enters(bool(pinned), self._recalled(ghost_of(key, written.chunk)))
            self.connection.execute(
                "INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, 0)",
                (*place, bytes(written.blocks), written.allocated, int(queue), self._next()),
            )
            self._count(queue, written.allocated, 1)
            return True
        blocks = (None if written.anew else _blocks_of(had[0])) or Blocks()
        blocks.merge(written.blocks)
        self.connection.execute(
            "UPDATE chunks SET blocks = ?, allocated = ? WHERE file = ? AND chunk = ?",
            (bytes(blocks), written.allocated, *place),
        )
        self._count(had[2], written.allocated - had[1], 0)
        return True

    def used(self, file: int, chunk: int) -> None:
        """Count a use of a chunk."""
        self.connection.execute(
            "UPDATE chunks SET uses = min(uses + 1, ?) WHERE file = ? AND chunk = ?",
            (MOST_USES, file, chunk),
        )

    def has(self, file: int, chunk: int) -> bool:
        """Return whether there is a row of a chunk."""
        found = self.connection.execute(
            "SELECT 1 FROM chunks WHERE file = ? AND chunk = ?", (file, chunk)
        ).fetchone()
        return found is not None

    def lose(self, file: int, chunk: int, lost: Sequence[int]) -> int:
        """Take blocks from a chunk; return how many of them it had."""
        blocks = self.of(file).get(chunk)
        if blocks is None:
            return 0
        had = blocks.bits.bit_count()
        for block in lost:
            blocks.discard(block)
        self.connection.execute(
            "UPDATE chunks SET blocks = ? WHERE file = ? AND chunk = ?",
            (bytes(blocks), file, chunk),
        )
        return had - blocks.bits.bit_count()

    def drop(self, chunks: Sequence[tuple[int, int]]) -> None:
        """Delete the rows of chunks."""
        for place in chunks:
            row = self.connection.execute(
                "DELETE FROM chunks WHERE file = ? AND chunk = ? RETURNING queue, allocated", place
            ).fetchone()
            if row is not None:
                self._count(row[0], -row[1], -1)

    def remember(self, file: int, chunk: int) -> None:
        """Remember that a chunk left the small queue; the oldest memories go."""
        row = self.connection.execute("SELECT key FROM files WHERE id = ?", (file,)).fetchone()
        if row is None:
            return
        self.connection.execute(
            "INSERT OR REPLACE INTO ghosts VALUES (?, ?)", (ghost_of(row[0], chunk), self._next())
        )
        most = self._one("SELECT sum(chunks) FROM queues")
        self.connection.execute(
            "DELETE FROM ghosts WHERE position < (SELECT value FROM counters"
            " WHERE name = 'position') - ?",
            (most + 64,),
        )

    def move(self, file: int, chunk: int, queue: int, uses: int) -> None:
        """Put a chunk at the end of a queue."""
        place = (file, chunk)
        row = self.connection.execute(
            "SELECT queue, allocated FROM chunks WHERE file = ? AND chunk = ?", place
        ).fetchone()
        self.connection.execute(
            "UPDATE chunks SET queue = ?, uses = ?, position = ? WHERE file = ? AND chunk = ?",
            (queue, uses, self._next(), *place),
        )
        self._count(row[0], -row[1], -1)
        self._count(queue, row[1], 1)

    def first_of(self, queue: int, count: int) -> list[tuple[int, int, int, int]]:
        """Return file, chunk, uses and allocated bytes of the first chunks of a queue."""
        return self.connection.execute(
            "SELECT file, chunk, uses, allocated FROM chunks WHERE queue = ?"
            " ORDER BY position LIMIT ?",
            (queue, count),
        ).fetchall()

    def bytes_in(self) -> dict[int, int]:
        """Return the bytes on disk of each queue."""
        return dict(self.connection.execute("SELECT queue, bytes FROM queues").fetchall())

    def reserve(self, process: int, count: int) -> int:
        """Set what a process may still write; return what the others may."""
        self.connection.execute("INSERT OR REPLACE INTO reserved VALUES (?, ?)", (process, count))
        return self._one("SELECT coalesce(sum(bytes), 0) FROM reserved WHERE process != ?", process)

    def leave_reserved(self) -> None:
        """Keep what the first process had reserved before it died, until `forget_reserved`."""
        self.connection.execute("UPDATE OR REPLACE reserved SET process = -1 WHERE process = 0")

    def forget_reserved(self) -> None:
        """Take note that what the process that died had written was deleted, or is known."""
        self.connection.execute("DELETE FROM reserved WHERE process = -1")

    def recount(self) -> None:
        """Make the sums of the queues what their chunks say, and forget what was reserved."""
        self.connection.execute("DELETE FROM reserved")
        self.connection.execute(
            "UPDATE queues SET (bytes, chunks) = (SELECT coalesce(sum(allocated), 0), count(*)"
            " FROM chunks WHERE chunks.queue = queues.queue)"
        )

    def stored_in(self, low: int) -> dict[tuple[int, int], int]:
        """Return the bytes on disk by file and chunk, of files whose numbers end in this byte."""
        found = self.connection.execute(STORED_IN, (low,))
        return {(file, chunk): allocated for file, chunk, allocated in found}

    def resize(self, file: int, chunk: int, allocated: int) -> None:
        """Correct what a chunk takes on disk."""
        row = self.connection.execute(
            "SELECT queue, allocated FROM chunks WHERE file = ? AND chunk = ?", (file, chunk)
        ).fetchone()
        if row is not None:
            self.connection.execute(
                "UPDATE chunks SET allocated = ? WHERE file = ? AND chunk = ?",
                (allocated, file, chunk),
            )
            self._count(row[0], allocated - row[1], 0)

    def _recalled(self, ghost: int) -> bool:
        found = self.connection.execute("DELETE FROM ghosts WHERE chunk = ?", (ghost,))
        return found.rowcount > 0

    def _count(self, queue: int, size: int, chunks: int) -> None:
        self.connection.execute(
            "UPDATE queues SET bytes = bytes + ?, chunks = chunks + ? WHERE queue = ?",
            (size, chunks, int(queue)),
        )


def _blocks_of(stored: object) -> Blocks | None:
    try:
        return Blocks(stored) if isinstance(stored, bytes) else None
    except ValueError:
        return None


def ghost_of(key: bytes, chunk: int) -> int:
    """Return what an evicted chunk is remembered by: a signed number of 64 bits."""
    return xxhash.xxh3_64_intdigest(key, seed=chunk) - 2**63
