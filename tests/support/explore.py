"""Run the property tests with new examples until time is up: `make fuzz`.

`python -m tests.support.explore --seconds 300 [tests.test_ranges ...]` runs each again and again,
in any order, and ends at the first failure with status 1. Examples that fail are kept in
`.hypothesis/` and tried first the next time.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import sys
import time
from collections.abc import Iterator
from unittest import TestCase, TestSuite

from hypothesis.stateful import RuleBasedStateMachine
from twisted.trial.reporter import TreeReporter
from twisted.trial.runner import TestLoader, TrialRunner

from tests.support import properties


def main(arguments: list[str]) -> int:
    """Explore, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("modules", nargs="*", help="modules of tests; all if none is named")
    chosen = parser.parse_args(arguments)
    os.environ[properties.PROFILE] = "explore"
    properties.set_up()
    os.chdir(properties.ROOT)
    found = [case.id() for case in property_tests(chosen.modules or modules())]
    if not found:
        parser.error("no property tests in these modules")
    end = time.monotonic() + chosen.seconds
    runs = 0
    while True:
        random.shuffle(found)
        for name in found:
            if time.monotonic() >= end:
                print(f"{runs} runs of {len(found)} property tests, nothing failed")
                return 0
            runner = TrialRunner(TreeReporter, workingDirectory="_trial_temp")
            if not runner.run(TestLoader().loadByName(name)).wasSuccessful():
                return 1
            runs += 1


def modules() -> list[str]:
    """Name every module of tests."""
    return sorted(f"tests.{path.stem}" for path in (properties.ROOT / "tests").glob("test_*.py"))


def property_tests(names: list[str]) -> Iterator[TestCase]:
    """Give the tests of these modules that Hypothesis drives: properties and state machines."""
    for name in names:
        module = importlib.import_module(name)
        machine = any(
            isinstance(each, type)
            and issubclass(each, RuleBasedStateMachine)
            and each.__module__ == name
            for each in vars(module).values()
        )
        for case in flat(TestLoader().loadModule(module)):
            if machine or hasattr(getattr(case, case.id().split(".")[-1]), "is_hypothesis_test"):
                yield case


def flat(suite: TestSuite | TestCase) -> Iterator[TestCase]:
    """Give the tests of a suite and of the suites in it."""
    if isinstance(suite, TestSuite):
        for each in suite:
            yield from flat(each)
    else:
        yield suite


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
