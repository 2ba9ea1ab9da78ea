"""How transfers share memory that is short."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.scheduling.shares import MemoryClaim, windows


class WindowsTests(SynchronousTestCase):
    def test_each_grows_by_an_equal_part_of_what_is_free(self) -> None:
        claims = [MemoryClaim(100, 10), MemoryClaim(100, 30)]
        self.assertEqual(windows(100, claims), [40, 50])

    def test_one_that_wants_little_leaves_the_rest(self) -> None:
        self.assertEqual(windows(100, [MemoryClaim(20, 20), MemoryClaim(100, 70)]), [25, 75])

    def test_nothing_free_lets_nobody_grow(self) -> None:
        claims = [MemoryClaim(100, 50), MemoryClaim(100, 60)]
        self.assertEqual(windows(100, claims), [50, 50])
