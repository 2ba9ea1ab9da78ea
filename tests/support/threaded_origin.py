"""An origin in threads of its own, for tests that wait for a daemon in another process."""

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support.patience import PATIENCE

SIZE = 1 << 20
MODIFIED = "Sat, 01 Jan 2022 00:00:00 GMT"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Nothing: a client that left is no news."""


class ThreadedOrigin:
    """Serves SIZE bytes at every path, with ranges; /held... ends once `go_on` is set.

    Every answer has a field `Origin-Name`. While `well` is cleared, all is 500. `asked` are the
    paths so far, `connections` counts those that were accepted, `open` those that are open.
    `most_at_once` is the most responses that were sent at once.
    """

    def __init__(
        self, case: SynchronousTestCase, name: str = "origin", host: str = "127.0.0.1"
    ) -> None:
        self.name = name
        self.go_on = threading.Event()
        self.held = threading.Event()
        """Set once an answer waits for `go_on`."""
        self.well = threading.Event()
        self.well.set()
        self.asked: list[str] = []
        self.connections = self.open = self.most_at_once = self._at_once = 0
        self._counting = threading.Lock()
        self._server = _Server((host, 0), self._handler())
        self.port = int(self._server.server_address[1])
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        case.addCleanup(thread.join, PATIENCE)
        case.addCleanup(self._server.server_close)
        case.addCleanup(self._server.shutdown)
        case.addCleanup(self.go_on.set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def _count(self, connections: int = 0, responses: int = 0) -> None:
        with self._counting:
            self.open += connections
            self._at_once += responses
            self.most_at_once = max(self.most_at_once, self._at_once)

    def _handler(origin) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                origin.connections += 1
                origin._count(connections=1)
                super().setup()

            def finish(self) -> None:
                origin._count(connections=-1)
                super().finish()

            def do_GET(self) -> None:
                origin.asked.append(self.path)
                if not origin.well.is_set():
                    self.send_error(500)
                    return
                start, stop = self._range()
                ranged = "Range" in self.headers
                self.send_response(206 if ranged else 200)
                if ranged:
                    self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{SIZE}")
                self.send_header("Content-Length", str(stop - start))
                self.send_header("Last-Modified", MODIFIED)
                self.send_header("Origin-Name", origin.name)
                self.end_headers()
                origin._count(responses=1)
                with contextlib.suppress(OSError):  # the proxy may have left
                    self._send(stop - start)

            def _range(self) -> tuple[int, int]:
                first, _, last = self.headers.get("Range", "bytes=0-")[6:].partition("-")
                return int(first), min(SIZE, int(last or SIZE) + 1)

            def _send(self, count: int) -> None:
                if self.path.startswith("/held"):
                    self.wfile.write(bytes(count // 2))
                    origin.held.set()
                    origin.go_on.wait(PATIENCE)
                    count -= count // 2
                origin._count(responses=-1)  # before the proxy can make the next request
                self.wfile.write(bytes(count))

            def log_message(self, *_: Any) -> None:
                """Nothing: what was asked is in `asked`."""

        return Handler
