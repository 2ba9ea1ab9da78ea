"""A small answer costs no more calls than it did: most of its time is spent between them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.small import calls_per_request

MOST = 580
"""As measured, and a little more. What it is for: docs/performance.md."""


class SmallAnswerTests(SynchronousTestCase):
    def test_its_calls(self) -> None:
        self.assertLess(calls_per_request(), MOST)
