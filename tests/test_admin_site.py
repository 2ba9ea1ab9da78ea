"""The admin port: health through a daemon's life, the counts, and nothing else."""

from __future__ import annotations

import json
from datetime import datetime
from time import time
from typing import Literal

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aprp.config import SourceSettings, SourcesRoute, Url
from aprp.core.scheduling.in_service import HealthRules
from aprp.core.scheduling.messages import Source, Urgency
from aprp.upstream.errors import connect_failed
from aprp.upstream.http.agent import Agent
from aprp.upstream.transfer.shared import SharedResources
from aprp.web.admin.overview import Health, Overview
from aprp.web.tallies import Tallies
from tests.support.admin_port import admin_site, ask
from tests.support.records import PLAIN

MIRRORS = ("http://a.example/", "http://b.example/")
ROUTE = SourcesRoute(
    path="/films/", sources=tuple(SourceSettings(url=Url.parse(url)) for url in MIRRORS)
)
States = Literal["starting", "serving", "stopping"]


class Holding:
    """A delivery that holds so many bytes."""

    def __init__(self, held: int) -> None:
        self.held = held

    def granted(self, source: str) -> None:
        pass

    def take_out(self, sources: frozenset[str]) -> None:
        pass

    def limit_window(self, window: int | None) -> None:
        pass

    def wanted(self) -> int:
        return self.held

    def used(self) -> int:
        return self.held


class AdminTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.health = Health("serving")
        self.clock = Clock()
        self.shared = SharedResources(Agent(self.clock), self.clock, 1_000_000)
        self.tallies = Tallies((ROUTE,))
        self.overview = Overview(self.health, self.tallies, self.shared, list, lambda: 0)
        self.site = admin_site(self.overview, self.clock)

    def ask(self, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        """Status, fields in lower case, body."""
        return ask(self.site, path, method)

    def test_health_through_a_life(self) -> None:
        states: tuple[tuple[States, int], ...] = (
            ("starting", 503),
            ("serving", 200),
            ("stopping", 503),
        )
        for state, status in states:
            self.health.state = state
            answer = self.ask("/healthz")
            self.assertEqual((answer[0], answer[2]), (status, f"{state}\n".encode()))
            self.assertEqual(answer[1]["cache-control"], "no-store")

    def test_metrics(self) -> None:
        self.tallies.observe(PLAIN)
        status, fields, body = self.ask("/metrics")
        self.assertEqual(status, 200)
        self.assertEqual(fields["content-type"], "text/plain; version=0.0.4; charset=utf-8")
        self.assertIn(b'aprp_requests_total{route="/films/",status="206"} 1.0\n', body)

    def test_index_names_what_there_is(self) -> None:
        status, fields, body = self.ask("/")
        self.assertEqual((status, fields["content-type"]), (200, "text/html; charset=utf-8"))
        for path in (b"/healthz", b"/metrics", b"/status"):
            self.assertIn(path, body)

    def test_status_of_nothing(self) -> None:
        status, fields, body = self.ask("/status")
        self.assertEqual((status, fields["content-type"]), (200, "application/json"))
        told = json.loads(body)
        self.assertGreater(told["memory"].pop("resident"), 1_000_000)
        self.assertEqual(told["memory"], {"held": 0, "used": 0, "limit": 1_000_000})
        self.assertEqual((told["sources"], told["left_out"], told["transfers"]), ([], [], 0))
        self.assertEqual(told["state"], "serving")

    def test_status_of_a_source(self) -> None:
        rating = self.shared.ratings.of("http://a.example/")
        rating.answered(0.0205, None)
        rating.came(3_000_000, 1.0, 1, 0.0)
        for file in "abc":
            rating.failed(self.clock.seconds(), 100.0, file)
        self.shared.join(holder := Holding(4000), 10_000)
        self.shared.want(holder, Source("http://b.example/"), Urgency.HEAD)
        self.shared.ratings.of("http://b.example/")
        told = json.loads(self.ask("/status")[2])
        self.assertEqual((told["transfers"], told["memory"]["held"]), (1, 4000))
        used, parked = told["sources"]
        self.assertEqual((used["source"], used["connections"]), ("http://b.example/", 1))
        self.assertEqual((used["bytes_per_second"], used["parked_until"]), (None, None))
        until = datetime.fromisoformat(parked.pop("parked_until")).timestamp()
        self.assertLess(abs(until - time() - 100), 30)
        self.assertEqual(
            parked,
            {
                "source": "http://a.example/",
                "connections": 0,
                "bytes_per_second": None,
                "latency": 0.0205,
                "failures": 3,
            },
        )

    def test_a_source_that_died_has_no_rate(self) -> None:
        rating = self.shared.ratings.of("http://a.example/")
        rating.came(804_000_000, 1.0, 1, 0.0)
        rating.failed(self.clock.seconds())
        (source,) = json.loads(self.ask("/status")[2])["sources"]
        self.assertEqual(source["bytes_per_second"], None)

    def test_status_of_a_route(self) -> None:
        self.tallies.observe(PLAIN)
        first = self.tallies.of("/films/").source(MIRRORS[0])
        first.requests, first.received = 3, 900
        first.answered(206, 0.25, 0.0)
        refused = connect_failed("b.example:80", ConnectionRefusedError())
        self.tallies.of("/films/").source(MIRRORS[1]).failed(refused, 0.0)
        told = json.loads(self.ask("/status")[2])
        (route,) = told["routes"]
        self.assertEqual(
            (route["path"], route["kind"], route["sent"]), ("/films/", "sources", 1000)
        )
        a, b = route["sources"]
        self.assertEqual((a["state"], a["latency"], a["share"]), ("ok", 0.25, 1.0))
        self.assertEqual((b["state"], b["errors"], b["share"]), ("down", {"connect": 1}, 0.0))
        (problem,) = told["problems"]
        self.assertEqual((problem["route"], problem["source"]), ("/films/", MIRRORS[1]))
        self.assertGreater(len(problem["advice"]), 20)

    def test_ready_while_each_route_has_a_source_that_is_well(self) -> None:
        refused = connect_failed("x:80", ConnectionRefusedError())
        self.assertEqual(self.ask("/readyz")[0], 200)
        for url, status in zip(MIRRORS, (200, 503), strict=True):
            self.tallies.of("/films/").source(url).failed(refused, self.clock.seconds())
            self.assertEqual(self.ask("/readyz")[0], status)
        self.assertEqual(self.ask("/readyz")[2], b"/films/: no source is up\n")
        self.assertEqual(self.ask("/healthz")[0], 200)
        self.clock.advance(31)  # nobody asks it any more, so somebody has to try
        self.assertEqual(self.ask("/readyz")[0], 200)

    def test_a_source_that_passes_its_checks_again_is_well(self) -> None:
        refused = connect_failed("x:80", ConnectionRefusedError())
        for url in MIRRORS:
            self.tallies.of("/films/").source(url).failed(refused, self.clock.seconds())
        self.assertEqual(self.ask("/readyz")[0], 503)
        rules = HealthRules(fails=1, passes=1)
        self.shared.in_service.checked(MIRRORS[0], "/", None, rules)
        self.assertEqual(self.ask("/readyz")[0], 200)

    def test_not_ready_while_draining(self) -> None:
        for state, status in (("starting", 503), ("serving", 200), ("stopping", 503)):
            self.health.state = state  # type: ignore[assignment]
            self.assertEqual(self.ask("/readyz")[0], status)

    def test_what_strangers_wrote_stays_text(self) -> None:
        evil = "<script>alert('1')</script>&\"\x00\u2028\udc80"
        self.shared.ratings.of(evil)
        self.shared.note_left_out(evil, f"{evil} {{0}}; `same: length` would admit it")
        _, fields, body = self.ask("/status")
        (left_out,) = json.loads(body)["left_out"]
        self.assertEqual(left_out["source"], evil)
        self.assertEqual(fields["x-content-type-options"], "nosniff")

    def test_no_more_than_the_last_are_remembered(self) -> None:
        for number in range(200):
            self.shared.note_left_out(f"http://{number}.example/", "answered 404")
        left_out = json.loads(self.ask("/status")[2])["left_out"]
        self.assertEqual((len(left_out), left_out[0]["source"]), (50, "http://199.example/"))

    def test_nothing_else(self) -> None:
        for path in ("/x", "//", "/x/y", "/healthz/x", "/status/", "/metrics/.."):
            self.assertEqual(self.ask(path)[0], 404, path)

    def test_head_has_no_body(self) -> None:
        for path in ("/", "/status", "/healthz", "/readyz", "/metrics"):
            status, fields, body = self.ask(path, "HEAD")
            self.assertEqual((status, body), (200, b""))
            self.assertGreater(int(fields["content-length"]), 0)

    def test_other_methods_are_refused(self) -> None:
        for method in ("POST", "PUT", "DELETE", "BREW"):
            status, fields, _ = self.ask("/healthz", method)
            self.assertEqual(status, 405, method)
            self.assertEqual(fields["allow"], "get, head")
