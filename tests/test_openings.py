"""Connections that are opened ahead: whose slot is passed on, and whose goes back."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.scheduling.openings import Openings


class OpeningsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.openings = Openings()

    def test_the_arbiter_is_asked_but_while_a_connection_is_being_opened(self) -> None:
        self.assertTrue(self.openings.want("a"))
        self.openings.begin("a")
        self.assertFalse(self.openings.want("a"))
        self.assertTrue(self.openings.want("b"))
        self.openings.end("a")
        self.assertTrue(self.openings.want("a"))

    def test_the_last_word_counts(self) -> None:
        self.openings.begin("a")
        self.openings.withdraw("a")
        self.openings.begin("b")
        self.openings.withdraw("b")
        self.openings.want("b")
        self.openings.begin("c")
        ends = [self.openings.end(source) for source in "abc"]
        self.assertEqual(ends, [False, True, True])

    def test_withdrawing_what_is_not_being_opened_has_no_effect(self) -> None:
        self.openings.withdraw("a")
        self.openings.begin("a")
        self.assertTrue(self.openings.end("a"))

    def test_a_second_grant_is_one_too_many(self) -> None:
        """It comes where a slot was wanted again before the first grant was heard of."""
        self.assertTrue(self.openings.begin("a"))
        self.assertFalse(self.openings.begin("a"))
        self.assertTrue(self.openings.end("a"))
        self.assertTrue(self.openings.begin("a"))
