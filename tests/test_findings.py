"""What workers tell each other of sources."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.scheduling.in_service import HealthRules, InService
from aprp.core.scheduling.ratings import REMEMBERED, Ratings
from aprp.core.sharing.findings import Findings, merge
from aprp.daemon.workers.sharing import PERIOD, SharedFindings
from aprp.daemon.workers.supervisor import ANSWER, Supervisor

RULES = HealthRules(1, 1)
NOTHING: dict[str, Any] = {"ratings": {}}


class Worker:
    def __init__(self, checks: bool = False) -> None:
        self.ratings, self.in_service = Ratings(), InService()
        self.findings = Findings(self.ratings, self.in_service, checks)

    def news(self) -> Any:
        """What it tells, as another worker gets it."""
        return json.loads(json.dumps(self.findings.news()))


class FindingsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.one, self.two = Worker(checks=True), Worker()

    def learn(self, worker: Worker, latency: float, rate: int) -> None:
        rating = worker.ratings.of("s")
        rating.answered(latency, None)
        rating.came(rate, 1.0, 1, 1.0)

    def test_another_worker_takes_over_what_one_has_learnt(self) -> None:
        self.learn(self.one, 2.0, 1000)
        self.one.ratings.of("s").failed(9.0, 60.0, "/film")
        self.two.findings.hear(self.one.news())
        rating = self.two.ratings.of("s")
        self.assertEqual((rating.latency, rating.failures), (2.0, 1))
        self.assertAlmostEqual(rating.rate or 0.0, 1000)
        self.assertEqual(rating.parking.until("/film", 9.0), 69.0)
        self.assertEqual(self.two.news(), NOTHING)  # which isn't news from this one
        self.assertEqual(self.one.news(), NOTHING)

    def test_what_it_measured_itself_stays(self) -> None:
        self.learn(self.one, 2.0, 1000)
        told = self.one.news()
        self.learn(self.two, 0.1, 5000)
        self.two.findings.hear(told)
        self.assertEqual(self.two.ratings.of("s").latency, 0.1)
        self.one.findings.hear(self.two.news())  # the first has measured nothing since
        self.assertEqual(self.one.ratings.of("s").latency, 0.1)

    def test_measurements_go_on_from_what_was_taken_over(self) -> None:
        self.learn(self.one, 2.0, 1000)
        self.two.findings.hear(self.one.news())
        self.two.ratings.of("s").came(5000, 1.0, 1, 3.0)
        self.assertGreater(self.two.ratings.of("s").rate or 0.0, 4000)

    def test_one_checks_the_health_for_all(self) -> None:
        self.one.in_service.checked("s", "/ping", "refused", RULES)
        self.two.in_service.drain("t")
        self.assertTrue(self.two.findings.hear(self.one.news()))
        self.assertEqual(self.two.in_service.out, {"s", "t"})
        self.assertIn("refused", self.two.in_service.why_out("s") or "")
        self.assertEqual(self.one.news(), NOTHING)
        successor = Worker(checks=True)
        successor.findings.hear({"ratings": {}, "health": [["s", "/ping", STATE]]})
        successor.in_service.checked("s", "/ping", None, RULES)
        self.assertTrue(self.two.findings.hear(successor.news()))
        self.assertEqual(self.two.in_service.out, {"t"})

    def test_merging_keeps_the_latest(self) -> None:
        merged = merge({"ratings": {"s": 1, "t": 1}, "health": []}, {"ratings": {"s": 2}})
        self.assertEqual(merged, {"ratings": {"t": 1, "s": 2}, "health": []})
        many = {"ratings": {str(number): number for number in range(REMEMBERED)}}
        self.assertNotIn("t", merge(merged, many)["ratings"])
        self.assertEqual(len(merge(merged, many)["ratings"]), REMEMBERED)


STATE = {"well": False, "streak": 0, "reason": "refused"}


class ExchangeTests(SynchronousTestCase):
    """The parent's part: two workers, of which the test writes the answers."""

    def setUp(self) -> None:
        self.clock = Clock()
        workers = Supervisor(2, self.clock, *(lambda *_: None,) * 3, lambda: ())
        self.requests: list[Any] = [record.requests for record in workers.records]
        for record in workers.records:
            record.requests.makeConnection(StringTransport())
            record.serving = True
        findings = SharedFindings(workers, self.clock)
        findings.start()
        self.addCleanup(findings.stop)

    def asked(self, worker: int) -> list[Any]:
        """What a worker was told, in turn."""
        lines = self.requests[worker].transport.value().splitlines()
        return [json.loads(json.loads(line)["arguments"][0]) for line in lines]

    def answers(self, worker: int, number: int, news: Any) -> None:
        line = json.dumps({"id": number, "ok": True, "result": news}).encode() + b"\n"
        self.requests[worker].dataReceived(line)

    def test_what_a_worker_tells_late_is_passed_on(self) -> None:
        self.clock.advance(PERIOD)
        self.clock.pump([PERIOD] * int(2 * ANSWER / PERIOD))
        self.assertEqual(len(self.asked(0)), 1, "it has yet to answer")
        news = {"ratings": {}, "health": [["http://a/", "/ping", {}]]}
        self.answers(0, 1, news)
        self.answers(1, 1, NOTHING)
        self.clock.advance(PERIOD)
        self.assertEqual(self.asked(1)[-1], news)

    def test_a_worker_that_ends_is_asked_no_more_for_the_old(self) -> None:
        self.clock.advance(PERIOD)
        self.requests[0].connectionLost(None)
        self.clock.advance(PERIOD)
        self.assertEqual(len(self.asked(0)), 1)
