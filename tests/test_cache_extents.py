"""Which bytes of a stored file are there, against a naive twin."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.cache.extents import BLOCK, Extents, around, whole_blocks
from aprp.core.http.ranges import Range

SIZE = 24
OFFSETS = st.integers(0, SIZE)
CHANGES = st.lists(st.tuples(st.booleans(), OFFSETS, OFFSETS), max_size=30)


class ExtentsTests(SynchronousTestCase):
    @given(CHANGES)
    def test_like_a_set_of_offsets(self, changes: list[tuple[bool, int, int]]) -> None:
        extents, naive = Extents(), set[int]()
        for add, start, stop in changes:
            if add:
                extents.add(start, stop)
                naive |= set(range(start, stop))
            else:
                extents.remove(start, stop)
                naive -= set(range(start, stop))
            self.assertEqual(extents.total, len(naive))
            self.assertEqual({at for run in extents for at in range(run.start, run.stop)}, naive)
            edges = [edge for run in extents for edge in (run.start, run.stop)]
            self.assertEqual(edges, sorted(set(edges)), "disjoint, apart and ascending")
            for at in range(SIZE + 1):
                later = [each for each in naive if each >= at]
                self.assertEqual(extents.next_after(at), min(later, default=None))
                run_stop = extents.run_at(at)
                if at in naive:
                    self.assertIsNotNone(run_stop)
                    self.assertTrue(all(each in naive for each in range(at, run_stop or 0)))
                    self.assertNotIn(run_stop, naive)
                else:
                    self.assertIsNone(run_stop)
                for to in range(at, SIZE + 1):
                    self.assertEqual(extents.covers(at, to), naive.issuperset(range(at, to)))


class BlockTests(SynchronousTestCase):
    def test_whole_blocks(self) -> None:
        end = 3 * BLOCK + 5
        for start, stop, complete, found in (
            (0, BLOCK, end, (0, BLOCK)),
            (1, 2 * BLOCK + 1, end, (BLOCK, 2 * BLOCK)),
            (0, end, end, (0, end)),
            (0, end, None, (0, 3 * BLOCK)),
            (3 * BLOCK, end, end, (3 * BLOCK, end)),
            (5, BLOCK - 1, end, (BLOCK, BLOCK)),
            (0, 7, 7, (0, 7)),
        ):
            self.assertEqual(whole_blocks(start, stop, complete), Range(*found))

    def test_the_blocks_around_a_range(self) -> None:
        end = 3 * BLOCK + 5
        for start, stop, complete, found in (
            (0, 1, end, (0, BLOCK)),
            (BLOCK, BLOCK + 1, end, (BLOCK, 2 * BLOCK)),
            (BLOCK - 1, BLOCK + 1, end, (0, 2 * BLOCK)),
            (3 * BLOCK, 3 * BLOCK + 1, end, (3 * BLOCK, end)),
            (3 * BLOCK, 3 * BLOCK + 1, None, (3 * BLOCK, 4 * BLOCK)),
        ):
            self.assertEqual(around(start, stop, complete), Range(*found))
