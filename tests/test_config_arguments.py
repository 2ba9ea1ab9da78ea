"""Settings given by programs: each fault is a sentence that names the setting and what to do."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aprp.library.arguments import fetch_request


class ArgumentTests(SynchronousTestCase):
    def refusal(self, **settings: Any) -> str:
        return str(self.assertRaises(ValueError, fetch_request, ["http://a.example/f"], **settings))

    def test_a_name_that_is_not_known(self) -> None:
        self.assertEqual(
            self.refusal(windw="8MiB"), "windw is not a known setting; did you mean window?"
        )
        self.assertEqual(
            self.refusal(tls={"c": 1}), "tls.c is not a known setting; did you mean ca?"
        )
        self.assertIn("is not a known setting; known settings: ", self.refusal(colour="red"))

    def test_a_setting_of_routes_alone(self) -> None:
        said = self.refusal(path="/films/")
        self.assertEqual(said, "path is for routes that serve clients; leave it out here")

    def test_a_value_of_another_type(self) -> None:
        for settings, said in (
            ({"same": 3}, "same must be text, as it stands in a configuration file, not int"),
            ({"tls": "x"}, "tls must be a mapping, as {'ca': 'file.pem'}, not str"),
            ({"headers": 5}, "headers must be a mapping of names to values, not int"),
        ):
            self.assertEqual(self.refusal(**settings), said)

    def test_a_value_that_cannot_be_used(self) -> None:
        self.assertEqual(
            self.refusal(window="8"),
            "window '8' has no unit; write digits and a unit, as 512KiB, 1MiB or 10MB",
        )

    def test_all_faults_at_once(self) -> None:
        said = self.refusal(windw="8MiB", delay="adptive")
        self.assertIn("did you mean window?", said)
        self.assertIn("did you mean adaptive?", said)
