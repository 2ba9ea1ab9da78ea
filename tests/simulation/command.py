"""The command: many seeds at once, one seed again, and what failed made small."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from twisted.logger import globalLogBeginner

from tests.simulation.generate import PROFILES, scenario_of
from tests.simulation.known import known
from tests.simulation.regressions import REGRESSIONS
from tests.simulation.scenario import Scenario, from_json, to_json
from tests.simulation.shrink import shrink
from tests.simulation.world import Outcome, run

ENOUGH = 5
"""Failing seeds after which a run ends."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of some: how many seeds, simulated seconds, and (seed, what is wrong)."""

    seeds: int
    seconds: float
    failed: tuple[tuple[int, tuple[str, ...]], ...]

    def plus(self, other: Ran) -> Ran:
        return Ran(
            self.seeds + other.seeds, self.seconds + other.seconds, self.failed + other.failed
        )


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    _quiet()
    if options.without is None:
        return _command(options)
    regression = REGRESSIONS[options.without]
    print(f"{regression.what} Seed {regression.seed} has found it.", flush=True)
    with regression.without():  # the processes that are forked have it from here
        return _command(options)


def _command(options: argparse.Namespace) -> int:
    if options.scenario is not None:
        return _replay(from_json(Path(options.scenario).read_text()), options.shrink)
    if options.seeds is None:
        options.seeds = 1000 if options.seed is None else 1
    if options.seed is not None and options.seeds == 1:
        return _replay(scenario_of(options.seed, options.profile), options.shrink)
    return _many(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, help="how many to run (1 with --seed, else 1000)")
    parser.add_argument("--seed", type=int, help="the first; fresh ones unless given")
    parser.add_argument("--seconds", type=float, help="begin no more of them after so long")
    parser.add_argument("--profile", choices=sorted(PROFILES), help="in place of the seed's own")
    parser.add_argument("--failures", type=int, default=ENOUGH, help="how many end the run")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--without", choices=REGRESSIONS, help="take out the fix of this fault")
    parser.add_argument("--scenario", help="replay a scenario from a file")
    parser.add_argument("--shrink", action="store_true", help="print the smallest that still fails")
    return parser


def _quiet() -> None:
    """Nothing is logged; worlds look at the log themselves."""
    nobody: Any = lambda event: None  # noqa: E731
    globalLogBeginner.beginLoggingTo([nobody], redirectStandardIO=False, discardBuffer=True)


# One


def _replay(scenario: Scenario, smaller: bool) -> int:
    outcome = run(scenario)
    if outcome.wrong and smaller:
        scenario = shrunk(scenario, outcome)
        outcome = run(scenario)
    print(to_json(scenario))
    for answer in outcome.answers:
        print(f"  {answer}")
    for wrong in outcome.wrong:
        print(f"WRONG: {wrong}")
    print(f"trace {outcome.trace}, {outcome.seconds:.0f} s simulated in {outcome.steps} events")
    return 1 if outcome.wrong else 0


def shrunk(scenario: Scenario, outcome: Outcome) -> Scenario:
    """A smaller scenario with the first of the failures."""
    kind = sorted(outcome.kinds)[0]
    return shrink(scenario, lambda smaller: kind in run(smaller).kinds)


# Many


def _many(options: argparse.Namespace) -> int:
    first = random.SystemRandom().randrange(10**9) if options.seed is None else options.seed
    print(f"{options.seeds} seeds from {first} on", flush=True)
    began = time.monotonic()
    total = _run_all(first, options)
    took = time.monotonic() - began
    print(
        f"{total.seeds} seeds in {took:.1f} s: {1000 * took / max(1, total.seeds):.1f} ms each, "
        f"{total.seconds / took:.0f} times as fast as real time; {len(total.failed)} failed"
    )
    return 1 if total.failed else 0


def _run_all(first: int, options: argparse.Namespace) -> Ran:
    """Share the seeds out among processes, and add up what they say."""
    context = multiprocessing.get_context("fork")
    listening: dict[Any, Any] = {}
    for number in range(options.processes):
        near, far = context.Pipe(duplex=False)
        seeds = range(first + number, first + options.seeds, options.processes)
        work = (far, seeds, options.profile, options.seconds)
        process = context.Process(target=_work, args=work, daemon=True)
        process.start()
        far.close()
        listening[near] = process
    total = Ran(0, 0.0, ())
    while listening and len(total.failed) < options.failures:
        for ready in wait(list(listening)):
            talking: Any = ready
            try:
                ran = talking.recv()
            except EOFError:
                listening.pop(talking).join()
                continue
            total = total.plus(ran)
            for seed, wrong in ran.failed:
                _tell(seed, wrong, options)
    for process in listening.values():
        process.kill()
        process.join()
    return total


def _work(far: Any, seeds: range, profile: str | None, seconds: float | None) -> None:
    """In a process: run the seeds, and send what became of them."""
    until = None if seconds is None else time.monotonic() + seconds
    for seed in seeds:
        if until is not None and time.monotonic() > until:
            break
        far.send(_ran(seed, profile))
    far.close()


def _ran(seed: int, profile: str | None) -> Ran:
    scenario = scenario_of(seed, profile)
    try:
        outcome = run(scenario)
    except Exception:
        crash = f"the simulation itself: {traceback.format_exc()}"
        return Ran(1, 0.0, ((seed, (crash,)),))
    wrong = tuple(each for each in outcome.wrong if not known(scenario, each))
    return Ran(1, outcome.seconds, ((seed, wrong),) if wrong else ())


def _tell(seed: int, wrong: tuple[str, ...], options: argparse.Namespace) -> None:
    scenario = scenario_of(seed, options.profile)
    chosen = {"profile": options.profile, "without": options.without}
    named = "".join(f" --{name} {value}" for name, value in chosen.items() if value is not None)
    print(f"seed {seed} ({scenario.name}) fails: {wrong[0]}")
    print(f"  again: {Path(sys.executable).name} -m tests.simulation --seed {seed}{named} --shrink")
    sys.stdout.flush()
