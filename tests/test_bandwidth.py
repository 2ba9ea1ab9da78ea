"""Answers of a route that share its bandwidth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aprp.config import Route, Settings, load_text
from aprp.core.rate_limit import RateLimit
from aprp.daemon.workers.bandwidths import parts_of
from aprp.daemon.workers.shares import settings_of
from aprp.web.bandwidth import Bandwidth, Bandwidths, SharedSink
from aprp.web.paced_sink import PacedSink
from tests.support.proxied_case import ProxyCase
from tests.support.sinks import Client, Producer

TEXT = """\
listen: ["tcp:0"]
workers: 2
routes:
  - path: /a/
    upstream: http://a.example/
    bandwidth: 1MB
  - path: /b/
    sources: [{url: "http://b.example/"}]
"""


def settings(text: str = TEXT) -> Settings:
    return load_text(text, Path("aprp.yaml")).settings


def routes(text: str = TEXT) -> tuple[Route, ...]:
    return settings(text).routes


class BandwidthTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.bandwidth = Bandwidth(self.clock, 300_000)

    def answer(self, rate: float | None = None) -> tuple[Client, SharedSink]:
        client: Any = Client(self.clock, rate)
        sink = SharedSink(client, self.bandwidth)
        Producer(sink, self.clock)
        return client, sink

    def seconds(self, count: float) -> None:
        self.clock.pump([0.001] * round(count * 1000))

    def assertGot(self, clients: list[Client], *expected: int) -> None:
        for client, wanted in zip(clients, expected, strict=True):
            self.assertTrue(abs(client.got - wanted) < wanted * 0.1, (client.got, wanted))

    def test_one_gets_all(self) -> None:
        client, _ = self.answer()
        self.seconds(5)
        self.assertGot([client], 1_500_000)

    def test_all_get_the_same(self) -> None:
        clients = [self.answer()[0] for _ in range(5)]
        self.seconds(10)
        self.assertGot(clients, *[600_000] * 5)

    def test_what_slow_clients_leave_goes_to_the_others(self) -> None:
        rates = (20_000.0, 60_000.0, None, None)
        clients = [self.answer(rate)[0] for rate in rates]
        self.seconds(10)
        self.assertGot(clients, 200_000, 600_000, 1_100_000, 1_100_000)

    def test_one_that_ends_leaves_its_part(self) -> None:
        (one, _), (_, sink) = self.answer(), self.answer()
        self.seconds(2)
        sink.unregisterProducer()
        sink.close()
        before = one.got
        self.seconds(2)
        self.assertTrue(580_000 < one.got - before < 620_000, one.got - before)

    def test_limit_rate_holds_too(self) -> None:
        client: Any = Client()
        paced = PacedSink(client, self.clock, RateLimit(50_000, 0.0))
        Producer(SharedSink(paced, self.bandwidth), self.clock)
        other, _ = self.answer()
        self.seconds(10)
        self.assertGot([client, other], 500_000, 2_500_000)

    def test_another_limit(self) -> None:
        clients = [self.answer()[0] for _ in range(2)]
        self.seconds(1)
        self.bandwidth.part = 100_000
        before = [client.got for client in clients]
        self.seconds(10)
        got = [client.got - old for client, old in zip(clients, before, strict=True)]
        self.assertTrue(all(abs(each - 500_000) < 20_000 for each in got), got)
        self.bandwidth.part = None
        self.seconds(1)
        self.assertGreater(clients[0].got - before[0], 1_000_000)

    def test_parts_of_a_body_that_are_written_one_after_the_other(self) -> None:
        """Several ranges have a producer each, and introductions that none of them writes."""
        client: Any = Client()
        sink = SharedSink(client, self.bandwidth)
        for _ in range(3):
            sink.write(b"a" * 1000)
            producer = Producer(sink, self.clock)
            self.seconds(2)
            sink.unregisterProducer()
            producer.tick = lambda: None  # type: ignore[method-assign]
            producer.paused = True
        self.assertTrue(1_740_000 < client.got < 1_860_000, client.got)

    def test_nothing_is_left_behind(self) -> None:
        client: Any = Client()
        sinks = [SharedSink(client, self.bandwidth) for _ in range(3)]
        for sink in sinks:
            producer: Any = Producer.__new__(Producer)
            producer.paused = False
            sink.registerProducer(producer, True)
            sink.write(b"a" * 100_000)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        for sink in sinks:
            sink.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.bandwidth.demand().writers, 0)


class AnswersTests(ProxyCase):
    async def test_answers_share_what_their_route_may_send(self) -> None:
        """At 1 MB/s, three answers of 400 kB take 1.2 s less the chunks that come at once."""
        content = bytes(range(250)) * 1600
        nginx = self.nginx(a_bin=content)
        port = self.proxy(nginx.url, bandwidth=1_000_000)
        began = self.seconds()
        asked = [self.ask(port, "/a.bin") for _ in range(3)]
        asked.append(self.ask(port, "/a.bin", {"Range": "bytes=0-299999,350000-359999"}))
        running = [Deferred.fromCoroutine(each) for each in asked]
        answers = [await each for each in running]
        self.assertEqual([each.status for each in answers], [200, 200, 200, 206])
        for each in answers[:3]:
            self.assertEqual(each.body, content)
        self.assertIn(content[:300_000], answers[3].body)
        self.assertGreater(self.seconds() - began, 1.0)


class BandwidthsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bandwidths = Bandwidths(Clock())

    def test_only_routes_with_a_limit_have_one(self) -> None:
        limited, free = routes()
        bandwidth = self.bandwidths.of(limited)
        assert bandwidth is not None
        self.assertEqual(bandwidth.part, 1_000_000)
        self.assertIsNone(self.bandwidths.of(free))

    def test_a_reload_changes_the_limit_of_running_answers(self) -> None:
        before, after = routes(), routes(TEXT.replace("1MB", "2MB"))
        bandwidth = self.bandwidths.of(before[0])
        self.assertIs(self.bandwidths.of(after[0]), bandwidth)
        assert bandwidth is not None
        self.assertEqual(bandwidth.part, 1_000_000)
        self.bandwidths.keep(after)
        self.assertEqual(bandwidth.part, 2_000_000)
        self.bandwidths.keep(after[1:])
        self.assertIsNone(bandwidth.part)

    def test_a_reload_that_changes_nothing_keeps_a_workers_part(self) -> None:
        bandwidth = self.bandwidths.of(routes()[0])
        assert bandwidth is not None
        told = self.bandwidths.share({"/a/": 700_000, "/gone/": 5})
        self.assertEqual(told, {"/a/": (0, 0, False)})
        self.bandwidths.keep(routes())
        self.assertEqual(bandwidth.part, 700_000)


class WorkersTests(SynchronousTestCase):
    def test_each_begins_with_an_equal_part(self) -> None:
        parts = [settings_of(settings(), number, 2).routes[0].bandwidth for number in (0, 1)]
        self.assertEqual(parts, [500_000, 500_000])

    def test_parts_by_demand(self) -> None:
        told: dict[int, dict[str, list[Any]]] = {
            0: {"/a/": [0, 0, False]},
            1: {"/a/": [500_000, 3, True]},
            2: {},
        }
        found = parts_of({"/a/": 1_000_000}, told)
        self.assertEqual(found, {0: {"/a/": 25_000}, 1: {"/a/": 975_000}, 2: {}})
