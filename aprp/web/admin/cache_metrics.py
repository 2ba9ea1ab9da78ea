"""The metrics of the cache, for a daemon that has one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from aprp.cache.store.figures import Figures
from aprp.web.tallies import Tallies

Family = CounterMetricFamily | GaugeMetricFamily


class StoreFigures(Protocol):
    """A store, as far as metrics are concerned."""

    figures: Figures

    @property
    def size(self) -> int: ...
    @property
    def usable(self) -> bool: ...


class CacheCollector(Collector):
    """Reads what the store and the routes count."""

    def __init__(self, store: StoreFigures, tallies: Tallies) -> None:
        self._store = store
        self._tallies = tallies

    def describe(self) -> Iterable[Family]:
        return ()

    def collect(self) -> Iterator[Family]:
        yield from self._of_routes()
        figures = self._store.figures
        for name, about, count in (
            ("read_bytes", "Bytes read from the cache and verified", figures.read),
            ("written_bytes", "Bytes kept in the cache", figures.written),
            (
                "refused_bytes",
                "Bytes not kept: no room, or the disk was too slow or failed",
                figures.refused,
            ),
            ("evicted_chunks", "Chunks of 4 MiB that made room", figures.evicted),
            ("lost_blocks", "Blocks that could not be read or had a wrong checksum", figures.lost),
            ("errors", "Failures of the cache's disk or index", figures.troubles),
        ):
            yield CounterMetricFamily(f"aprp_cache_{name}", about, count)
        for name, about, value in (
            ("used_bytes", "Disk space that the cache uses, index included", figures.used),
            ("pinned_bytes", "Disk space of pinned files", figures.pinned),
            ("size_bytes", "Disk space that the cache may use", self._store.size),
            ("usable", "1, or 0 while the cache can't be used", int(self._store.usable)),
        ):
            yield GaugeMetricFamily(f"aprp_cache_{name}", about, value)

    def _of_routes(self) -> Iterator[Family]:
        requests = CounterMetricFamily(
            "aprp_cache_requests",
            "Requests by what the cache did for them",
            labels=["route", "result"],
        )
        saved = CounterMetricFamily(
            "aprp_cache_saved_bytes",
            "Body bytes that weren't fetched for the request that got them",
            labels=["route"],
        )
        for tally in self._tallies:
            for result, count in tally.cache.items():
                requests.add_metric([tally.path, result], count)
            saved.add_metric([tally.path], tally.cached)
        yield from (requests, saved)
