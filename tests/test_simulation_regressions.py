"""The simulation finds faults that were fixed, once their fixes are taken out."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.simulation.generate import scenario_of
from tests.simulation.regressions import REGRESSIONS
from tests.simulation.world import Outcome, run


class RegressionTests(SynchronousTestCase):
    def outcome(self, seed: int) -> Outcome:
        outcome = run(scenario_of(seed))
        self.flushLoggedErrors()
        return outcome

    def test_the_seed_finds_the_fault_without_its_fix(self) -> None:
        for name, regression in REGRESSIONS.items():
            with regression.without():
                wrong = self.outcome(regression.seed).wrong
            found = any(each.startswith(regression.finds) for each in wrong)
            again = f"python -m tests.simulation --without {name} --seeds 1000"
            self.assertTrue(found, f"{regression.what}: {wrong}; find another seed: {again}")

    def test_with_the_fix_it_finds_nothing(self) -> None:
        for name, regression in REGRESSIONS.items():
            self.assertEqual(self.outcome(regression.seed).wrong, (), name)

    def test_fixes_are_put_back(self) -> None:
        before = self.outcome(0)
        for regression in REGRESSIONS.values():
            with regression.without():
                pass
        self.assertEqual(self.outcome(0), before)
