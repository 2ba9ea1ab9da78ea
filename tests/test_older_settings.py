"""What the older algorithms can be told besides their threshold."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.choices import Delay, Duplicate
from aprp.core.scheduling.messages import MIB
from aprp.core.scheduling.ratings import Ratings
from aprp.core.scheduling.settings import SchedulingSettings
from aprp.simulator.mirror import Mirror
from aprp.simulator.run import Simulation
from aprp.simulator.trace import Trace

FAST, SLOW = Mirror("fast", 8e6, 0.01), Mirror("slow", 0.2e6, 0.04)


def simulate(ratings: Ratings | None = None, **settings: object) -> Trace:
    told = SchedulingSettings(block_size=MIB // 4, window=8 * MIB, **settings)  # type: ignore[arg-type]
    return Simulation((FAST, SLOW), 20 * MIB, told, ratings=ratings).run()


def of_slow(trace: Trace) -> list[list[tuple[float, int]]]:
    return [line.points for line in trace.lines.values() if line.source == "slow"]


class LeaveLateTests(SynchronousTestCase):
    def test_a_late_source_is_used_no_more(self) -> None:
        counts = [
            len(of_slow(simulate(delay=Delay.NORMAL, duplicate=Duplicate.NIBIB, leave_late=leave)))
            for leave in (False, True)
        ]
        self.assertTrue(counts[0] > 1 == counts[1], counts)

    def test_the_adaptive_policies_keep_it(self) -> None:
        plain, told = simulate(), simulate(leave_late=True)
        self.assertEqual(plain.delivered, told.delivered)


class InitialDelayTests(SynchronousTestCase):
    def first(self, initial_delay: int) -> int:
        """The offset that the slow source is asked for first, when both were met before."""
        ratings = Ratings()
        ratings.of("fast").answered(0.01, None)
        ratings.of("slow").answered(0.04, None)
        trace = simulate(
            ratings, delay=Delay.DIFF, duplicate=Duplicate.OFF, initial_delay=initial_delay
        )
        return of_slow(trace)[0][0][1]

    def test_blocks_for_each_multiple_of_the_least_latency(self) -> None:
        self.assertTrue(self.first(0) <= MIB // 4)
        ahead = [self.first(coefficient) for coefficient in (0, 1, 2)]
        blocks = [offset // (MIB // 4) for offset in ahead]
        self.assertEqual([blocks[1] - blocks[0], blocks[2] - blocks[0]], [3, 6])
