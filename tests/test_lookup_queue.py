"""Which lookups run: bounds in all and for each asker, one lookup for one name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http.lookup_queue import LookupQueue

STEPS = st.tuples(st.sampled_from("wle"), st.sampled_from("abcdef"), st.integers(0, 3))
"""Want, leave or end; a name; an asker."""


class LookupQueueTests(SynchronousTestCase):
    def test_one_name_is_looked_up_once(self) -> None:
        queue = LookupQueue(4, 4)
        self.assertEqual(queue.want("a", "x"), ["a"])
        self.assertEqual(queue.want("a", "y"), [])
        self.assertEqual(queue.ended("a"), [])
        self.assertEqual(queue.want("a", "y"), ["a"])

    def test_nobody_has_more_than_their_part(self) -> None:
        queue = LookupQueue(4, 2)
        begun = [queue.want(name, "x") for name in "abcd"]
        self.assertEqual(begun, [["a"], ["b"], [], []])
        self.assertEqual(queue.want("e", "y"), ["e"])
        self.assertEqual(queue.ended("b"), ["c"])

    def test_a_waiting_name_begins_for_any_who_may(self) -> None:
        queue = LookupQueue(4, 1)
        queue.want("a", "x")
        self.assertEqual(queue.want("b", "x"), [])
        self.assertEqual(queue.want("b", "y"), ["b"])
        self.assertEqual(queue.want("c", "y"), [])

    def test_what_runs_counts_when_nobody_waits_for_it(self) -> None:
        queue = LookupQueue(1, 1)
        queue.want("a", "x")
        queue.want("b", "y")
        queue.want("c", "y")
        queue.leave("a", "x")
        queue.leave("b", "y")
        self.assertEqual((queue.running, queue.waiting), (1, 1))
        self.assertEqual(queue.ended("a"), ["c"])

    @given(st.lists(STEPS))
    def test_never_over_a_bound_and_nothing_is_forgotten(
        self, steps: list[tuple[str, str, int]]
    ) -> None:
        queue, running = LookupQueue(3, 2), set[str]()
        wanted: list[tuple[str, str]] = []
        for step, name, number in steps:
            asker = str(number)
            begun: list[str] = []
            if step == "w":
                wanted.append((name, asker))
                begun = queue.want(name, asker)
            elif step == "l" and (name, asker) in wanted and name not in running:
                wanted.remove((name, asker))
                queue.leave(name, asker)
            elif step == "e" and name in running:
                running.discard(name)
                wanted = [each for each in wanted if each[0] != name]
                begun = queue.ended(name)
            running.update(begun)
            self.assertLessEqual(len(running), 3)
            self.assertEqual(queue.running, len(running))
        while running:
            name = running.pop()
            wanted = [each for each in wanted if each[0] != name]
            running.update(queue.ended(name))
        self.assertEqual((wanted, queue.waiting), ([], 0))
