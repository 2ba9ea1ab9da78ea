"""``aprp simulate``: the policies against each other and the lower bound, as a table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from aprp.core.choices import Delay, Duplicate
from aprp.simulator import table
from aprp.simulator.measure import Row
from aprp.simulator.plot import svg
from aprp.simulator.scenarios import SETS, Scenario, named, random_set


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``aprp simulate``."""
    parser.add_argument(
        "--scenario", metavar="NAME", help="only scenarios whose name contains this; see --list"
    )
    parser.add_argument("--list", action="store_true", help="print the names of the scenarios")
    parser.add_argument(
        "--delay", choices=[each.value for each in Delay], help="only this delay policy"
    )
    parser.add_argument(
        "--duplicate",
        choices=[each.value for each in Duplicate],
        help="only this duplicate policy",
    )
    parser.add_argument(
        "--random",
        type=int,
        metavar="COUNT",
        help="so many random scenarios of each set instead of the named ones, summed up",
    )
    parser.add_argument("--seed", type=int, default=0, help="the first random scenario; 0")
    parser.add_argument("--csv", action="store_true", help="the table for machines")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE.svg", help="draw the first scenario that is run"
    )
    parser.add_argument(
        "--until", type=float, metavar="SECONDS", help="draw no more than the beginning"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    if args.list:
        print("\n".join([scenario.name for scenario in named()] + [f"{s} N" for s in SETS]))
        return 0
    pairs = _pairs(args.delay, args.duplicate)
    if args.random is not None:
        return _random(args, pairs)
    scenarios = _matching(args.scenario or "")
    if not scenarios:
        print(f"no scenario is named like {args.scenario!r}; see --list", file=sys.stderr)
        return 2
    if args.plot is not None:
        trace = table.simulate(scenarios[0], pairs[0])
        args.plot.write_text(svg(trace, scenarios[0].name, args.until))
        print(f"{args.plot}: {scenarios[0].name}, {'/'.join(pairs[0])}")
        return 0
    print(table.csv_heading() if args.csv else table.heading())
    for result in table.results(scenarios, pairs):
        first = result.pair == pairs[0]
        print(table.csv_line(result) if args.csv else table.line(result, first), flush=True)
    return 0


def _matching(name: str) -> list[Scenario]:
    """The scenario of that name, or all that contain it; ``random jitter 7`` is one of a set."""
    family, _, seed = name.rpartition(" ")
    if family in SETS and seed.isdecimal():
        return list(random_set(family, 1, int(seed)))
    exact = [scenario for scenario in named() if scenario.name == name]
    return exact or [scenario for scenario in named() if name in scenario.name]


def _pairs(delay: str | None, duplicate: str | None) -> list[table.Pair]:
    if delay is None and duplicate is None:
        return list(table.PAIRS)
    return [(Delay(delay or Delay.ADAPTIVE), Duplicate(duplicate or Duplicate.ADAPTIVE))]


def _random(args: argparse.Namespace, pairs: list[table.Pair]) -> int:
    sets = [name for name in SETS if args.scenario in (None, name)]
    if not sets:
        print(f"no random set {args.scenario!r}; there are {', '.join(SETS)}", file=sys.stderr)
        return 2
    if args.csv:
        print(table.csv_heading())
    else:
        print("median, 90th percentile and worst of each")
    for name in sets:
        for pair in pairs:
            rows: list[Row] = []
            for result in table.results(random_set(name, args.random, args.seed), [pair]):
                rows.append(result.row)
                if args.csv:
                    print(table.csv_line(result), flush=True)
            if not args.csv:
                print(table.summary(name, rows), "/".join(pair), flush=True)
    return 0
