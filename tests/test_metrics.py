"""What /metrics says, read as Prometheus reads it."""

from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

import aprp
from aprp.config import QueryRoute, SourceSettings, SourcesRoute, UpstreamRoute, Url
from aprp.upstream.errors import BodyBroken, connect_failed
from aprp.upstream.http.agent import Agent
from aprp.upstream.tally import KINDS
from aprp.upstream.transfer.shared import SharedResources
from aprp.web.admin.metrics import Metrics
from aprp.web.admin.overview import Health, Overview
from aprp.web.admin.rates import NOW
from aprp.web.tallies import Tallies
from tests.support.records import PLAIN

A, B, U = "http://a.example/pub/", "http://b.example/", "https://u.example/films/"
ROUTES = (
    SourcesRoute(
        path="/films/",
        sources=tuple(SourceSettings(url=Url.parse(url)) for url in (A + "?token=1", B)),
    ),
    UpstreamRoute(path="/one/", upstream=Url.parse(U)),
    QueryRoute(path="/proxy", query="host"),
)


class Going:
    """A request that has not ended."""

    def __init__(self, route: str, sent: int) -> None:
        self.route = route
        self.sentLength = sent
        self.body_length = 0
        self.upgraded = False
        self.transfer = None


class MetricsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.tallies = Tallies(ROUTES)
        self.running: list[Any] = []
        shared = SharedResources(Agent(self.clock), self.clock, 1_000_000)
        self.overview = Overview(
            Health("serving"), self.tallies, shared, lambda: self.running, lambda: 7
        )
        self.metrics = Metrics(self.overview)

    def value(self, name: str, **labels: str) -> float | None:
        """As a reader of the text finds it."""
        for family in text_string_to_metric_families(self.metrics.text().decode()):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        return None


class RouteTests(MetricsCase):
    def test_all_is_there_from_the_start(self) -> None:
        for route in ("/films/", "/one/", "/proxy", "-"):
            for name in ("sent_bytes", "resumes", "duplicate_bytes"):
                self.assertEqual(self.value(f"aprp_{name}_total", route=route), 0, name)
            for name in ("request_seconds", "first_byte_seconds", "longest_gap_seconds"):
                self.assertEqual(self.value(f"aprp_{name}_count", route=route), 0, name)
            self.assertEqual(self.value("aprp_requests_total", route=route, status="206"), 0)
            self.assertEqual(
                self.value("aprp_upstream_errors_total", route=route, kind="connection_refused"), 0
            )
            self.assertEqual(self.value("aprp_requests_in_flight", route=route), 0)

    def test_requests_and_bytes(self) -> None:
        for status, route in ((206, "/films/"), (206, "/films/"), (404, "-"), (200, "/gone/")):
            self.tallies.observe(PLAIN._replace(status=status, route=route))
        self.assertEqual(self.value("aprp_requests_total", route="/films/", status="206"), 2)
        self.assertEqual(self.value("aprp_requests_total", route="-", status="404"), 1)
        self.assertEqual(self.value("aprp_sent_bytes_total", route="/films/"), 2000)
        self.assertEqual(self.value("aprp_sent_bytes_total", route="-"), 2000)

    def test_bytes_count_while_they_flow(self) -> None:
        self.tallies.observe(PLAIN)
        self.running = [Going("/films/", 500), Going("/films/", 70)]
        self.assertEqual(self.value("aprp_sent_bytes_total", route="/films/"), 1570)
        self.assertEqual(self.value("aprp_requests_in_flight", route="/films/"), 2)

    def test_errors_are_those_of_upstreams(self) -> None:
        def errors(kind: str) -> float | None:
            return self.value("aprp_upstream_errors_total", route="/films/", kind=kind)

        for record in (
            PLAIN,
            PLAIN._replace(status=400, ended="refused", error="http_request_error"),
            PLAIN._replace(status=404, ended="refused", error="destination_unavailable"),
            PLAIN._replace(ended="cut", error="connection_write_timeout"),
            PLAIN._replace(ended="client left", error="connection_refused"),
        ):
            self.tallies.observe(record)
        total = sum(
            sample.value
            for family in text_string_to_metric_families(self.metrics.text().decode())
            if family.name == "aprp_upstream_errors"
            for sample in family.samples
        )
        self.assertEqual(total, 0)
        for kind in ("connection_refused", "http_response_incomplete"):
            ended = "failed" if kind == "connection_refused" else "cut"
            self.tallies.observe(PLAIN._replace(ended=ended, error=kind, first_byte=0.1))
            self.assertEqual(errors(kind), 1)

    def test_times_and_rates(self) -> None:
        self.tallies.observe(
            PLAIN._replace(bytes_sent=10**6, seconds=2.1, first_byte=0.1, longest_gap=0.3)
        )
        for name, below, above in (
            ("request_seconds", "1.0", "5.0"),
            ("first_byte_seconds", "0.05", "0.1"),
            ("longest_gap_seconds", "0.25", "0.5"),
            ("sent_rate_bytes_per_second", "300000.0", "1e+06"),
        ):
            for le, count in ((below, 0), (above, 1), ("+Inf", 1)):
                self.assertEqual(self.bucket(f"aprp_{name}_bucket", float(le)), count, (name, le))

    def bucket(self, name: str, le: float) -> float | None:
        for family in text_string_to_metric_families(self.metrics.text().decode()):
            for sample in family.samples:
                ours = sample.name == name and sample.labels["route"] == "/films/"
                if ours and float(sample.labels["le"]) == le:
                    return sample.value
        return None


