"""A daemon with a cache on disk, through its end and its next start."""

from __future__ import annotations

import http.client
import random
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.nginx import Nginx
from tests.support.patience import PATIENCE
from tests.support.running import Running, get

SIZE = 8 * 1024 * 1024 + 777
BYTES = random.Random(7).randbytes(SIZE)
CONFIG = """\
listen: ["tcp:0:interface=127.0.0.1"]
log: {{access: access.log, access_format: json}}
workers: {workers}
cache: {{path: {folder}/cache, size: 64MiB}}
routes:
  - path: /
    cache: {{valid: 1h}}
    sources:
      - url: {url}
"""


class CacheDaemonCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        (self.folder / "nginx").mkdir()
        server = (
            "limit_rate 4m; access_log {folder}/served.log bytes;"
            "location = /progress { stub_status; access_log off; }"
            "location = /change { add_header Content-Location /small; return 204; }"
        )
        self.nginx = Nginx(self.folder / "nginx", server, "log_format bytes $body_bytes_sent;")
        self.addCleanup(self.nginx.stop)
        (self.nginx.www / "film").write_bytes(BYTES)

    def start(self, workers: int = 1) -> Running:
        path = self.folder / "aprp.yaml"
        url = f"http://127.0.0.1:{self.nginx.port}/"
        path.write_text(CONFIG.format(folder=self.folder, url=url, workers=workers))
        self.daemon = Running(self, "--config", str(path))
        self.address = self.daemon.ready()
        return self.daemon

    def served(self) -> int:
        """The bytes of the film that nginx has sent, once it sends none."""
        where = f"127.0.0.1:{self.nginx.port}"
        self.eventually(lambda: b"Writing: 1 " in get(where, "/progress")[2])  # that answer itself
        return sum(int(line) for line in (self.folder / "nginx/served.log").read_text().split())

    def indexed(self) -> int:
        """The bytes on disk that the index of the cache knows of."""
        path = self.folder / "cache" / "index.sqlite"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", PATIENCE, uri=True)) as index:
            return int(index.execute("SELECT total(allocated) FROM chunks").fetchone()[0])

    def eventually(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), deadline, self.daemon.err)
            time.sleep(0.02)

    def begin(self) -> http.client.HTTPResponse:
        """Begin to view the film."""
        host, _, port = self.address.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
        self.addCleanup(connection.close)
        connection.request("GET", "/film")
        return connection.getresponse()


class RestartTests(CacheDaemonCase):
    def test_a_daemon_that_was_killed_has_what_it_had_stored(self) -> None:
        daemon = self.start()
        viewer = self.begin()
        seen = viewer.read(SIZE // 2)
        self.assertTrue(seen == BYTES[: SIZE // 2])
        self.eventually(lambda: self.indexed() > SIZE // 2)
        daemon.process.kill()
        daemon.ended()
        viewer.close()
        before = self.served()
        self.start()
        status, _, body = get(self.address, "/film")
        self.assertEqual((status, body == BYTES), (200, True))
        self.assertGreater(before, SIZE // 2)
        self.assertLess(self.served() - before, SIZE * 0.6)
        between = self.served()
        status, fields, body = get(self.address, "/film", {"Range": "bytes=1000000-3999999"})
        self.assertEqual((status, body == BYTES[1000000:4000000]), (206, True))
        self.assertTrue(re.match("aprp; hit", fields["Cache-Status"]))
        self.assertEqual(self.served(), between)

    def test_a_daemon_that_was_stopped_has_everything(self) -> None:
        daemon = self.start()
        self.assertTrue(get(self.address, "/film")[2] == BYTES)
        daemon.stop()
        before = self.served()
        self.assertGreaterEqual(before, SIZE)
        self.start()
        self.assertTrue(get(self.address, "/film")[2] == BYTES)
        self.assertEqual(self.served(), before)
