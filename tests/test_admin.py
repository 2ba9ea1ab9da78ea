"""The admin port: health through a daemon's life, the counts, and nothing else."""

from __future__ import annotations

from typing import Literal

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from aprp.web.admin import Health, admin_site
from aprp.web.metrics import Metrics
from tests.records import PLAIN

States = Literal["starting", "serving", "stopping"]


class AdminTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.health = Health("serving")
        self.metrics = Metrics()
        self.site = admin_site(self.health, self.metrics, Clock())

    def ask(self, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        """Status, fields in lower case, body."""
        transport = StringTransport()
        protocol = self.site.buildProtocol(None)
        protocol.makeConnection(transport)
        request = f"{method} {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n"
        protocol.dataReceived(request.encode())
        head, _, body = transport.value().partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines)
        return int(status.split()[1]), fields, body

    def test_health_through_a_life(self) -> None:
        states: tuple[tuple[States, int], ...] = (
            ("starting", 503),
            ("serving", 200),
            ("stopping", 503),
        )
        for state, status in states:
            self.health.state = state
            answer = self.ask("/healthz")
            self.assertEqual((answer[0], answer[2]), (status, f"{state}\n".encode()))
            self.assertEqual(answer[1]["cache-control"], "no-store")

    def test_metrics(self) -> None:
        self.metrics.observe(PLAIN)
        status, fields, body = self.ask("/metrics")
        self.assertEqual(status, 200)
        self.assertEqual(fields["content-type"], "text/plain; version=0.0.4; charset=utf-8")
        self.assertIn(b'aprp_requests_total{route="/films/",status="206"} 1.0\n', body)

    def test_index_names_what_there_is(self) -> None:
        status, fields, body = self.ask("/")
        self.assertEqual((status, fields["content-type"]), (200, "text/html; charset=utf-8"))
        for path in (b"/healthz", b"/metrics"):
            self.assertIn(path, body)

    def test_nothing_else(self) -> None:
        for path in ("/x", "//", "/x/y", "/healthz/x", "/healthz/", "/metrics/.."):
            self.assertEqual(self.ask(path)[0], 404, path)

    def test_head_has_no_body(self) -> None:
        for path in ("/", "/healthz", "/metrics"):
            status, fields, body = self.ask(path, "HEAD")
            self.assertEqual((status, body), (200, b""))
            self.assertGreater(int(fields["content-length"]), 0)

    def test_other_methods_are_refused(self) -> None:
        for method in ("POST", "PUT", "DELETE", "BREW"):
            status, fields, _ = self.ask("/healthz", method)
            self.assertEqual(status, 405, method)
            self.assertEqual(fields["allow"], "get, head")
