"""Rates of the past minute."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.web.admin.rates import NOW, SECONDS, Rates


class RatesTests(SynchronousTestCase):
    def test_what_was_added_in_each_second(self) -> None:
        rates = Rates()
        for total, elapsed in ((7000, 1.0), (8000, 1.0), (9000, 0.5), (9000, 1.0)):
            rates.sample({"a": total}, elapsed)
        self.assertEqual(rates.history("a"), [0, 1000, 2000, 0])
        self.assertEqual(rates.now("a"), 750)
        for _ in range(NOW):
            rates.sample({"a": 9000}, 1.0)
        self.assertEqual(rates.now("a"), 0)

    def test_a_minute_is_kept(self) -> None:
        rates = Rates()
        for second in range(SECONDS + 10):
            rates.sample({"a": second * second}, 1.0)
        self.assertEqual(len(rates.history("a")), SECONDS)
        self.assertEqual(rates.history("a")[-1], 2 * (SECONDS + 9) - 1)

    def test_what_is_not_counted_any_longer_is_forgotten(self) -> None:
        rates = Rates()
        rates.sample({"a": 1, "b": 1}, 1.0)
        rates.sample({"b": 5}, 1.0)
        self.assertEqual((rates.history("a"), rates.now("a")), ([], 0))
        rates.sample({"a": 100, "b": 5}, 1.0)
        self.assertEqual(rates.history("a"), [0])
