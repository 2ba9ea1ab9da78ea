"""Counts by route, status and kind, in the text exposition format."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

import aprp
from aprp.web.admin.metrics import Metrics
from tests.support.records import PLAIN


class MetricsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.metrics = Metrics()

    def value(self, name: str, **labels: str) -> float | None:
        """As a reader of the text finds it."""
        for family in text_string_to_metric_families(self.metrics.text().decode()):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        return None

    def test_requests_and_bytes(self) -> None:
        for status, route in ((206, "/films/"), (206, "/films/"), (404, "-")):
            self.metrics.observe(replace(PLAIN, status=status, route=route))
        self.assertEqual(self.value("aprp_requests_total", route="/films/", status="206"), 2)
        self.assertEqual(self.value("aprp_requests_total", route="-", status="404"), 1)
        self.assertEqual(self.value("aprp_body_bytes_total", route="/films/"), 2000)
        self.assertEqual(self.value("aprp_body_bytes_total", route="-"), 1000)

    def test_errors_by_kind(self) -> None:
        self.metrics.observe(PLAIN)
        self.metrics.observe(replace(PLAIN, status=502, error="connection_refused"))
        self.assertEqual(
            self.value("aprp_upstream_errors_total", route="/films/", kind="connection_refused"), 1
        )
        self.assertEqual(self.metrics.text().count(b"aprp_upstream_errors_total{"), 1)

    def test_resumes(self) -> None:
        self.metrics.observe(PLAIN)
        self.assertEqual(self.value("aprp_resumes_total", route="/films/"), None)
        self.metrics.observe(replace(PLAIN, resumes=2))
        self.assertEqual(self.value("aprp_resumes_total", route="/films/"), 2)

    def test_seconds(self) -> None:
        self.metrics.observe(PLAIN)
        self.assertEqual(self.value("aprp_request_seconds_bucket", route="/films/", le="0.1"), 0)
        self.assertEqual(self.value("aprp_request_seconds_bucket", route="/films/", le="0.5"), 1)
        self.assertEqual(self.value("aprp_request_seconds_sum", route="/films/"), 0.12345)

    def test_in_flight(self) -> None:
        self.metrics.in_flight.set_function(lambda: 3)
        self.assertEqual(self.value("aprp_requests_in_flight"), 3)

    def test_lines_that_logs_dropped(self) -> None:
        dropped = {"log": 0, "access": 3}
        self.metrics.watch_logs(lambda: dropped)
        self.assertEqual(self.value("aprp_log_lines_dropped_total", log="access"), 3)
        dropped["access"] = 4
        self.assertEqual(self.value("aprp_log_lines_dropped_total", log="access"), 4)

    def test_version_and_process(self) -> None:
        self.assertEqual(self.value("aprp_build_info", version=aprp.__version__), 1)
        self.assertGreater(self.value("process_resident_memory_bytes") or 0, 0)

    def test_two_do_not_share_counts(self) -> None:
        Metrics().observe(PLAIN)
        self.assertEqual(self.value("aprp_body_bytes_total", route="/films/"), None)
