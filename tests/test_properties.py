"""The property tests themselves: a failing example is printed, and nothing is left to chance."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.support.explore import property_tests


class ProfileTests(SynchronousTestCase):
    def test_a_failing_example_is_in_the_traceback(self) -> None:
        @given(number=st.integers(0, 1000))
        def fails(number: int) -> None:
            assert number < 7

        try:
            fails()
        except AssertionError:
            said = Failure().getTraceback(detail="default", elideFrameworkCode=True)
        self.assertIn("number=7", said)

    def test_the_same_examples_each_time(self) -> None:
        seen: list[int] = []

        @settings(max_examples=20)
        @given(number=st.integers())
        def notes(number: int) -> None:
            seen.append(number)

        notes()
        notes()
        self.assertEqual(seen[: len(seen) // 2], seen[len(seen) // 2 :])

    def test_properties_and_machines_are_found(self) -> None:
        names = ["tests.test_ranges", "tests.test_scheduler_machine", "tests.test_floors"]
        found = {case.id().rpartition(".")[0] for case in property_tests(names)}
        machine = "tests.test_scheduler_machine.MachineTests"
        ranges = {f"tests.test_ranges.{name}Tests" for name in ("ContentRange", "Resolve")}
        self.assertEqual(found, {*ranges, machine})
