"""What `aprp get` says that each source contributed."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aprp.get.tally import Tally


class TallyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.tally = Tally(("a", "b"), Clock().seconds, draw=False)

    def came(self, source: str, start: int, stop: int, kept: int | None = None) -> None:
        count = stop - start
        self.tally._came(source, 1, start, count, count if kept is None else kept)

    def test_sources_add_up_to_what_was_written(self) -> None:
        self.came("a", 0, 100)
        self.came("b", 100, 300)
        self.tally.took(150, 150)
        self.assertEqual(dict(self.tally.written), {"a": 100, "b": 50})
        self.tally.took(150, 300)
        self.assertEqual(dict(self.tally.written), {"a": 100, "b": 200})

    def test_bytes_that_came_and_were_not_written_do_not_count(self) -> None:
        self.came("a", 0, 1000)
        self.assertEqual(sum(self.tally.written.values()), 0)

    def test_bytes_dropped_and_fetched_again_count_once(self) -> None:
        self.came("a", 0, 100)
        self.came("b", 50, 100)
        self.tally.took(100, 100)
        self.assertEqual(dict(self.tally.written), {"a": 50, "b": 50})

    def test_bytes_that_were_there_already_are_twice(self) -> None:
        self.came("a", 0, 100)
        self.came("b", 0, 100, kept=0)
        self.tally.took(100, 100)
        self.assertEqual((self.tally.twice, self.tally.written["b"]), (100, 0))
