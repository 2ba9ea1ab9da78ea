"""Answers that are sent no faster than their route allows."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.rate_limit import RateLimit
from aprp.web.paced_sink import PacedSink
from tests.support.sinks import Client, Producer


class PacedSinkTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.client = Client()

    def sink(self, rate: int, free: int = 0) -> PacedSink:
        limit = RateLimit(rate, 0.0, free)
        return PacedSink(self.client, self.clock, limit)  # type: ignore[arg-type]

    def seconds(self, count: float) -> None:
        self.clock.pump([0.001] * round(count * 1000))

    def test_no_more_than_the_rate(self) -> None:
        Producer(self.sink(100_000), self.clock)
        self.seconds(10)
        self.assertTrue(990_000 <= self.client.got <= 1_020_000, self.client.got)

    def test_what_is_free_comes_at_once(self) -> None:
        Producer(self.sink(100_000, free=500_000), self.clock)
        self.seconds(1)
        self.assertTrue(540_000 <= self.client.got <= 570_000, self.client.got)

    def test_a_client_that_is_full_is_not_written_to_when_the_limit_allows(self) -> None:
        sink = self.sink(100_000)
        Producer(sink, self.clock)
        self.seconds(1)
        sink.pauseProducing()
        before = self.client.got
        self.seconds(2)
        self.assertEqual(self.client.got, before)
        sink.resumeProducing()
        self.seconds(1)
        self.assertTrue(before + 90_000 <= self.client.got <= before + 120_000)

    def test_nothing_is_left_behind(self) -> None:
        sink = self.sink(1000)
        sink.write(b"a" * 1000)
        sink.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertTrue(self.client.closed)
