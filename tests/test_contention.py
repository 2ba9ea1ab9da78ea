"""Several transfers that share sources, through the arbiter, in the simulator."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from itertools import pairwise

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.scheduling.arbiter import Arbiter, Grant
from aprp.core.scheduling.messages import Source, Urgency
from aprp.core.scheduling.settings import SchedulingSettings
from aprp.simulator import network
from aprp.simulator.mirror import Mirror
from aprp.simulator.run import run_together
from aprp.simulator.scenarios import MB, at, mirrors
from aprp.simulator.trace import Trace
from aprp.simulator.transfer import SimulatedTransfer

SIZE = 20 * MB


class Watching(Arbiter):
    """Sees to it that no slot for read-ahead is given where a head waits."""

    def __init__(self) -> None:
        super().__init__()
        self.wanted: dict[tuple[Hashable, str], Urgency] = {}

    def want(self, transfer: Hashable, source: Source, urgency: Urgency) -> list[Grant]:
        self.wanted[transfer, source.name] = urgency
        return self.watched(super().want(transfer, source, urgency))

    def withdraw(self, transfer: Hashable, source: str) -> None:
        self.wanted.pop((transfer, source), None)
        super().withdraw(transfer, source)

    def release(self, transfer: Hashable, source: str) -> list[Grant]:
        return self.watched(super().release(transfer, source))

    def watched(self, grants: list[Grant]) -> list[Grant]:
        for grant in grants:
            urgency = self.wanted.pop((grant.transfer, grant.source))
            waiting = [u for (_, source), u in self.wanted.items() if source == grant.source]
            assert urgency <= min(waiting, default=urgency), "read-ahead came before a head"
        return grants


class ContentionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(network, "Arbiter", Watching)

    def traces(self, sources: tuple[Mirror, ...], count: int, connections: int) -> list[Trace]:
        limited = [replace(source, connections=connections) for source in sources]
        shared = network.Network(limited)
        transfers = [SimulatedTransfer(shared, SIZE, SchedulingSettings()) for _ in range(count)]
        run_together(shared, transfers)
        return [transfer.trace for transfer in transfers]

    def check(self, traces: list[Trace], apart: float, efficiency: float) -> None:
        done = [trace.done for trace in traces]
        self.assertLessEqual(max(done), min(done) * apart)
        rates = sum(mirror.rate for mirror in traces[0].mirrors)
        self.assertLessEqual(max(done), len(traces) * SIZE / rates * efficiency)
        self.assertLessEqual(sum(trace.wasted for trace in traces), 0.01 * len(traces) * SIZE)

    def test_two_of_equals(self) -> None:
        self.check(self.traces(mirrors(8, 8, 8), 2, 4), 1.02, 1.05)

    def test_two_of_unequal_sources(self) -> None:
        self.check(self.traces(mirrors(10, 5, 1), 2, 4), 1.02, 1.05)

    def test_eight_of_equals(self) -> None:
        """Nobody waits while others are read ahead: there are twelve connections."""
        traces = self.traces(mirrors(8, 8, 8), 8, 4)
        self.check(traces, 1.1, 1.05)
        for trace in traces:
            times = [time for time, _ in trace.delivered]
            self.assertLess(times[0], 0.75)
            self.assertLess(max(b - a for a, b in pairwise(times)), 0.25)

    def test_eight_of_unequal_sources(self) -> None:
        self.check(self.traces(mirrors(10, 5, 1), 8, 4), 1.1, 1.05)

    def test_eight_with_two_connections_to_each(self) -> None:
        self.check(self.traces(mirrors(10, 5, 1), 8, 2), 1.1, 1.12)

    def test_two_of_far_sources(self) -> None:
        done = [trace.done for trace in self.traces(at((9, 60), (4, 180), (2, 30)), 2, 4)]
        self.assertLessEqual(max(done), min(done) * 1.02)
