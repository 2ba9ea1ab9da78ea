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

from tests.support.patience import PATIENCE
from tests.support.running import Running

CONFIG = """\
listen: ["tcp:0:interface=127.0.0.1"]
stop_timeout: {stop_timeout}
log: {{access: "-"}}
routes:
  - path: /
    upstream: http://127.0.0.1:{port}/
"""
SIZE = 1 << 20


LENGTH = b"Content-Length: %d\r\n" % SIZE


class Upstream:
    """Answers one request with SIZE bytes, the second half once it is let go."""

    def __init__(self, case: SynchronousTestCase, fields: bytes = LENGTH) -> None:
        self.go_on = threading.Event()
        self._fields = fields
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
            with contextlib.suppress(OSError):  # the proxy may have left
                connection.sendall(b"HTTP/1.1 200 OK\r\n%s\r\n" % self._fields)
                connection.sendall(bytes(SIZE // 2))
                self.go_on.wait(PATIENCE)
                connection.sendall(bytes(SIZE // 2))


class StoppingCase(SynchronousTestCase):
    """A daemon that is stopped while it serves."""

    def start(self, stop_timeout: str, fields: bytes = LENGTH) -> None:
        """A daemon in front of an upstream."""
        self.upstream = Upstream(self, fields)
        path = Path(self.mktemp()).absolute()
        path.write_text(CONFIG.format(stop_timeout=stop_timeout, port=self.upstream.port))
        self.daemon = Running(self, "--config", str(path))
        host, _, port = self.daemon.ready().rpartition(":")
        self.address = (host, int(port))

    def check_ended(self, how: str) -> None:
        self.daemon.ended()
        self.assertIn(f' "{how}" ', self.daemon.out)
        self.assertNotIn("Traceback", self.daemon.err)


class StoppingTests(StoppingCase):
    def being_served(self, stop_timeout: str) -> http.client.HTTPResponse:
        """An answer that has begun, from a daemon that is then told to stop."""
        self.start(stop_timeout)
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

    def test_what_was_begun_is_ended(self) -> None:
        response = self.being_served("1h")
        self.daemon.told("EXTEND_TIMEOUT_USEC=3610000000")
        self.assertEqual(self.idle.recv(1), b"")
        self.assertRaises(OSError, socket.create_connection, self.address, PATIENCE)
        self.upstream.go_on.set()
        self.assertEqual(len(response.read()), SIZE - 1000)
        self.check_ended("complete")

    def test_a_second_signal_cuts(self) -> None:
        response = self.being_served("1h")
        self.daemon.told("EXTEND_TIMEOUT_USEC=3610000000")
        self.daemon.process.send_signal(signal.SIGINT)
        self.assertRaises((http.client.IncompleteRead, ConnectionResetError), response.read)
        self.check_ended("cut")

    def test_what_takes_too_long_is_cut(self) -> None:
        response = self.being_served("200ms")
        self.assertRaises((http.client.IncompleteRead, ConnectionResetError), response.read)
        self.check_ended("cut")
        self.assertGreaterEqual(time.monotonic() - self.began, 0.2)

    def test_without_it_all_is_cut_at_once(self) -> None:
        response = self.being_served("0s")
        self.assertRaises((http.client.IncompleteRead, ConnectionResetError), response.read)
        self.check_ended("cut")


class EndedByCloseTests(StoppingCase):
    """An answer of unknown length to HTTP/1.0: only a reset tells that it isn't whole."""

    def begun(self, stop_timeout: str = "0s", room: int | None = None) -> socket.socket:
        """A client that was sent the first half, as far as it has `room` for it."""
        self.start(stop_timeout, b"")
        client = socket.socket()
        self.addCleanup(client.close)
        client.settimeout(PATIENCE)
        if room is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        client.connect(self.address)
        client.sendall(b"GET /film HTTP/1.0\r\n\r\n")
        self.assertIn(b"HTTP/1.1 200 OK\r\n", client.recv(1000))
        return client

    def rest(self, client: socket.socket) -> int:
        """How many bytes come up to the FIN; raises ConnectionResetError at a reset."""
        return sum(map(len, iter(lambda: client.recv(65536), b"")))

    def test_a_slow_client_is_reset(self) -> None:
        client = self.begun(room=4096)
        self.daemon.process.send_signal(signal.SIGTERM)
        self.check_ended("cut")
        self.assertRaises(ConnectionResetError, self.rest, client)

    def test_a_client_that_took_everything_is_reset(self) -> None:
        client = self.begun()
        received = 0
        while received < SIZE // 2 - 1000:
            received += len(client.recv(65536))
        self.daemon.process.send_signal(signal.SIGTERM)
        self.assertRaises(ConnectionResetError, self.rest, client)
        self.check_ended("cut")

    def test_a_process_that_is_killed_resets(self) -> None:
        client = self.begun(room=4096)
        self.daemon.process.kill()
        self.daemon.ended()
        self.assertRaises(ConnectionResetError, self.rest, client)

    def test_one_that_is_complete_ends_in_order(self) -> None:
        client = self.begun("30s")
        self.upstream.go_on.set()
        self.assertGreater(self.rest(client), SIZE - 1000)
        self.daemon.stop()
