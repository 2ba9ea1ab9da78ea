"""The blocks of a chunk, against sets of numbers."""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.cache.extents import BLOCK
from aprp.core.cache.layout import CHUNK, PER_CHUNK, Blocks


def blocks_of(sums: dict[int, int]) -> Blocks:
    blocks = Blocks()
    for block, checksum in sums.items():
        blocks.add(block, checksum)
    return blocks


class BlocksTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.random = random.Random(15)

    def drawn(self) -> dict[int, int]:
        """Some blocks and their checksums; often all, or those at an edge."""
        some = self.random.choice([range(PER_CHUNK), range(3), range(PER_CHUNK - 3, PER_CHUNK)])
        chance = self.random.choice([0, 0.1, 0.9, 1])
        return {b: self.random.getrandbits(64) for b in some if self.random.random() < chance}

    def assert_has(self, blocks: Blocks, sums: dict[int, int]) -> None:
        self.assertEqual({block: blocks.sum_of(block) for block in blocks}, sums)
        self.assertEqual(
            [block in blocks for block in range(PER_CHUNK)],
            [block in sums for block in range(PER_CHUNK)],
        )

    def test_merged_blocks_have_the_checksums_of_the_others(self) -> None:
        for _ in range(300):
            mine, others = self.drawn(), self.drawn()
            blocks = blocks_of(mine)
            self.assert_has(blocks, mine)
            blocks.merge(blocks_of(others))
            self.assert_has(blocks, mine | others)
            self.assert_has(Blocks(bytes(blocks)), mine | others)

    def test_runs(self) -> None:
        complete = 5 * CHUNK - 100
        for _ in range(300):
            sums = self.drawn()
            found = set[int]()
            for start, stop in blocks_of(sums).runs(4, complete):
                self.assertTrue(stop % BLOCK == 0 or stop == complete)
                run = set(range(start // BLOCK, -(-stop // BLOCK)))
                self.assertFalse(found & {min(run) - 1, *run})
                found |= run
            self.assertEqual(found, {4 * PER_CHUNK + block for block in sums})
