"""What was wanted is still wanted when the slot comes, if nothing happened meanwhile."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core import messages as m
from aprp.core.ratings import Ratings
from aprp.core.scheduler import Scheduler


class GrantedSlotTests(SynchronousTestCase):
    def test_the_last_idle_connection_of_equals(self) -> None:
        """Else it would be asked for and given back in turn, without end."""
        ratings = Ratings()
        for name, latency in (("a", 0.00360), ("b", 0.00361)):
            ratings.of(name).answered(latency, None)
            ratings.of(name).came(16_000_000, 0.1, 1, 0.1)
        ratings.of("b").warm = 1
        size = 123_136
        scheduler = Scheduler([m.Source("a"), m.Source("b")], 0, size, ratings, length=size)
        actions = scheduler.handle(1.0, m.Started())
        (wanted,) = [each for each in actions if isinstance(each, m.WantSlot)]
        self.assertEqual(wanted.source, "b")
        (fetch,) = scheduler.handle(1.001, m.Granted("b"))
        self.assertIsInstance(fetch, m.Fetch)
        self.assertEqual(ratings.of("b").warm, 0)
