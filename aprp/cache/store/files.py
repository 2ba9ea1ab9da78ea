"""The stored files that a process has in memory.

A file stays in memory for a while after its last user has closed it, so that the next one finds it
without asking the index; with several processes, the index is asked each time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from aprp.cache.store.chunk_rows import Written
from aprp.cache.store.disk_file import DiskFile
from aprp.cache.store.index import Index, Row
from aprp.cache.store.opening import Opening, known_already
from aprp.cache.store.tools import Tools
from aprp.cache.store.upkeep import Place, Upkeep
from aprp.core.cache.layout import Blocks

if TYPE_CHECKING:
    from aprp.cache.store.disk_store import DiskStore

MOST_IDLE = 256
"""How many keys stay in memory whose files nobody uses."""


class Files:
    """The files of `store`; `shared`: other processes change them too."""

    def __init__(
        self, store: DiskStore, tools: Tools, upkeep: Upkeep, opening: Opening, shared: bool
    ) -> None:
        self.by_number: dict[int, DiskFile] = {}
        self._store = store
        self._tools = tools
        self._folder = tools.folder
        self._upkeep = upkeep
        self._run = opening.run
        self._shared = shared
        self._live: dict[bytes, list[DiskFile]] = {}
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._dying: set[int] = set()  # files that the index is about to forget
        upkeep.on_evicted = self._evicted
        upkeep.on_missing = self._missing
        upkeep.on_gone = self._gone

    def known(self, key: bytes) -> list[DiskFile] | None:
        """Return the files under a key, or None if the index has to be asked."""
        if self._shared or key not in self._known:
            return None
        self._known.move_to_end(key)
        return self._live.get(key, [])

    def clear(self) -> None:
        """Forget all files: the index can't be used any more."""
        for file in list(self.by_number.values()):
            file.doomed = True
            for chunk in list(file.chunks):
                file.lose(chunk, None)
        self.by_number.clear()
        self._live.clear()
        self._known.clear()

    def closed(self, file: DiskFile) -> None:
        """Take note that a file has no users any more."""
        if file.doomed:
            self._delete(file)
        elif len(self._known) > MOST_IDLE:
            self._let_go()

    def doomed_elsewhere(self, number: int) -> None:
        """Take note that another process has replaced a file, and deletes it."""
        file = self.by_number.get(number)
        if file is not None and file.users:
            self.forget(file.key, [number])
        elif file is not None:
            file.doomed = True
            self._live[file.key] = [each for each in self._live[file.key] if each is not file]
            del self.by_number[number]

    def adopt(self, key: bytes, rows: Sequence[Row]) -> list[DiskFile]:
        """Make what the index said of a key what is known of it."""
        numbers = {row.id for row in rows}
        self.forget(key, [each.id for each in self._live.get(key, []) if each.id not in numbers])
        files = [self._in_memory(row) for row in rows if row.id not in self._dying]
        files = [file for file in files if not file.doomed]
        self._live[key] = files
        self._known[key] = None
        self._known.move_to_end(key)
        return files

    def _in_memory(self, row: Row) -> DiskFile:
        file = self.by_number.get(row.id)
        if file is None:
            file = self.by_number[row.id] = DiskFile(self._store, row)
        elif self._shared:
            file.meta, file.pinned = row.meta, row.pinned
            self.renew(file, row.chunks)
        return file

    def renew(self, file: DiskFile, stored: dict[int, Blocks]) -> None:
        """Have a file know the chunks that the index has."""
        for chunk in set(file.chunks) - set(stored):
            if not self._upkeep.is_dirty(file.id, chunk):
                file.lose(chunk, None)
        for chunk, blocks in stored.items():
            mine = file.chunks.get(chunk)
            if mine is None or blocks.bits & ~mine.bits:
                file.keep(chunk, blocks)

    def forget(self, key: bytes, numbers: Sequence[int]) -> None:
        """Have files no longer found in memory."""
        for number in numbers:
            file = self.by_number.get(number)
            if file is None:
                self._delete_unknown(number)
                continue
            if not file.doomed:
                file.doomed = True
                live = self._live.get(key, [])
                if file in live:
                    live.remove(file)
            if not file.users:
                self._delete(file)

    def _let_go(self) -> None:
        """Forget keys whose files nobody uses, the least recently found first."""
        for key in list(self._known):
            if len(self._known) <= MOST_IDLE:
                return
            files = self._live.get(key, [])
            if not any(file.users for file in files):
                del self._known[key]
                for file in self._live.pop(key, []):
                    self.by_number.pop(file.id, None)

    def _delete(self, file: DiskFile) -> None:
        if self.by_number.pop(file.id, None) is None:
            return
        chunks = [(file.id, chunk) for chunk in file.chunks]
        self._upkeep.forget(chunks)
        self._unlink(chunks)
        self._delete_unknown(file.id)

    def _delete_unknown(self, number: int) -> None:
        """Delete a doomed file, whatever is in memory of it."""
        self._dying.add(number)
        deleted = self._run(lambda index: index.delete([number]), None)
        deleted.addCallbacks(self._unlink, known_already)
        deleted.addCallback(lambda _: self._dying.discard(number))

    def _unlink(self, chunks: Sequence[Place]) -> None:
        if chunks:
            work = self._tools.threads.write(lambda: self._folder.unlink(chunks))
            work.addErrback(known_already)

    def _evicted(self, places: Sequence[Place]) -> None:
        """Take note of chunks whose data files were deleted."""
        for number, chunk in places:
            since = self._upkeep.evicted((number, chunk))
            file = self.by_number.get(number)
            if file is not None:
                file.lose(chunk, None)
                if since is not None:
                    file.keep(chunk, Blocks(bytes(since)))

    def _gone(self, written: Sequence[Written]) -> None:
        """Take note of blocks that were written to data files while these were deleted."""
        for each in written:
            file = self.by_number.get(each.file)
            if file is not None:
                file.lose(each.chunk, list(each.blocks))

    def _missing(self, places: Sequence[Place]) -> None:
        """Another process has deleted the files of these chunks."""
        self._unlink(places)
        for number, _ in places:
            file = self.by_number.get(number)
            if file is not None:
                self.forget(file.key, [number])

    def lose(self, number: int, chunk: int, blocks: list[int] | None) -> Deferred[bool]:
        """Drop blocks that can't be read, of a file that may not be in memory; None: all the chunk.

        Fires with False if they have made room since someone began to read them.
        """
        file = self.by_number.get(number)
        if file is not None:
            file.lose(chunk, blocks)
        dirty = 0 if blocks is None else self._upkeep.lose((number, chunk), blocks)

        def tell(index: Index) -> bool:
            with index.changing():
                if blocks is not None:
                    return bool(index.chunks.lose(number, chunk, blocks) or dirty)
                lost = index.chunks.has(number, chunk) and not self._folder.has_data(number, chunk)
                if lost:
                    index.chunks.drop([(number, chunk)])
                return lost

        return self._run(tell)
