"""The order of a name's addresses."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http.happy_eyeballs import interleaved


class OrderTests(SynchronousTestCase):
    def test_families_take_turns_and_the_first_leads(self) -> None:
        for given, ordered in (
            ("", ""),
            ("1.1.1.1", "1.1.1.1"),
            ("::1 ::2", "::1 ::2"),
            ("::1 ::2 1.1.1.1 1.1.1.2", "::1 1.1.1.1 ::2 1.1.1.2"),
            ("1.1.1.1 1.1.1.2 1.1.1.3 ::1", "1.1.1.1 ::1 1.1.1.2 1.1.1.3"),
            ("::1 1.1.1.1 1.1.1.2", "::1 1.1.1.1 1.1.1.2"),
        ):
            self.assertEqual(interleaved(given.split()), tuple(ordered.split()))
