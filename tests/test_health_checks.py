"""Health checks of a daemon: sources that fail them are taken out until they pass again."""

from __future__ import annotations

import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.running import Running, get
from tests.support.threaded_origin import SIZE, ThreadedOrigin

HEALTH = "health: {path: /check, interval: 1s, fails: 2, passes: 2}"
CONFIG = (
    """\
listen: ["tcp:0:interface=127.0.0.1"]
admin: tcp:0:interface=127.0.0.1
routes:
  - path: /one/
    upstream: %s
    """
    + HEALTH
    + """
  - path: /two/
    sources: [{url: '%s'}, {url: '%s'}]
    """
    + HEALTH
    + """
"""
)


class HealthCheckTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.a, self.b = ThreadedOrigin(self, "a"), ThreadedOrigin(self, "b")
        path = Path(self.mktemp()).absolute()
        path.write_text(CONFIG % (self.a.url, self.a.url, self.b.url))
        self.daemon = Running(self, "--config", str(path))
        self.address = self.daemon.ready()

    def films(self, origin: ThreadedOrigin) -> list[str]:
        """What was requested of the origin beside checks."""
        return [path for path in origin.asked if path != "/check"]

    def check_told(self) -> None:
        """What the admin port says while no source is in service."""
        assert self.daemon.admin is not None
        status, _, body = get(self.daemon.admin, "/readyz")
        self.assertEqual(status, 503)
        self.assertEqual(body, b"/one/: no source is up\n/two/: no source is up\n")
        told = json.loads(get(self.daemon.admin, "/status")[2])
        why = "fails its health checks: answered 500"
        self.assertEqual(told["out_of_service"], {self.a.url: why, self.b.url: why})
        for route in told["routes"]:
            self.assertEqual({source["state"] for source in route["sources"]}, {"out"})

    def test_out_and_back(self) -> None:
        self.assertEqual(get(self.address, "/one/x")[0], 200)
        self.a.well.clear()
        self.daemon.wait_for(
            f"{self.a.url} is out of service: it fails its health checks: answered 500"
        )
        before = self.films(self.a)
        status, fields, _ = get(self.address, "/one/x")
        self.assertEqual((status, fields["Retry-After"]), (503, "10"))
        self.assertIn("error=destination_unavailable", fields["Proxy-Status"])
        for _ in range(3):
            status, _, body = get(self.address, "/two/x")
            self.assertEqual((status, len(body)), (200, SIZE))
        get(self.address, "/two/x", method="HEAD")
        self.assertEqual(self.films(self.a), before)
        self.b.well.clear()
        self.daemon.wait_for(f"{self.b.url} is out of service: ")
        self.assertEqual(get(self.address, "/two/x")[0], 503)
        self.check_told()
        self.a.well.set()
        self.daemon.wait_for(f"{self.a.url} is back in service")
        self.assertEqual(get(self.address, "/one/x")[0], 200)
        self.assertEqual(get(self.address, "/two/x")[0], 200)
        self.daemon.stop()
        self.assertNotIn("Traceback", self.daemon.err)
