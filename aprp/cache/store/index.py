"""The index: which files and blocks are stored, in SQLite. Used in the index's thread only.

Its methods raise sqlite3.Error. Several processes use it at once: each change is one transaction,
and what a process holds in memory may be older than what is here.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence

import xxhash

from aprp.cache.store.chunk_rows import ChunkRows
from aprp.cache.store.rows import Rows
from aprp.core.cache.eviction import enters
from aprp.core.cache.layout import Blocks
from aprp.core.cache.meta import Meta, meta_of, variant
from aprp.core.values import dataclass

_EMPTY = "NOT EXISTS (SELECT 1 FROM chunks WHERE file = files.id)"


@dataclass(frozen=True, slots=True)
class Row:
    """A file as the index has it."""

    id: int
    key: bytes
    meta: Meta
    pinned: bool
    chunks: dict[int, Blocks]


class Index(Rows):
    """An open index."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self.chunks = ChunkRows(connection)

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
                rows.append(Row(number, key, meta, bool(pinned), self.chunks.of(number)))
        return rows

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

    def create(self, number: int, key: bytes, meta: Meta, pinned: bool) -> list[int]:
        """Add a file; return the numbers of those that it replaces."""
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
        return replaced

    def update(self, number: int, key: bytes, meta: Meta) -> list[int]:
        """Replace a live file's meta. Return the files that it replaces, if it is another variant
        now.
        """
        kind = variant(meta.vary)
        with self.changing():
            if self.doomed_among([number]):
                return []
            replaced = self._numbers(
                "SELECT id FROM files WHERE key = ? AND variant = ? AND NOT doomed AND id <> ?",
                key,
                kind,
                number,
            )
            self._doom(replaced)
            self.connection.execute(
                "UPDATE files SET variant = ?, meta = ? WHERE id = ?",
                (kind, _closed(key, kind, meta), number),
            )
        return replaced

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
                chunks += [(number, chunk) for chunk in self.chunks.of(number)]
                self.connection.execute("DELETE FROM files WHERE id = ? AND doomed", (number,))
            self.chunks.drop(chunks)
        return chunks

    def doomed(self) -> list[int]:
        """Return the files that wait to be deleted."""
        return self._numbers("SELECT id FROM files WHERE doomed")

    def empty(self) -> list[int]:
        """Return the files that nothing is stored of."""
        return self._numbers(f"SELECT id FROM files WHERE {_EMPTY}")

    def delete_empty(self, numbers: Iterable[int]) -> None:
        """Delete those of these files that nothing is stored of."""
        with self.changing():
            for number in numbers:
                self.connection.execute(f"DELETE FROM files WHERE id = ? AND {_EMPTY}", (number,))

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
        return (None, {}) if meta is None else (meta.complete, self.chunks.of(number))

    def pin(self, key: bytes, pinned: bool) -> int:
        """Pin or unpin the live files under a key, in a transaction; return how many changed."""
        numbers = self._numbers(
            "SELECT id FROM files WHERE key = ? AND pinned != ? AND NOT doomed", key, int(pinned)
        )
        queue = enters(pinned, True)
        for number in numbers:
            self.connection.execute(
                "UPDATE files SET pinned = ? WHERE id = ?", (int(pinned), number)
            )
            for chunk in self.chunks.of(number):
                self.chunks.move(number, chunk, queue, 0)
        return len(numbers)

    # The rest

    def counter(self, name: str) -> int:
        return self._one("SELECT value FROM counters WHERE name = ?", name)

    def set_counter(self, name: str, value: int) -> None:
        self.connection.execute("UPDATE counters SET value = ? WHERE name = ?", (value, name))

    def _doom(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.connection.execute("UPDATE files SET doomed = 1 WHERE id = ?", (number,))


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
