"""`${NAME}` in values of the configuration."""

from __future__ import annotations

import os

from aprp.config import ConfigFaults, UpstreamRoute
from tests.support.config_case import ConfigCase

SECRET = "Xyzzy Plugh-31415\x01"
FILE = """\
listen: [{listen}]
routes:
  - path: /
    upstream: {upstream}
    headers:
      X-Token: {token}
"""


class EnvironmentTests(ConfigCase):
    def setUp(self) -> None:
        super().setUp()
        for name, value in (
            ("APRP_T_HOST", "a.example"),
            ("APRP_T_PORT", "8123"),
            ("APRP_T_TOKEN", "abc${APRP_T_HOST}"),
            ("APRP_T_SECRET", SECRET),
            ("APRP_T_EMPTY", ""),
        ):
            self.patch_environ(name, value)

    def patch_environ(self, name: str, value: str) -> None:
        os.environ[name] = value
        self.addCleanup(os.environ.pop, name)

    def file_of(self, token: str = "x", upstream: str = "http://a/", listen: str = "tcp:0") -> str:
        return FILE.format(token=token, upstream=upstream, listen=listen)

    def faults(self, text: str | bytes) -> list[str]:
        with self.assertRaises(ConfigFaults) as caught:
            self.read(text)
        return [str(each).removeprefix(f"{self.file}:") for each in caught.exception.faults]

    def test_values(self) -> None:
        settings = self.read(
            self.file_of(
                upstream="http://${APRP_T_HOST}:80/x${APRP_T_EMPTY}",
                listen='"tcp:${APRP_T_PORT}"',
                token="'${APRP_T_TOKEN}'",
            )
        ).settings
        self.assertEqual(settings.listen, ("tcp:8123",))
        (route,) = settings.routes
        assert isinstance(route, UpstreamRoute)
        self.assertEqual(str(route.upstream), "http://a.example/x")
        self.assertEqual(route.headers, (("X-Token", "abc${APRP_T_HOST}"),), "not twice")

    def test_dollars_that_stand_for_themselves(self) -> None:
        for written, value in (
            ("$${NOT}", "${NOT}"),
            ("a$$b", "a$$b"),
            ("$5 $", "$5 $"),
            ("$NAME", "$NAME"),
            ("$${APRP_T_HOST}${APRP_T_HOST}", "${APRP_T_HOST}a.example"),
        ):
            route = self.read(self.file_of(token=written)).settings.routes[0]
            self.assertEqual(route.headers, (("X-Token", value),))

    def test_faults_have_their_place(self) -> None:
        for written, said in (
            ("${APRP_T_NOT}", "needs the environment variable APRP_T_NOT, which isn't set"),
            ("x${", "has ${ without a }"),
            ("${A B}", "isn't a variable"),
            ("${}", "isn't a variable"),
            ("${X:-y}", "isn't a variable"),
        ):
            (fault,) = self.faults(self.file_of(token=f'"{written}"'))
            self.assertTrue(fault.startswith("6:16: routes[0].headers.X-Token: "), fault)
            self.assertIn(said, fault)

    def test_keys_are_not_expanded(self) -> None:
        (fault,) = self.faults(self.file_of().replace("X-Token", "${APRP_T_HOST}"))
        self.assertIn("'${APRP_T_HOST}' is not a valid field name", fault)

    def test_a_secret_is_in_no_fault(self) -> None:
        for text in (
            self.file_of(token="${APRP_T_SECRET}"),
            self.file_of(token="a ${APRP_T_SECRET} b"),
            self.file_of(upstream="http://${APRP_T_SECRET}/"),
            self.file_of(upstream="${APRP_T_SECRET}"),
            self.file_of(upstream="${APRP_T_SECRET}://x/"),
            self.file_of(listen='"${APRP_T_SECRET}"'),
            self.file_of() + "memory: ${APRP_T_SECRET}\n",
            self.file_of() + "log: {level: '${APRP_T_SECRET}'}\n",
            self.file_of() + "stop_timeout: 5${APRP_T_SECRET}\n",
        ):
            for fault in self.faults(text):
                for at in range(len(SECRET) - 3):
                    self.assertNotIn(SECRET[at : at + 4].lower(), fault.lower())

    def test_within_braces(self) -> None:
        text = self.file_of().replace("headers:\n      X-Token: x", "headers: {A: ${APRP_T_HOST}}")
        (fault,) = self.faults(text)
        self.assertIn("in quotes", fault)
