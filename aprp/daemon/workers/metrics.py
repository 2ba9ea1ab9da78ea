"""The metrics of all workers, added up, as one set of families.

Counters and histograms go on growing when a worker dies: what it had counted when it was last
asked stays in the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

Labels = tuple[tuple[str, str], ...]
Family = list[Any]
"""Name, help, type, and samples: name, labels, value."""

_MINIMUM = frozenset({"aprp_source_up", "aprp_cache_usable", "process_start_time_seconds"})
_MAXIMUM = frozenset(
    {
        "aprp_build_info",
        "aprp_cache_used_bytes",
        "aprp_cache_pinned_bytes",
        "aprp_cache_size_bytes",
        "aprp_memory_limit_bytes",
        "python_info",
    }
)
_OURS = ("aprp_config_last_reload", "aprp_build_info")
"""Families that the parent gives itself."""


class MergedMetrics(Collector):
    """The families of all workers, as each gave them last, and those of the parent.

    `own` returns the latter.
    """

    def __init__(self, own: Callable[[], Iterable[Metric]]) -> None:
        self._own = own
        self._last: dict[int, list[Family]] = {}
        self._of_ended: dict[tuple[str, Labels], float] = {}

    def describe(self) -> Iterable[Metric]:
        return ()

    def update(self, number: int, families: list[Family]) -> None:
        """Replace what worker `number` gave before."""
        self._last[number] = [each for each in families if not each[0].startswith(_OURS)]

    def worker_ended(self, number: int) -> None:
        """Keep what a worker that has ended had counted."""
        for _, _, kind, samples in self._last.pop(number, []):
            if kind in ("counter", "histogram"):
                for name, labels, value in samples:
                    if not name.endswith("_created"):
                        key = name, _key(labels)
                        self._of_ended[key] = self._of_ended.get(key, 0.0) + value

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Family] = {}
        values: dict[str, dict[tuple[str, Labels], float]] = {}
        for each in self._last.values():
            for name, about, kind, samples in each:
                families.setdefault(name, [name, about, kind])
                _add(name, values.setdefault(name, {}), samples)
        for metric in self._own():
            name = metric.name
            families.setdefault(name, [name, metric.documentation, metric.type])
            samples = [(each.name, each.labels, each.value) for each in metric.samples]
            _add(name, values.setdefault(name, {}), samples)
        routes = {dict(key).get("route") for found in values.values() for _, key in found}
        for (sample, key), value in self._of_ended.items():
            owner = next((name for name in families if _is_of(sample, name)), None)
            if owner is not None and dict(key).get("route") in routes:
                found = values[owner]
                found[sample, key] = found.get((sample, key), 0.0) + value
        for name, about, kind in families.values():
            metric = Metric(name, about, kind)
            for (sample, key), value in values[name].items():
                metric.add_sample(sample, dict(key), value)
            yield metric


def _add(
    family: str,
    found: dict[tuple[str, Labels], float],
    samples: Iterable[tuple[str, dict[str, str], float]],
) -> None:
    for name, labels, value in samples:
        key = name, _key(labels)
        if key not in found:
            found[key] = value
        elif family in _MINIMUM:
            found[key] = min(found[key], value)
        elif family in _MAXIMUM:
            found[key] = max(found[key], value)
        else:
            found[key] += value


def _key(labels: dict[str, str]) -> Labels:
    return tuple(labels.items())


def _is_of(sample: str, family: str) -> bool:
    suffix = sample.removeprefix(family)
    return sample.startswith(family) and suffix in ("", "_total", "_bucket", "_count", "_sum")
