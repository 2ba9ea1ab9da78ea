"""How many stored bytes are verified at once."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.cache.layout import CHUNK
from aprp.core.cache.portions import FIRST, MOST, USUAL, Portions


class PortionsTests(SynchronousTestCase):
    def watch(self, rate: float | None, start: int = 0) -> tuple[list[int], bool]:
        """Return the first portions of a viewer, and whether they are verified early."""
        portions, at, sizes = Portions(), start, []
        self.assertTrue(portions.early)
        for _ in range(12):
            stop = portions.after(at)
            sizes.append(stop - at)
            portions.taken(stop - at, 0.0 if rate is None else (stop - at) / rate)
            at = stop
        return sizes, portions.early

    def test_a_fast_viewer_gets_more_and_more(self) -> None:
        sizes, early = self.watch(1e9)
        self.assertEqual(sizes[:2], [FIRST, CHUNK - FIRST])
        self.assertEqual(set(sizes[3:]), {MOST})
        self.assertTrue(early)
        self.assertEqual(self.watch(None)[0], sizes)

    def test_it_gets_more_although_less_can_be_looked_at_at_once(self) -> None:
        portions = Portions()
        for _ in range(3):
            portions.taken(1 << 20, 0.001)
        self.assertEqual(portions.after(0), MOST)

    def test_a_slow_viewer_gets_one_chunk_at_a_time(self) -> None:
        sizes, early = self.watch(1e6)
        self.assertEqual(sizes, [FIRST, CHUNK - FIRST, *[USUAL] * 10])
        self.assertFalse(early)

    def test_portions_end_where_chunks_do(self) -> None:
        for rate in (1e6, 1e9):
            at, (sizes, _) = CHUNK - 100, self.watch(rate, CHUNK - 100)
            self.assertEqual(sizes[0], 100)
            for size in sizes[1:]:
                at += size
            self.assertEqual((at + sizes[0]) % CHUNK, 0)
