"""When sources could deliver, as far as their ratings tell."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core import forecast
from aprp.core.messages import MIB, Source
from tests.boards import LATENCY, begun, board


class LaneTests(SynchronousTestCase):
    def test_a_lane_that_has_nothing_to_do(self) -> None:
        on = board(a=4)
        place = on.places["a"]
        place.rating.lanes = 2
        begun(on, "a", 0, MIB)
        busy, free = sorted(forecast.lanes_free(on, place, 0.0), reverse=True)
        self.assertAlmostEqual(free, LATENCY)
        self.assertAlmostEqual(busy, MIB / forecast.lane_rate(on, place), 2)

    def test_no_more_lanes_than_this_route_allows_connections(self) -> None:
        on = board(a=4)
        place = on.places["a"]
        place.rating.lanes, place.source = 4, Source("a", connections=1)
        begun(on, "a", 0, MIB)
        self.assertEqual(len(forecast.lanes_free(on, place, 0.0)), 1)
        self.assertIsNone(forecast.due(on, place, 0.0))

    def test_more_lanes_are_tried_at_once_by_a_source_alone(self) -> None:
        for others, tried in (({}, True), ({"unmet": 0.0}, False)):
            on = board(a=4, **others)
            begun(on, "a", 0, MIB)
            due = forecast.due(on, on.places["a"], 0.0)
            self.assertIs(due is not None and due <= 0.0, tried)
