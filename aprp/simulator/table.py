"""Simulate scenarios under pairs of policies, and lay the rows out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import inf, isfinite

from aprp.core.choices import Delay, Duplicate
from aprp.core.scheduling.messages import MIB
from aprp.core.scheduling.ratings import Ratings
from aprp.core.scheduling.settings import SchedulingSettings
from aprp.core.values import dataclass
from aprp.simulator.measure import Row, measure
from aprp.simulator.run import Simulation
from aprp.simulator.scenarios import Scenario
from aprp.simulator.trace import Trace

Pair = tuple[Delay, Duplicate]

OURS: Pair = (Delay.ADAPTIVE, Duplicate.ADAPTIVE)
PAIRS: tuple[Pair, ...] = (
    OURS,
    (Delay.NORMAL, Duplicate.OFF),
    (Delay.DIFF, Duplicate.IBRC),
    (Delay.DIFF, Duplicate.NIBIB),
    (Delay.INV, Duplicate.NIBIB),
    (Delay.STATIC, Duplicate.OFF),
)
"""(delay, duplicate): ours, and the older ones as they were used."""

COLUMNS = (
    ("T", "seconds", 1.0, "8.3f"),
    ("/bound", "over_bound", 1.0, "7.3f"),
    ("first ms", "first", 1000.0, "9.0f"),
    ("gap s", "gap", 1.0, "7.3f"),
    ("D90 s", "start_delay", 1.0, "6.2f"),
    ("twice %", "twice", 100.0, "8.2f"),
    ("buffer MiB", "buffer", 1 / MIB, "11.1f"),
    ("/fastest", "over_fastest", 1.0, "9.2f"),
    ("requests", "requests", 1, "9d"),
)
"""(heading, field of Row, factor, format)."""


@dataclass(frozen=True, slots=True)
class Result:
    """A scenario under a pair of policies."""

    scenario: Scenario
    pair: Pair
    row: Row


def simulate(scenario: Scenario, pair: Pair = OURS, ratings: Ratings | None = None) -> Trace:
    """Run the scenario once."""
    settings = SchedulingSettings(window=scenario.window, delay=pair[0], duplicate=pair[1])
    return Simulation(
        scenario.mirrors,
        scenario.size,
        settings,
        drain=scenario.drain,
        seed=scenario.seed,
        ratings=ratings,
    ).run()


def results(scenarios: Iterable[Scenario], pairs: Sequence[Pair]) -> Iterator[Result]:
    """One result for each scenario and pair, as they are ready."""
    for scenario in scenarios:
        for pair in pairs:
            yield Result(scenario, pair, measure(simulate(scenario, pair), scenario.drain))


def heading() -> str:
    """The table's first line."""
    widths = [int(form[:-1].split(".")[0]) for *_, form in COLUMNS]
    names = [name.rjust(width) for (name, *_), width in zip(COLUMNS, widths, strict=True)]
    return f"{'scenario':<30} {'policies':<18}{''.join(names)}"


def line(result: Result, first: bool = True) -> str:
    """A row of the table; only the first of a scenario names it."""
    cells = ""
    for _, name, factor, form in COLUMNS:
        value = getattr(result.row, name) * factor
        cells += format(value, form) if isfinite(value) else "-".rjust(int(form.split(".")[0]))
    title = result.scenario.name if first else ""
    return f"{title:<30} {'/'.join(result.pair):<18}{cells}"


def csv_heading() -> str:
    """The first line of the same table for machines; seconds, bytes and plain ratios."""
    return ",".join(["scenario", "delay", "duplicate", *(name for _, name, *_ in COLUMNS)])


def csv_line(result: Result) -> str:
    """A row for machines."""
    values = (getattr(result.row, name) for _, name, *_ in COLUMNS)
    cells = ["" if value == inf else f"{value:.6g}" for value in values]
    return ",".join([f'"{result.scenario.name}"', *result.pair, *cells])


def summary(name: str, rows: Sequence[Row]) -> str:
    """One line about many rows: the median, the 90th percentile and the worst of each figure."""
    parts = []
    for title, field, factor, form in (
        ("/bound", "over_bound", 1.0, ".3f"),
        ("first ms", "first", 1000.0, ".0f"),
        ("gap s", "gap", 1.0, ".3f"),
        ("D90 s", "start_delay", 1.0, ".2f"),
        ("twice %", "twice", 100.0, ".2f"),
        ("/fastest", "over_fastest", 1.0, ".2f"),
    ):
        values = sorted(getattr(row, field) * factor for row in rows)
        picked = (percentile(values, 0.5), percentile(values, 0.9), values[-1])
        parts.append(f"{title} {' '.join(format(value, form) for value in picked)}")
    return f"{name:<15} {len(rows):>4}  " + "  ".join(parts)


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which that part of the sorted values lies."""
    return values[min(len(values) - 1, int(len(values) * part))]
