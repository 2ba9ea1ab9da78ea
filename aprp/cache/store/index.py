"""The index: which files and blocks are stored, in SQLite. Used in the index's thread only.

Its methods raise sqlite3.Error. Several processes use it at once: each change is one transaction,
and what a process holds in memory may be older than what is here.
"""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import xxhash

from aprp.core.cache.eviction import MOST_USES, enters
from aprp.core.cache.layout import Blocks
from aprp.core.cache.meta import Meta, meta_of, variant


@dataclass(frozen=True, slots=True)
class Row:
    """A file as the index has it."""

    id: int
    key: bytes
    meta: Meta
    pinned: bool
    chunks: dict[int, Blocks]


@dataclass(frozen=True, slots=True)
class Written:
    """Blocks of a chunk that are in its data file, which now takes `allocated` bytes on disk."""

    file: int
    chunk: int
    blocks: Blocks
    allocated: int


class Index:
    """An open index. `draw` returns random numbers of 63 bits, for the names of files."""

    def __init__(self, connection: sqlite3.Connection, draw: random.Random) -> None:
        self.connection = connection
        self._draw = draw

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Make one transaction of what is done inside."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    def seen(self) -> int:
        """Return a number that differs once another process has changed the index."""
        return self._one("PRAGMA data_version")

    # Files

    def find(self, key: bytes) -> list[Row]:
        """Return the live files under the key, newest first."""
        found = self.connection.execute(
            "SELECT id, variant, pinned, meta FROM files WHERE key = ? AND NOT doomed"
            " ORDER BY seq DESC",
            (key,),
        ).fetchall()
        rows = []
        for number, kind, pinned, stored in found:
            meta = _opened(key, kind, stored)
            if meta is None:  # bits of the index flipped
                self.doom([number])
            else:
                rows.append(Row(number, key, meta, bool(pinned), self.chunks_of(number)))
        return rows

    def chunks_of(self, file: int) -> dict[int, Blocks]:
        """Return what is stored of a file, by chunk."""
        found = self.connection.execute(
            "SELECT chunk, blocks FROM chunks WHERE file = ?", (file,)
        ).fetchall()
        return {chunk: blocks for chunk, stored in found if (blocks := _blocks_of(stored))}

    def doomed_among(self, numbers: Sequence[int]) -> list[int]:
        """Return which of these files aren't found any more."""
        live = set()
        for start in range(0, len(numbers), 500):
            some = numbers[start : start + 500]
            marks = ",".join("?" * len(some))
            live |= set(
                self._numbers(f"SELECT id FROM files WHERE id IN ({marks}) AND NOT doomed", *some)
            )
        return [number for number in numbers if number not in live]

    def create(self, key: bytes, meta: Meta, pinned: bool) -> tuple[int, list[int]]:
        """Return the new file's number, and those of the files that it replaces."""
        number = self._draw.getrandbits(63)
        kind = variant(meta.vary)
        with self.changing():
            replaced = self._numbers(
                "SELECT id FROM files WHERE key = ? AND variant = ? AND NOT doomed", key, kind
            )
            self._doom(replaced)
            self.connection.execute(
                "INSERT INTO files VALUES (?, ?, ?, ?, ?, 0, ?)",
                (number, self._next(), key, kind, int(pinned), _closed(key, kind, meta)),
            )
        return number, replaced

    def update(self, number: int, key: bytes, meta: Meta) -> None:
        """Replace a file's meta."""
        kind = variant(meta.vary)
        with self.changing():
            self.connection.execute(
                "UPDATE files SET meta = ? WHERE id = ? AND variant = ?",
                (_closed(key, kind, meta), number, kind),
            )

    def doom(self, numbers: Sequence[int]) -> None:
        """Have the files no longer found."""
        with self.changing():
            self._doom(numbers)

    def remove(self, key: bytes) -> list[int]:
        """Have the files under the key no longer found; return which those are."""
        with self.changing():
            numbers = self._numbers("SELECT id FROM files WHERE key = ? AND NOT doomed", key)
            self._doom(numbers)
        return numbers

    def delete(self, numbers: Sequence[int]) -> list[tuple[int, int]]:
        """Delete doomed files; return the chunks to unlink."""
        chunks = []
        with self.changing():
            for number in numbers:
                chunks += [(number, chunk) for chunk in self.chunks_of(number)]
                self.connection.execute("DELETE FROM files WHERE id = ? AND doomed", (number,))
            self.drop(chunks)
        return chunks

    def doomed(self) -> list[int]:
        """Return the files that wait to be deleted."""
        return self._numbers("SELECT id FROM files WHERE doomed")

    def delete_empty(self, in_use: frozenset[int]) -> None:
        """Delete the files that nothing is stored of; `in_use` are spared."""
        empty = "SELECT id FROM files WHERE NOT EXISTS (SELECT 1 FROM chunks WHERE file = files.id)"
        with self.changing():
            for number in self._numbers(empty):
                if number not in in_use:
                    self.connection.execute("DELETE FROM files WHERE id = ?", (number,))

    # What operators see

    def listing(self) -> Iterator[tuple[bytes, Meta, bool, int]]:
        """Yield key, meta, whether it is pinned and bytes on disk of live files, newest first."""
        rows = self.connection.execute(
            "SELECT key, variant, pinned, meta, (SELECT coalesce(sum(allocated), 0) FROM chunks"
            " WHERE file = id) FROM files WHERE NOT doomed ORDER BY seq DESC"
        )
        for key, kind, pinned, stored, size in rows:
            meta = _opened(key, kind, stored)
            if meta is not None:
                yield key, meta, bool(pinned), size

    def all_keys(self) -> list[bytes]:
        """Return the keys of live files, each once."""
        found = self.connection.execute("SELECT DISTINCT key FROM files WHERE NOT doomed")
        return [key for (key,) in found.fetchall()]

    def numbers(self) -> list[int]:
        """Return the numbers of all files."""
        return self._numbers("SELECT id FROM files")

    def stored(self, number: int) -> tuple[int | None, dict[int, Blocks]]:
        """Return a file's complete length, if known, and its chunks."""
        row = self.connection.execute(
            "SELECT key, variant, meta FROM files WHERE id = ?", (number,)
        ).fetchone()
        meta = None if row is None else _opened(*row)
        return (None, {}) if meta is None else (meta.complete, self.chunks_of(number))

    def pin(self, key: bytes, pinned: bool) -> int:
        """Pin or unpin the live files under a key, within a transaction; return how many."""
        numbers = self._numbers("SELECT id FROM files WHERE key = ? AND NOT doomed", key)
        queue = enters(pinned, True)
        for number in numbers:
            self.connection.execute(
                "UPDATE files SET pinned = ? WHERE id = ?", (int(pinned), number)
            )
            for chunk in self.chunks_of(number):
                self.move(number, chunk, queue, 0)
        return len(numbers)

    # Chunks; within a transaction

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
        blocks = _blocks_of(had[0]) or Blocks()
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

    def lose(self, file: int, chunk: int, lost: Sequence[int]) -> None:
        """Take blocks from a chunk."""
        blocks = self.chunks_of(file).get(chunk)
        if blocks is None:
            return
        for block in lost:
            blocks.discard(block)
        self.connection.execute(
            "UPDATE chunks SET blocks = ? WHERE file = ? AND chunk = ?",
            (bytes(blocks), file, chunk),
        )

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

    # The rest

    def recount(self) -> None:
        """Make the sums of the queues what their chunks say, and forget what was reserved."""
        with self.changing():
            self.connection.execute("DELETE FROM reserved")
            self.connection.execute(
                "UPDATE queues SET (bytes, chunks) = (SELECT coalesce(sum(allocated), 0), count(*)"
                " FROM chunks WHERE chunks.queue = queues.queue)"
            )

    def stored_in(self, low: int) -> dict[tuple[int, int], int]:
        """Return the bytes on disk by file and chunk, of files whose numbers end in this byte."""
        found = self.connection.execute(
            "SELECT file, chunk, allocated FROM chunks WHERE file & 255 = ?", (low,)
        )
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

    def counter(self, name: str) -> int:
        return self._one("SELECT value FROM counters WHERE name = ?", name)

    def set_counter(self, name: str, value: int) -> None:
        self.connection.execute("UPDATE counters SET value = ? WHERE name = ?", (value, name))

    def _doom(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.connection.execute("UPDATE files SET doomed = 1 WHERE id = ?", (number,))

    def _recalled(self, ghost: int) -> bool:
        found = self.connection.execute("DELETE FROM ghosts WHERE chunk = ?", (ghost,))
        return found.rowcount > 0

    def _count(self, queue: int, size: int, chunks: int) -> None:
        self.connection.execute(
            "UPDATE queues SET bytes = bytes + ?, chunks = chunks + ? WHERE queue = ?",
            (size, chunks, int(queue)),
        )

    def _next(self) -> int:
        return self._one(
            "UPDATE counters SET value = value + 1 WHERE name = 'position' RETURNING value"
        )

    def _numbers(self, query: str, *values: object) -> list[int]:
        return [number for (number,) in self.connection.execute(query, values).fetchall()]

    def _one(self, query: str, *values: object) -> int:
        found: int = self.connection.execute(query, values).fetchone()[0]
        return found


def _blocks_of(stored: object) -> Blocks | None:
    try:
        return Blocks(stored) if isinstance(stored, bytes) else None
    except ValueError:
        return None


def ghost_of(key: bytes, chunk: int) -> int:
    """Return what an evicted chunk is remembered by: a signed number of 64 bits."""
    return xxhash.xxh3_64_intdigest(key, seed=chunk) - 2**63


def _closed(key: bytes, kind: bytes, meta: Meta) -> bytes:
    stored = bytes(meta)
    return _checksum(key, kind, stored) + stored


def _opened(key: bytes, kind: bytes, stored: bytes) -> Meta | None:
    if stored[:8] != _checksum(key, kind, stored[8:]):
        return None
    try:
        return meta_of(stored[8:])
    except ValueError:
        return None


def _checksum(*parts: bytes) -> bytes:
    checksum = xxhash.xxh3_64()
    for part in parts:
        checksum.update(len(part).to_bytes(8, "little") + part)
    return checksum.digest()
