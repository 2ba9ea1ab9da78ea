"""A drain can be watched, and under socket activation a restart refuses nobody."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import threading
from collections import Counter
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.patience import PATIENCE
from tests.support.running import TWISTD, Running, get
from tests.support.threaded_origin import SIZE, ThreadedOrigin

CONFIG = """\
listen: ["{listen}"]
admin: tcp:0:interface=127.0.0.1
stop_timeout: 30s
routes:
  - path: /
    upstream: {url}
"""
# What a service manager does: the socket as descriptor 3, and the pid of what it starts.
PASSING = 'exec 3<&"$1"; shift; export LISTEN_PID=$$; exec "$@"'


class DrainCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.origin = ThreadedOrigin(self)
        self.path = Path(self.mktemp()).absolute()

    def start(self, listen: str = "tcp:0:interface=127.0.0.1") -> Running:
        self.path.write_text(CONFIG.format(listen=listen, url=self.origin.url))
        return Running(self, "--config", str(self.path))


class WatchedDrainTests(DrainCase):
    def test_the_admin_port_tells_of_it_to_the_end(self) -> None:
        daemon = self.start()
        host, _, port = daemon.ready().rpartition(":")
        assert daemon.admin is not None
        film = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
        self.addCleanup(film.close)
        film.request("GET", "/held")
        answer = film.getresponse()
        daemon.process.send_signal(signal.SIGTERM)
        daemon.told("EXTEND_TIMEOUT_USEC=40000000")
        self.assertEqual(get(daemon.admin, "/healthz")[::2], (503, b"stopping\n"))
        self.assertEqual(get(daemon.admin, "/readyz")[0], 503)
        status = json.loads(get(daemon.admin, "/status")[2])
        self.assertEqual((status["state"], status["requests"]), ("stopping", 1))
        metrics = get(daemon.admin, "/metrics")[2]
        self.assertIn(b'aprp_requests_in_flight{route="/"} 1.0\n', metrics)
        self.origin.go_on.set()
        self.assertEqual(len(answer.read()), SIZE)
        daemon.ended()
        self.assertRaises(OSError, get, daemon.admin, "/healthz")
        self.assertNotIn("Traceback", daemon.err)

    def test_a_connection_that_was_just_accepted_is_served(self) -> None:
        daemon = self.start()
        host, _, port = daemon.ready().rpartition(":")
        client = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
        self.addCleanup(client.close)
        client.connect()
        get(f"{host}:{port}", "/")  # later ones are served, so it was accepted
        daemon.process.send_signal(signal.SIGTERM)
        daemon.wait_for("stopping: ")  # every connection was told
        client.request("GET", "/")
        answer = client.getresponse()
        self.assertEqual((answer.status, answer.headers["Connection"]), (200, "close"))
        self.assertEqual(len(answer.read()), SIZE)
        daemon.ended()


class Knocking(threading.Thread):
    """A client that asks again and again, on a new connection each time."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self._address = address
        self.enough = threading.Event()
        self.results: Counter[str] = Counter()
        self.moved = threading.Condition()

    def run(self) -> None:
        while not self.enough.is_set():
            try:
                status, _, body = get(self._address, "/film")
                result = "served" if (status, len(body)) == (200, SIZE) else f"status {status}"
            except (OSError, http.client.HTTPException) as error:
                result = repr(error)
            with self.moved:
                self.results[result] += 1
                self.moved.notify_all()

    def served(self, count: int) -> None:
        """Wait until so many more were served, or anything else happened."""
        with self.moved:
            wanted = self.results["served"] + count
            self.moved.wait_for(
                lambda: self.results["served"] >= wanted or len(self.results) > 1, PATIENCE
            )


class SocketActivationTests(DrainCase):
    def test_a_restart_refuses_no_connection(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.addCleanup(listener.close)
        self.path.write_text(
            CONFIG.format(listen="systemd:domain=INET:name=aprp", url=self.origin.url)
        )
        host, port = listener.getsockname()
        first = self.passed(listener)
        self.assertEqual(first.ready(), f"{host}:{port}")
        clients = [Knocking(f"{host}:{port}") for _ in range(4)]
        for client in clients:
            client.start()
            self.addCleanup(client.enough.set)
        second = self.restarted(first, listener, clients)
        self.restarted(second, listener, clients)
        for client in clients:
            client.enough.set()
            client.join(PATIENCE)
        results = sum((client.results for client in clients), Counter[str]())
        self.assertEqual(set(results), {"served"}, results)

    def passed(self, listener: socket.socket) -> Running:
        """A daemon that is passed the socket."""
        return Running(
            self,
            "--config",
            str(self.path),
            command=("bash", "-c", PASSING, "bash", str(listener.fileno()), *TWISTD, "aprp"),
            environ={"LISTEN_FDS": "1", "LISTEN_FDNAMES": "aprp"},
            pass_fds=(listener.fileno(),),
        )

    def restarted(
        self, daemon: Running, listener: socket.socket, clients: list[Knocking]
    ) -> Running:
        """The daemon that takes the place of this one while clients knock."""
        for client in clients:
            client.served(3)
        daemon.stop()
        self.assertNotIn("Traceback", daemon.err)
        following = self.passed(listener)
        following.ready()
        for client in clients:
            client.served(3)
        return following
