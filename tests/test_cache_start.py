"""Starting with a large cache."""

from __future__ import annotations

import time

from aprp.cache.store.chunk_rows import STORED_IN
from aprp.cache.store.folder import Folder
from aprp.cache.store.index import Index
from aprp.core.cache.layout import PER_CHUNK, Blocks
from tests.support.faulty_disk import StoreCase

MILLION = 1_000_000


class MillionTests(StoreCase):
    async def test_the_chunks_of_a_directory_are_found_without_looking_at_all(self) -> None:
        store = self.store()
        await store.opened

        def plan(index: Index) -> str:
            found = index.connection.execute(f"EXPLAIN QUERY PLAN {STORED_IN}", (7,)).fetchall()
            return str(found)

        self.assertIn("USING INDEX groups", await store.run(plan))

    async def test_a_million_blocks_take_less_than_a_second(self) -> None:
        store = self.store(size=2**40)
        await store.opened
        blocks = Blocks()
        for block in range(PER_CHUNK):
            blocks.add(block, block * 0x9E3779B97F4A7C15 % 2**64)
        files, per_file = 16, MILLION // PER_CHUNK // 16 + 1
        rows = [
            (file + 1, chunk, bytes(blocks), 2**22, 1, file * per_file + chunk, 0)
            for file in range(files)
            for chunk in range(per_file)
        ]

        def fill(index: Index) -> None:
            with index.changing():
                index.connection.executemany("INSERT INTO chunks VALUES (?,?,?,?,?,?,?)", rows)

        await store.run(fill)
        await store.close()
        self.assertGreaterEqual(len(rows) * PER_CHUNK, MILLION)
        began = time.process_time()
        folder = Folder(str(self.folder), self.disk)
        store = self.store(size=2**40)
        self.assertEqual(await store.find(b"/a"), ())
        took = time.process_time() - began
        self.assertGreater(folder.index_size(), 8_000_000)
        self.assertLess(took, 1.0)
