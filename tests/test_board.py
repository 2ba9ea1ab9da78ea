"""Which bytes are held, asked or neither."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.board import BASE_WASTE
from tests.boards import begun, board


class BoardTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.board = board(1000, a=1, b=1)

    def test_what_is_asked_is_not_unasked(self) -> None:
        attempt = begun(self.board, "a", 0, 600)
        self.assertEqual(list(self.board.unasked), [(600, 1000)])
        self.board.end(attempt)
        self.assertEqual(list(self.board.unasked), [(0, 1000)])

    def test_bytes_are_kept_once(self) -> None:
        first, second = begun(self.board, "a", 0, 600), begun(self.board, "b", 100, 300)
        self.assertEqual(self.board.receive(second, 100), [(100, 200)])
        self.assertEqual(self.board.ready, 0)
        self.assertEqual(self.board.receive(first, 250), [(0, 100), (200, 250)])
        self.assertEqual((self.board.ready, self.board.vain), (250, 100))

    def test_what_lies_behind_a_cut_goes_back_unless_another_has_it(self) -> None:
        first = begun(self.board, "a", 0, 600)
        begun(self.board, "b", 500, 700)
        self.board.cut(first, 200)
        self.assertEqual(list(self.board.unasked), [(200, 500), (700, 1000)])

    def test_a_doubted_attempt_keeps_what_nobody_else_was_asked_for(self) -> None:
        silent = begun(self.board, "a", 0, 600)
        self.board.doubt(silent)
        self.assertEqual(list(self.board.unasked), [(0, 1000)])
        begun(self.board, "b", 300, 400)
        self.board.believe(silent)
        self.assertEqual((silent.doubted, silent.stop), (False, 300))
        self.assertEqual(list(self.board.unasked), [(400, 1000)])

    def test_the_head_is_the_likeliest_of_two(self) -> None:
        first = begun(self.board, "a", 0, 600)
        second = begun(self.board, "b", 0, 600)
        self.board.receive(second, 10)
        self.board.doubt(first)
        self.assertIs(self.board.head, second)

    def test_most_attempts_over_any_byte(self) -> None:
        begun(self.board, "a", 0, 300)
        begun(self.board, "b", 200, 600)
        self.assertEqual(self.board.covered(0, 200), 1)
        self.assertEqual(self.board.covered(0, 201), 2)
        self.assertEqual(self.board.covered(600, 1000), 0)

    def test_what_is_held_and_what_is_coming(self) -> None:
        attempt = begun(self.board, "a", 0, 600)
        self.board.receive(attempt, 100)
        self.assertEqual((self.board.buffered(), self.board.in_flight()), (100, 500))
        self.board.taken = 40
        self.assertEqual(self.board.buffered(), 60)

    def test_forgotten_bytes_are_missing_again(self) -> None:
        self.board.receive(begun(self.board, "a", 0, 600), 600)
        self.assertEqual(self.board.forget(200, 1000), [(200, 600)])
        self.assertEqual((self.board.ready, self.board.unasked.size), (200, 800))

    def test_a_shorter_file(self) -> None:
        self.board.receive(begun(self.board, "a", 0, 600), 600)
        self.board.limit(600)
        self.assertEqual((self.board.ready, self.board.missing.size), (600, 0))

    def test_waste_has_a_budget(self) -> None:
        self.assertTrue(self.board.may_waste(BASE_WASTE, 0.0))
        self.board.vain = 1
        self.assertFalse(self.board.may_waste(BASE_WASTE, 0.0))
