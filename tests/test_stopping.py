"""How the daemon stops while clients are being served: a process and an upstream that waits."""

from __future__ import annotations

import contextlib
import http.client
import signal
import socket
import threading
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.running import PATIENCE, Running

CONFIG = """\
listen: ["tcp:0:interface=127.0.0.1"]
stop_timeout: {stop_timeout}
log: {{access: "-"}}
routes:
  - path: /
    upstream: http://127.0.0.1:{port}/
"""
SIZE = 1 << 20


class Upstream:
    """Answers one request with SIZE bytes, the second half once it is let go."""

    def __init__(self, case: SynchronousTestCase) -> None:
        self.go_on = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        thread = threading.Thread(target=self._serve, daemon=True)
        thread.start()
        case.addCleanup(thread.join, PATIENCE)
        case.addCleanup(self._listener.close)
        case.addCleanup(self.go_on.set)

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
            connection.sendall(bytes(SIZE // 2))
            self.go_on.wait(PATIENCE)
            with contextlib.suppress(OSError):  # the proxy may have left
                connection.sendall(bytes(SIZE // 2))


class StoppingTests(SynchronousTestCase):
    def being_served(self, stop_timeout: str) -> http.client.HTTPResponse:
        """An answer that has begun, from a daemon that is then told to stop."""
        self.upstream = Upstream(self)
        path = Path(self.mktemp()).absolute()
        path.write_text(CONFIG.format(stop_timeout=stop_timeout, port=self.upstream.port))
        self.daemon = Running(self, "--config", str(path))
        host, _, port = self.daemon.ready().rpartition(":")
        self.address = (host, int(port))
        self.idle = socket.create_connection(self.address, PATIENCE)
        self.addCleanup(self.idle.close)
        connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE)
        self.addCleanup(connection.close)
        connection.request("GET", "/film")
        response = connection.getresponse()
        response.read(1000)
        self.began = time.monotonic()
        self.daemon.process.send_signal(signal.SIGTERM)
        return response

    def check_ended(self, how: str) -> None:
        self.daemon.ended()
        self.assertIn(f' "{how}" ', self.daemon.out)
        self.assertNotIn("Traceback", self.daemon.err)

    def test_what_was_begun_is_ended(self) -> None:
        response = self.being_served("30s")
        self.daemon.told("EXTEND_TIMEOUT_USEC=40000000")
        self.assertEqual(self.idle.recv(1), b"")
        self.assertRaises(OSError, socket.create_connection, self.address, PATIENCE)
        self.upstream.go_on.set()
        self.assertEqual(len(response.read()), SIZE - 1000)
        self.check_ended("complete")
        self.assertLess(time.monotonic() - self.began, 20.0)

    def test_a_second_signal_cuts(self) -> None:
        response = self.being_served("30s")
        self.daemon.told("EXTEND_TIMEOUT_USEC=40000000")
        self.daemon.process.send_signal(signal.SIGINT)
        self.assertRaises((http.client.IncompleteRead, ConnectionResetError), response.read)
        self.check_ended("cut")
        self.assertLess(time.monotonic() - self.began, 20.0)

    def test_what_takes_too_long_is_cut(self) -> None:
        response = self.being_served("200ms")
        self.assertRaises((http.client.IncompleteRead, ConnectionResetError), response.read)
        self.check_ended("cut")
        self.assertGreaterEqual(time.monotonic() - self.began, 0.2)

    def test_without_it_all_is_cut_at_once(self) -> None:
        response = self.being_served("0s")
        self.assertRaises((http.client.IncompleteRead, ConnectionResetError), response.read)
        self.check_ended("cut")
