"""Which bytes are held, asked or neither."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.scheduling.state import BASE_WASTE
from tests.support.scheduler_states import begun, state


class BoardTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.state = state(1000, a=1, b=1)

    def test_what_is_asked_is_not_unasked(self) -> None:
        attempt = begun(self.state, "a", 0, 600)
        self.assertEqual(list(self.state.unrequested), [(600, 1000)])
        self.state.end(attempt)
        self.assertEqual(list(self.state.unrequested), [(0, 1000)])

    def test_bytes_are_kept_once(self) -> None:
        first, second = begun(self.state, "a", 0, 600), begun(self.state, "b", 100, 300)
        self.assertEqual(self.state.receive(second, 100), [(100, 200)])
        self.assertEqual(self.state.ready, 0)
        self.assertEqual(self.state.receive(first, 250), [(0, 100), (200, 250)])
        self.assertEqual((self.state.ready, self.state.wasted), (250, 100))

    def test_what_lies_behind_a_cut_goes_back_unless_another_has_it(self) -> None:
        first = begun(self.state, "a", 0, 600)
        begun(self.state, "b", 500, 700)
        self.state.cut(first, 200)
        self.assertEqual(list(self.state.unrequested), [(200, 500), (700, 1000)])

    def test_a_doubted_attempt_keeps_what_nobody_else_was_asked_for(self) -> None:
        silent = begun(self.state, "a", 0, 600)
        self.state.doubt(silent)
        self.assertEqual(list(self.state.unrequested), [(0, 1000)])
        begun(self.state, "b", 300, 400)
        self.state.believe(silent)
        self.assertEqual((silent.doubted, silent.stop), (False, 300))
        self.assertEqual(list(self.state.unrequested), [(400, 1000)])

    def test_the_head_is_the_likeliest_of_two(self) -> None:
        first = begun(self.state, "a", 0, 600)
        second = begun(self.state, "b", 0, 600)
        self.state.receive(second, 10)
        self.state.doubt(first)
        self.assertIs(self.state.head, second)

    def test_most_attempts_over_any_byte(self) -> None:
        begun(self.state, "a", 0, 300)
        begun(self.state, "b", 200, 600)
        self.assertEqual(self.state.covered(0, 200), 1)
        self.assertEqual(self.state.covered(0, 201), 2)
        self.assertEqual(self.state.covered(600, 1000), 0)

    def test_what_is_held_and_what_is_coming(self) -> None:
        attempt = begun(self.state, "a", 0, 600)
        self.state.receive(attempt, 100)
        self.assertEqual((self.state.buffered(), self.state.in_flight()), (100, 500))
        self.state.taken = 40
        self.assertEqual(self.state.buffered(), 60)

    def test_forgotten_bytes_are_missing_again(self) -> None:
        self.state.receive(begun(self.state, "a", 0, 600), 600)
        self.assertEqual(self.state.forget(200, 1000), [(200, 600)])
        self.assertEqual((self.state.ready, self.state.unrequested.size), (200, 800))

    def test_a_shorter_file(self) -> None:
        self.state.receive(begun(self.state, "a", 0, 600), 600)
        self.state.limit(600)
        self.assertEqual((self.state.ready, self.state.missing.size), (600, 0))

    def test_waste_has_a_budget(self) -> None:
        self.assertTrue(self.state.may_waste(BASE_WASTE, 0.0))
        self.state.wasted = 1
        self.assertFalse(self.state.may_waste(BASE_WASTE, 0.0))
