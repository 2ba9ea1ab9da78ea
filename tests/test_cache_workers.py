"""Workers that share a cache: what one of them fetches, the others don't fetch again."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import threading
from collections.abc import Iterator
from functools import partial

from tests.support.patience import PATIENCE
from tests.support.running import Running, get
from tests.test_cache_daemon import BYTES, SIZE, CacheDaemonCase

CONFIG = """\
listen: ["tcp:0:interface=127.0.0.1"]
admin: tcp:0:interface=127.0.0.1
workers: 2
cache: {{path: {folder}/cache, size: 64MiB}}
routes:
  - {{path: /plain/, upstream: "{url}", cache: off}}
  - {{path: /one/, upstream: "{url}", cache: {{valid: 1h}}}}
  - {{path: /many/, sources: [{{url: "{url}"}}], cache: {{valid: 1h}}}}
"""


class Viewer:
    """A connection that a certain worker has accepted, and what comes over it."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
        self.connection.request("GET", "/plain/film", headers={"Range": "bytes=0-0"})
        self.connection.getresponse().read()
        self.body = b""
        self.began = threading.Event()

    def hits(self, path: str) -> bool:
        """Ask for a file; return whether it comes from the cache."""
        self.connection.request("GET", path)
        response = self.connection.getresponse()
        response.read()
        return (response.getheader("Cache-Status") or "").startswith("aprp; hit")

    def post(self, path: str) -> int:
        """Send a POST; return the status."""
        self.connection.request("POST", path, b"")
        response = self.connection.getresponse()
        response.read()
        return response.status

    def view(self, path: str, start: int = 0) -> threading.Thread:
        """Begin to read all from a byte on, in a thread."""
        thread = threading.Thread(target=self._view, args=(path, start), daemon=True)
        thread.start()
        return thread

    def _view(self, path: str, start: int) -> None:
        fields = {"Range": f"bytes={start}-"} if start else {}
        with contextlib.suppress(OSError, http.client.HTTPException):
            self.connection.request("GET", path, headers=fields)
            response = self.connection.getresponse()
            self.body = response.read(1)
            self.began.set()
            self.body += response.read()


class WorkersCase(CacheDaemonCase):
    def setUp(self) -> None:
        super().setUp()
        path = self.folder / "aprp.yaml"
        path.write_text(
            CONFIG.format(folder=self.folder, url=f"http://127.0.0.1:{self.nginx.port}/")
        )
        self.daemon = Running(self, "--config", str(path))
        self.address = self.daemon.ready()
        self.pids = self.workers()
        (self.nginx.www / "small").write_bytes(b"small")
        for worker in (0, 1):
            (viewer,) = self.viewers(worker, 1)  # its cache is open once it hits
            self.eventually(partial(viewer.hits, "/one/small"))

    def workers(self) -> list[int]:
        assert self.daemon.admin is not None
        return [each["pid"] for each in json.loads(get(self.daemon.admin, "/status")[2])["workers"]]

    @contextlib.contextmanager
    def stopped(self, worker: int) -> Iterator[None]:
        os.kill(self.pids[worker], signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pids[worker], signal.SIGCONT)

    def viewers(self, worker: int, count: int) -> list[Viewer]:
        with self.stopped(1 - worker):
            viewers = [Viewer(self.address) for _ in range(count)]
        for each in viewers:
            self.addCleanup(each.connection.close)
        return viewers


class OneFetchTests(WorkersCase):
    def test_what_one_worker_fetches_the_other_does_not(self) -> None:
        for path in ("/one/film", "/many/film"):
            self.ten_viewers(path)
        (self.nginx.www / "other").write_bytes(BYTES)
        self.the_lender_dies("/many/other")

    def ten_viewers(self, path: str) -> None:
        viewers = [*self.viewers(0, 5), *self.viewers(1, 5)]
        before = self.served()
        threads = [each.view(path) for each in viewers]
        for thread in threads:
            thread.join(PATIENCE)
        self.assertEqual([each.body == BYTES for each in viewers], [True] * 10, self.daemon.err)
        cost = (self.served() - before) / SIZE
        self.assertGreaterEqual(cost, 1.0)
        self.assertLess(cost, 1.02, path)

    def the_lender_dies(self, path: str) -> None:
        (first,), (second,) = self.viewers(0, 1), self.viewers(1, 1)
        first.view(path)
        first.began.wait(PATIENCE)
        watching = second.view(path)
        second.began.wait(PATIENCE)
        os.kill(self.pids[0], signal.SIGKILL)
        watching.join(PATIENCE)
        self.assertTrue(second.body == BYTES, self.daemon.err)


class InvalidatingTests(WorkersCase):
    """RFC 9111 section 4.4."""

    def test_what_one_worker_has_invalidated_the_other_sends_no_more(self) -> None:
        (first,), (second,) = self.viewers(0, 1), self.viewers(1, 1)
        for _ in range(5):
            self.eventually(partial(second.hits, "/one/small"))
            self.assertEqual(first.post("/one/change"), 204)
            self.assertFalse(second.hits("/one/small"))
