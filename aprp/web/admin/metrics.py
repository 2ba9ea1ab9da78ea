"""The metrics of the daemon in Prometheus' text format, gathered when they are scraped.

Labels have few values: routes and sources are those of the configuration (``-`` stands for the
sources that clients name, and for requests without a route), kinds are words of ours or
Proxy-Status error types (RFC 9209 section 2.3). Nothing that a client can make up becomes a label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    GCCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

import aprp
from aprp.core.http2.counts import Http2Counts
from aprp.core.limits import Over
from aprp.upstream.http.agent import Agent
from aprp.upstream.tally import Histogram
from aprp.web.admin.connections import ConnectionsCollector, RefusedCollector
from aprp.web.admin.overview import Overview, Running
from aprp.web.admin.reloads import ReloadOutcome
from aprp.web.tallies import RouteTally, Tallies

if TYPE_CHECKING:
    from aprp.web.admin.cache_metrics import StoreFigures

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


class _Families(Collector):
    """Builds all metric families for each scrape."""

    def __init__(self, overview: Overview) -> None:
        self._overview = overview

    def describe(self) -> Iterable[Family]:
        return ()

    def collect(self) -> Iterator[Family]:
        overview = self._overview
        yield from _of_routes(list(overview.tallies), overview.running_by_route())
        yield from _of_sources(overview)
        yield from _of_http2(overview.http2())
        for name, about, value in overview.gauges():
            yield GaugeMetricFamily(name, about, value)


def _of_routes(tallies: list[RouteTally], running: Mapping[str, Running]) -> Iterator[Family]:
    yield from _counters_by_label(tallies)
    yield from _counters(tallies, running)
    yield from _histograms(tallies)
    yield from _gauges(tallies, running)


def _counters_by_label(tallies: list[RouteTally]) -> Iterator[Family]:
    def counters(
        name: str, about: str, label: str, counts: Callable[[RouteTally], Mapping[str, int]]
    ) -> Family:
        family = CounterMetricFamily(name, about, labels=["route", label])
        for tally in tallies:
            for value, count in counts(tally).items():
                family.add_metric([tally.path, value], count)
        return family

    yield counters(
        "aprp_requests",
        "Requests that have ended",
        "status",
        lambda tally: {f"{status:03d}": count for status, count in tally.statuses.items()},
    )
    yield counters(
        "aprp_requests_by_version",
        "Requests by the version of HTTP",
        "version",
        lambda t: t.versions,
    )
    yield counters("aprp_endings", "Requests by how they ended", "ended", lambda t: t.endings)
    yield counters(
        "aprp_upstream_errors",
        "Requests that an upstream failed, by RFC 9209 error type",
        "kind",
        lambda tally: tally.errors,
    )


def _counters(tallies: list[RouteTally], running: Mapping[str, Running]) -> Iterator[Family]:
    none = Running()

    def counter(name: str, about: str, count: Callable[[RouteTally, Running], int]) -> Family:
        family = CounterMetricFamily(name, about, labels=["route"])
        for tally in tallies:
            family.add_metric([tally.path], count(tally, running.get(tally.path, none)))
        return family

    yield counter("aprp_sent_bytes", "Body bytes sent to clients", lambda t, r: t.sent + r.sent)
    yield counter(
        "aprp_received_bytes",
        "Bytes from clients: bodies of requests, and all after a change of protocol",
        lambda t, r: t.received + r.received,
    )
    yield counter(
        "aprp_resumes",
        "Times that a broken body was resumed at its next byte",
        lambda t, r: t.resumes + r.resumes,
    )
    yield counter(
        "aprp_duplicate_bytes",
        "Bytes that came from a source though they were there already",
        lambda t, r: t.duplicates + r.duplicates,
    )


def _histograms(tallies: list[RouteTally]) -> Iterator[Family]:
    def histogram(name: str, about: str, values: Callable[[RouteTally], Histogram]) -> Family:
        family = HistogramMetricFamily(name, about, labels=["route"])
        for tally in tallies:
            _add(family, [tally.path], values(tally))
        return family

    yield histogram(
        "aprp_request_seconds", "Seconds from a request's arrival to its end", lambda t: t.seconds
    )
    yield histogram(
        "aprp_first_byte_seconds",
        "Seconds from a request's arrival to the head of its answer",
        lambda t: t.first_byte,
    )
    yield histogram(
        "aprp_longest_gap_seconds",
        "The longest time for which a client waited for more of its body",
        lambda t: t.gap,
    )
    yield histogram(
        "aprp_sent_rate_bytes_per_second",
        "The mean rate of answers of 64 KiB or more",
        lambda t: t.rate,
    )


def _gauges(tallies: list[RouteTally], running: Mapping[str, Running]) -> Iterator[Family]:
    none = Running()
    in_flight = GaugeMetricFamily(
        "aprp_requests_in_flight", "Requests that have not ended", labels=["route"]
    )
    for tally in tallies:
        in_flight.add_metric([tally.path], running.get(tally.path, none).count)
    yield in_flight
    upgraded = GaugeMetricFamily(
        "aprp_upgraded_connections",
        "Connections of clients that have changed to another protocol",
        labels=["route"],
    )
    for tally in tallies:
        upgraded.add_metric([tally.path], running.get(tally.path, none).upgraded)
    yield upgraded


def _of_sources(overview: Overview) -> Iterator[Family]:
    labels = ["route", "source"]
    requests = CounterMetricFamily("aprp_source_requests", "Requests to a source", labels=labels)
    received = CounterMetricFamily(
        "aprp_source_received_bytes", "Body bytes that came from a source", labels=labels
    )
    answers = CounterMetricFamily(
        "aprp_source_responses",
        "Responses of a source, by the version of HTTP",
        labels=[*labels, "version"],
    )
    errors = CounterMetricFamily(
        "aprp_source_errors", "Failures of a source, by kind", labels=[*labels, "kind"]
    )
    latency = HistogramMetricFamily(
        "aprp_source_latency_seconds",
        "Seconds from a request to the head of a source's answer",
        labels=labels,
    )
    for tally in overview.tallies:
        for name, source in tally.sources.items():
            requests.add_metric([tally.path, name], source.requests)
            received.add_metric([tally.path, name], source.received)
            for version, count in source.versions.items():
                answers.add_metric([tally.path, name, version], count)
            for kind, count in source.errors.items():
                errors.add_metric([tally.path, name, kind], count)
            _add(latency, [tally.path, name], source.latency)
    well = GaugeMetricFamily("aprp_source_up", "1, or 0 while a source is down", labels=labels)
    rate = GaugeMetricFamily(
        "aprp_source_rate_bytes_per_second", "What comes from a source now", labels=labels
    )
    for route, name, is_well, speed in overview.wellness():
        well.add_metric([route, name], float(is_well))
        rate.add_metric([route, name], speed)
    yield from (requests, answers, received, errors, latency, well, rate)


def _of_http2(sides: Mapping[str, Http2Counts]) -> Iterator[Family]:
    connections = GaugeMetricFamily(
        "aprp_http2_connections", "Connections that speak HTTP/2 now", labels=["side"]
    )
    streams = GaugeMetricFamily(
        "aprp_http2_streams", "Requests under way over HTTP/2", labels=["side"]
    )
    for side, counts in sides.items():
        connections.add_metric([side], counts.connections)
        streams.add_metric([side], counts.streams)
    yield from (connections, streams)


def _add(family: HistogramMetricFamily, labels: list[str], values: Histogram) -> None:
    total, buckets = 0, []
    for bound, count in zip((*values.bounds, float("inf")), values.counts, strict=True):
        total += count
        buckets.append(("+Inf" if bound == float("inf") else f"{bound:g}", float(total)))
    family.add_metric(labels, buckets, values.sum)


class Metrics:
    """Prints everything in the text exposition format."""

    def __init__(self, overview: Overview) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        build = Gauge("aprp_build_info", "1, with the version", ["version"], registry=registry)
        build.labels(aprp.__version__).set(1)
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
        registry.register(_Families(overview))

    def reloaded(self, outcome: ReloadOutcome) -> None:
        """A reload has ended."""
        self._reload_ok.set(outcome.ok)
        if outcome.ok:
            self._reload_at.set(outcome.at)

    def watch_logs(self, dropped: Callable[[], Mapping[str, int]]) -> None:
        """Show from now on how many lines each log has dropped."""
        self.registry.register(_DroppedLines(dropped))

    def watch_connections(self, agent: Agent) -> None:
        """Show from now on the connections to sources and of clients, and their limits."""
        self.registry.register(ConnectionsCollector(agent))

    def watch_clients(self, refused: Mapping[Over, int]) -> None:
        """From now on show how many clients were refused by each limit."""
        self.registry.register(RefusedCollector(refused))

    def watch_cache(self, store: StoreFigures, tallies: Tallies) -> None:
        """From now on show what the cache does."""
        from aprp.web.admin.cache_metrics import CacheCollector

        self.registry.register(CacheCollector(store, tallies))

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
