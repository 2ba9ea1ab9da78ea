"""When sources could deliver, as far as their ratings tell."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.scheduling import forecast
from aprp.core.scheduling.blocks import EDGE
from aprp.core.scheduling.messages import MIB, Source
from tests.support.scheduler_states import LATENCY, begun, state


class LaneTests(SynchronousTestCase):
    def test_a_lane_that_has_nothing_to_do(self) -> None:
        on = state(a=4)
        source = on.sources["a"]
        source.rating.lanes = 2
        begun(on, "a", 0, MIB)
        busy, free = sorted(forecast.lanes_free(on, source, 0.0), reverse=True)
        self.assertAlmostEqual(free, LATENCY)
        self.assertAlmostEqual(busy, MIB / forecast.lane_rate(on, source), 2)

    def test_no_more_lanes_than_this_route_allows_connections(self) -> None:
        on = state(a=4)
        source = on.sources["a"]
        source.rating.lanes, source.spec = 4, Source("a", connections=1)
        begun(on, "a", 0, MIB)
        self.assertEqual(len(forecast.lanes_free(on, source, 0.0)), 1)
        self.assertIsNone(forecast.due(on, source, 0.0))

    def test_more_lanes_are_tried_at_once_by_a_source_alone(self) -> None:
        for on, tried in ((state(a=4), True), (state(a=4, unmet=0.0), False)):
            begun(on, "a", 0, MIB)
            due = forecast.due(on, on.sources["a"], 0.0)
            self.assertIs(due is not None and due <= 0.0, tried)


class LateTests(SynchronousTestCase):
    def test_a_source_that_is_late_is_not_due_before_something_comes(self) -> None:
        """What is expected by now puts off the next request by as much as time passes."""
        on = state(a=4, unmet=0.0)
        source = on.sources["a"]
        attempt = on.begin(source, 0, 8 * MIB, 0.0, warm=True)
        for began, on_time, late in ((None, LATENCY / 2, 2 * LATENCY), (0.1, 0.12, 0.3)):
            attempt.began, attempt.heard_at = began, began or 0.0
            self.assertGreater(forecast.due(on, source, on_time) or 0.0, on_time)
            self.assertIsNone(forecast.due(on, source, late))


class DelayTests(SynchronousTestCase):
    def test_it_is_that_of_the_source_that_takes_longest(self) -> None:
        on = state(a=4, b=1)
        block = EDGE / forecast.lane_rate(on, on.sources["b"])
        self.assertAlmostEqual(forecast.delay(on, 0.0), LATENCY + block)

    def test_sources_that_were_never_measured_do_not_count(self) -> None:
        self.assertEqual(forecast.delay(state(unmet=0.0), 0.0), 0.0)
