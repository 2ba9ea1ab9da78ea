"""Counts of what was served, in a registry of our own, for Prometheus to fetch.

Labels have few values: routes are those of the configuration, kinds are Proxy-Status error types
(RFC 9209 §2.3); nothing that a client can make up becomes a label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily

import aprp
from aprp.upstream.http.agent import Agent
from aprp.web.access_record import AccessRecord
from aprp.web.admin.connections import ConnectionsCollector
from aprp.web.admin.reloads import ReloadOutcome

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Seconds: from an answer out of a near cache to a film watched in one go.
BUCKETS = (0.005, 0.02, 0.1, 0.5, 1, 5, 20, 60, 300, 1800, 7200)


class Metrics:
    """Takes each finished request, and prints the sums in the text exposition format."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        build = Gauge("aprp_build_info", "1, with the version", ["version"], registry=registry)
        build.labels(aprp.__version__).set(1)
        self._requests = Counter(
            "aprp_requests", "Requests that have ended", ["route", "status"], registry=registry
        )
        self._bytes = Counter(
            "aprp_body_bytes", "Body bytes sent to clients", ["route"], registry=registry
        )
        self._errors = Counter(
            "aprp_upstream_errors",
            "Requests that an upstream failed, by RFC 9209 error type",
            ["route", "kind"],
            registry=registry,
        )
        self._resumes = Counter(
            "aprp_resumes",
            "Times a broken transfer was taken up again at its next byte",
            ["route"],
            registry=registry,
        )
        self._seconds = Histogram(
            "aprp_request_seconds",
            "Seconds from a request's arrival to its end",
            ["route"],
            buckets=BUCKETS,
            registry=registry,
        )
        self.in_flight = Gauge(
            "aprp_requests_in_flight", "Requests that have not ended", registry=registry
        )

        self._reload_ok = Gauge(
            "aprp_config_last_reload_successful",
            "1 if the last reload of the configuration was made, 0 if it was refused",
            registry=registry,
        )
        self._reload_ok.set(1)
        self._reload_at = Gauge(
            "aprp_config_last_reload_success_timestamp_seconds",
            "When the configuration in use was loaded",
            registry=registry,
        )
        self._reload_at.set_to_current_time()

    def reloaded(self, outcome: ReloadOutcome) -> None:
        """A reload has ended."""
        self._reload_ok.set(outcome.ok)
        if outcome.ok:
            self._reload_at.set(outcome.at)

    def watch_logs(self, dropped: Callable[[], Mapping[str, int]]) -> None:
        """From now on show how many lines each log has dropped."""
        self.registry.register(_DroppedLines(dropped))

    def watch_connections(self, agent: Agent) -> None:
        """From now on show the connections to sources and of clients, and what bounds them."""
        self.registry.register(ConnectionsCollector(agent))

    def observe(self, record: AccessRecord) -> None:
        route = record.route
        self._requests.labels(route, str(record.status)).inc()
        self._bytes.labels(route).inc(record.bytes_sent)
        self._seconds.labels(route).observe(record.seconds)
        if record.error is not None:
            self._errors.labels(route, record.error).inc()
        if record.resumes:
            self._resumes.labels(route).inc(record.resumes)

    def text(self) -> bytes:
        """All of it, in the format that ``CONTENT_TYPE`` names."""
        return generate_latest(self.registry)


class _DroppedLines:
    """Reads a count that is kept elsewhere, when the metrics are fetched."""

    def __init__(self, dropped: Callable[[], Mapping[str, int]]) -> None:
        self._dropped = dropped

    def collect(self) -> Iterator[CounterMetricFamily]:
        text = "Lines that a log dropped because they couldn't be written"
        family = CounterMetricFamily("aprp_log_lines_dropped", text, labels=["log"])
        for log, count in self._dropped().items():
            family.add_metric([log], count)
        yield family