class SourceTests(MetricsCase):
    def test_all_is_there_from_the_start_and_no_query_is(self) -> None:
        for route, source in (
            ("/films/", "http://a.example/pub/"),
            ("/films/", B),
            ("/one/", U),
            ("/proxy", "-"),
        ):
            for name in ("requests", "received_bytes"):
                self.assertEqual(
                    self.value(f"aprp_source_{name}_total", route=route, source=source), 0
                )
            for kind in KINDS:
                self.assertEqual(self.errors(route, source, kind), 0)
            self.assertEqual(
                self.value("aprp_source_latency_seconds_count", route=route, source=source), 0
            )
            self.assertEqual(self.value("aprp_source_up", route=route, source=source), 1)
        self.assertNotIn(b"token", self.metrics.text())

    def errors(self, route: str, source: str, kind: str) -> float | None:
        return self.value("aprp_source_errors_total", route=route, source=source, kind=kind)

    def test_counts(self) -> None:
        tally = self.tallies.of("/films/").source(B)
        tally.requests += 1
        tally.answered(206, 0.02, 1.0)
        tally.received += 5000
        tally.failed(BodyBroken("b.example", "closed the connection"), 2.0)
        tally.answered(503, 0.01, 3.0)
        named = {"route": "/films/", "source": B}
        self.assertEqual(self.value("aprp_source_received_bytes_total", **named), 5000)
        self.assertEqual(self.value("aprp_source_latency_seconds_count", **named), 2)
        self.assertEqual(self.errors("/films/", B, "broken"), 1)
        self.assertEqual(self.errors("/films/", B, "status"), 1)
        self.assertEqual(self.value("aprp_source_up", **named), 1)

    def test_a_source_that_is_down(self) -> None:
        tally = self.tallies.of("/films/").source(B)
        tally.failed(connect_failed("b.example:80", OSError("no route")), self.clock.seconds())
        self.assertEqual(self.errors("/films/", B, "connect"), 1)
        self.assertEqual(self.value("aprp_source_up", route="/films/", source=B), 0)

    def test_what_strangers_name_is_no_label(self) -> None:
        self.tallies.of("/proxy").source("http://evil.example/").received += 3
        self.assertNotIn(b"evil", self.metrics.text())
        self.assertEqual(
            self.value("aprp_source_received_bytes_total", route="/proxy", source="-"), 3
        )

    def test_the_rate_is_what_comes_now(self) -> None:
        tally = self.tallies.of("/films/").source(B)
        named = {"route": "/films/", "source": B}
        self.overview.sample()
        for rate in (500, 0):
            for _ in range(NOW):
                self.clock.advance(1.0)
                tally.received += rate
                self.overview.sample()
            self.assertEqual(self.value("aprp_source_rate_bytes_per_second", **named), rate)


class ProcessTests(MetricsCase):
    def test_version_process_and_reload(self) -> None:
        self.assertEqual(self.value("aprp_build_info", version=aprp.__version__), 1)
        for name in ("process_resident_memory_bytes", "process_open_fds", "process_max_fds"):
            self.assertGreater(self.value(name) or 0, 0)
        self.assertEqual(self.value("aprp_config_last_reload_successful"), 1)
        self.assertEqual(self.value("aprp_memory_limit_bytes"), 1_000_000)
        for name in ("aprp_windows_used_bytes", "aprp_transfers"):
            self.assertEqual(self.value(name), 0)

    def test_lines_that_logs_dropped(self) -> None:
        dropped = {"log": 0, "access": 3}
        self.metrics.watch_logs(lambda: dropped)
        self.assertEqual(self.value("aprp_log_lines_dropped_total", log="access"), 3)
        dropped["access"] = 4
        self.assertEqual(self.value("aprp_log_lines_dropped_total", log="access"), 4)

    def test_a_reload_keeps_the_counts_of_sources_that_stay(self) -> None:
        self.tallies.of("/films/").source(B).received += 9
        route = SourcesRoute(path="/films/", sources=(SourceSettings(url=Url.parse(B)),))
        self.tallies.add(route)
        self.tallies.keep((route,))
        self.assertEqual(
            self.value("aprp_source_received_bytes_total", route="/films/", source=B), 9
        )
        self.assertNotIn(b"http://a.example", self.metrics.text())
