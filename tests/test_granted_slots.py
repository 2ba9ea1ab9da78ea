"""What was wanted is still wanted when the slot comes, if nothing happened meanwhile."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.scheduling import messages as m
from aprp.core.scheduling.policies.adaptive import Adaptive
from aprp.core.scheduling.ratings import Ratings
from aprp.core.scheduling.scheduler import Scheduler
from aprp.core.scheduling.settings import SchedulingSettings
from aprp.core.scheduling.source_state import SourceState
from aprp.core.scheduling.state import TransferState


class Fickle(Adaptive):
    """Wants a block, has no use for the slot that is granted for it, and wants it again."""

    def __init__(self, settings: SchedulingSettings) -> None:
        super().__init__(settings)
        self._calls = 0

    def choose(
        self, state: TransferState, source: SourceState, now: float
    ) -> tuple[int, int] | None:
        self._calls += 1
        return None if self._calls == 2 else super().choose(state, source, now)


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

    def test_a_short_range_is_requested_as_it_was_planned(self) -> None:
        """That spares each small answer a look at all that may be requested."""
        scheduler = Scheduler([m.Source("a")], 0, 1000, Ratings())
        self.patch(scheduler._planner, "_delay", Fickle(SchedulingSettings()))
        self.assertEqual(scheduler.handle(1.0, m.Started()), [m.WantSlot("a", m.Urgency.HEAD)])
        self.assertEqual(scheduler.handle(1.001, m.Granted("a")), [m.Fetch(1, "a", 0, 1000)])

    def test_what_was_planned_long_ago_is_not_requested(self) -> None:
        scheduler = Scheduler([m.Source("a")], 0, 1000, Ratings())
        self.patch(scheduler._planner, "_delay", Fickle(SchedulingSettings()))
        scheduler.handle(1.0, m.Started())
        self.assertEqual(scheduler.handle(1.1, m.Granted("a")), [m.ReleaseSlot("a")])

    def test_one_given_back_is_not_wanted_again_at_once(self) -> None:
        """Else the arbiter, which grants it at once, would be asked without end."""
        scheduler = Scheduler([m.Source("a")], 0, m.MIB, Ratings())
        self.patch(scheduler._planner, "_delay", Fickle(SchedulingSettings()))
        self.assertEqual(scheduler.handle(1.0, m.Started()), [m.WantSlot("a", m.Urgency.HEAD)])
        self.assertEqual(scheduler.handle(1.0, m.Granted("a")), [m.ReleaseSlot("a")])
        deadline = scheduler.next_deadline() or 0.0
        self.assertGreater(deadline, 1.0)
        self.assertEqual(
            scheduler.handle(deadline, m.TimePassed()), [m.WantSlot("a", m.Urgency.HEAD)]
        )
