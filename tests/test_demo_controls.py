"""The controls of the demonstration: what each does, and who may use them."""

from __future__ import annotations

from typing import Any

from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from aprp.demo.controls import Controls
from aprp.demo.line import MOST, Line
from aprp.demo.server import CannotRevive


class PretendMirror:
    """A mirror without a socket."""

    def __init__(self) -> None:
        self.line = Line(1000, lambda: 0.0)
        self.alive = True
        self.fault = ""

    async def kill(self) -> None:
        self.alive = False

    async def revive(self) -> None:
        if self.fault:
            raise CannotRevive(self.fault)
        self.alive = True


class ControlsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.mirrors: list[Any] = [PretendMirror(), PretendMirror()]
        root = Resource()
        root.putChild(b"mirrors", Controls(self.mirrors))
        self.site = Site(root)

    def press(self, path: str, body: str = "", method: str = "POST", fields: str = "") -> str:
        transport = StringTransport()
        protocol = self.site.buildProtocol(None)
        protocol.makeConnection(transport)
        request = f"{method} /mirrors/{path} HTTP/1.0\r\nHost: 127.0.0.1:1\r\n{fields}"
        protocol.dataReceived(f"{request}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        return bytes(transport.value()).decode().partition(" ")[2]

    def test_kill_and_revive(self) -> None:
        for _ in range(2):
            self.assertTrue(self.press("1/kill").startswith("204 "))
            self.assertEqual([mirror.alive for mirror in self.mirrors], [True, False])
        for _ in range(2):
            self.assertTrue(self.press("1/revive").startswith("204 "))
            self.assertTrue(self.mirrors[1].alive)

    def test_what_stands_against_reviving_is_told(self) -> None:
        self.press("0/kill")
        self.mirrors[0].fault = "the port is taken"
        said = self.press("0/revive")
        self.assertTrue(said.startswith("409 "))
        self.assertTrue(said.endswith("\r\n\r\nthe port is taken\n"))

    def test_rates(self) -> None:
        for body, rate in (("0", 0), ("250000", 250_000), (f"{MOST}\n", MOST)):
            self.assertTrue(self.press("0/rate", body).startswith("204 "), body)
            self.assertEqual(self.mirrors[0].line.rate, rate)
        for body in ("", "x", "-1", "+1", "1_0", "1.5", str(MOST + 1), "9" * 5000):
            said = self.press("0/rate", body)
            self.assertTrue(said.startswith("400 "), body)
            self.assertIn(f"bytes per second as the body of /rate, from 0 to {MOST}", said)
        self.assertEqual(self.mirrors[0].line.rate, MOST)

    def test_other_buttons(self) -> None:
        for path in ("", "0", "2/kill", "-1/kill", "x/kill", "0/burn", "0/kill/", "0/kill/now"):
            said = self.press(path)
            self.assertTrue(said.startswith("404 "), path)
            self.assertIn("use mirrors/N/kill, /revive or /rate, with N from 0 to 1", said)

    def test_post_only(self) -> None:
        for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS"):
            said = self.press("0/kill", method=method)
            self.assertTrue(said.startswith("405 "), method)
            self.assertIn("\r\nAllow: POST\r\n", said)
        self.assertTrue(self.mirrors[0].alive)

    def test_pages_of_other_origins_may_not_press(self) -> None:
        behind = "X-Forwarded-Host: localhost:8000\r\n"
        for fields in (
            "Origin: http://other.example\r\n",
            "Origin: http://127.0.0.1:2\r\n",
            "Origin: null\r\n",
            "Sec-Fetch-Site: cross-site\r\n",
            "Origin: http://rebound.example\r\nX-Forwarded-Host: rebound.example\r\n",
            f"Origin: http://127.0.0.1:1\r\n{behind}",
        ):
            self.assertTrue(self.press("0/kill", fields=fields).startswith("403 "), fields)
            self.assertTrue(self.mirrors[0].alive)
        for fields in (
            "Origin: http://127.0.0.1:1\r\n",
            f"Origin: http://localhost:8000\r\n{behind}",
        ):
            self.mirrors[0].alive = True
            self.assertTrue(self.press("0/kill", fields=fields).startswith("204 "), fields)
            self.assertFalse(self.mirrors[0].alive)
