"""A few seconds of the soak: every body right, nothing left over."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from tests.support.patience import HANG
from tests.support.soaking import soak


class SoakTest(TestCase):
    timeout = HANG

    async def test_every_body_is_right_and_nothing_leaks(self) -> None:
        outcome = await soak(reactor, 4.0)
        self.assertEqual((outcome.wrong[:10], outcome.leaked), ([], []))
        self.assertGreater(outcome.requests, 64)
        self.assertGreater(outcome.resumes, 32)
