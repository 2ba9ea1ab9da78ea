"""Metrics of connections, of the limits on them, and of refused clients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from aprp.core.limits import Over
from aprp.upstream.http.agent import Agent


class ConnectionsCollector(Collector):
    """Reads the numbers of connections when metrics are scraped."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def collect(self) -> Iterable[Metric]:
        agent, descriptors = self._agent, self._agent.descriptors
        sources = GaugeMetricFamily(
            "aprp_source_connections", "Connections to sources now", labels=["state"]
        )
        sources.add_metric(["busy"], agent.connections - agent.idle)
        sources.add_metric(["idle"], agent.idle)
        yield sources
        most = GaugeMetricFamily(
            "aprp_connections_limit",
            "Connections that the limit of open files allows now",
            labels=["side"],
        )
        most.add_metric(["clients"], descriptors.most_for_clients)
        most.add_metric(["sources"], descriptors.most_for_sources)
        yield most
        yield GaugeMetricFamily(
            "aprp_client_connections", "Connections of clients now", descriptors.clients()
        )
        refused = CounterMetricFamily(
            "aprp_connections_refused",
            "Connections refused because the limit of open files leaves no room",
            labels=["side"],
        )
        for side, count in descriptors.reached.items():
            refused.add_metric([side], count)
        yield refused


class RefusedCollector(Collector):
    """Reads how many clients were refused by each limit when metrics are scraped."""

    def __init__(self, refused: Mapping[Over, int]) -> None:
        self._refused = refused

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(
            "aprp_clients_refused",
            "Connections and requests of clients that were refused by limits:",
            labels=["limit"],
        )
        for over, count in self._refused.items():
            family.add_metric([over.value], count)
        yield family
