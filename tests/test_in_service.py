"""Which sources are in service, check by check."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.scheduling.in_service import HealthRules, InService

RULES = HealthRules(fails=3, passes=2)


class HealthTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.service = InService()

    def check(self, results: str, how: str = "/") -> str:
        """The state after each check: a dot in the results is one that passes."""
        states = ""
        for result in results:
            failure = None if result == "." else "answered 500"
            self.service.checked("a", how, failure, RULES)
            states += "x" if "a" in self.service.out else "."
        return states

    def test_out_after_fails_in_a_row_and_back_after_passes(self) -> None:
        self.assertEqual(self.check("xx.xxx.x..x"), ".....xxxx..")

    def test_what_is_said_of_it(self) -> None:
        self.assertIsNone(self.service.why_out("a"))
        self.check("xxx")
        self.assertEqual(self.service.why_out("a"), "fails its health checks: answered 500")

    def test_it_has_to_be_well_by_each_check(self) -> None:
        self.check("xxx", "/one")
        self.assertEqual(self.check("....", "/two"), "xxxx")
        self.assertEqual(self.check("..", "/one"), "x.")

    def test_which_pass_their_checks(self) -> None:
        self.assertFalse(self.service.passes("a"), "nobody has checked it")
        for results, passes in ((".", True), ("x", False), (".", True), ("xxx.", False)):
            self.check(results)
            self.assertIs(self.service.passes("a"), passes, results)
        self.check(".")
        self.assertTrue(self.service.passes("a"))
        self.check("x", "/other")
        self.assertFalse(self.service.passes("a"))

    def test_draining_is_apart_from_checks(self) -> None:
        self.service.drain("a")
        self.assertEqual(self.check("..xxx"), "xxxxx")
        self.assertEqual(self.service.why_out("a"), "drained")
        self.service.resume("a")
        self.assertEqual(self.check(".."), "x.")

    def test_what_is_gone_is_forgotten(self) -> None:
        for name in "ab":
            self.service.drain(name)
        self.check("xxx", "/old")
        self.service.keep({"a"}, {("a", "/new")})
        self.assertEqual(self.service.out, {"a"})
        self.service.resume("a")
        self.assertEqual(self.service.out, frozenset())
