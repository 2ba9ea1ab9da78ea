"""Limits, ratings and warnings of a daemon with `workers: 2`: those of one daemon."""

from __future__ import annotations

import http.client
import os
import signal
import socket
from typing import Any

from tests.support.patience import PATIENCE
from tests.support.running import get
from tests.support.threaded_origin import SIZE, ThreadedOrigin
from tests.test_workers import WorkersCase, mirrored, upstream

TOGETHER = """\
listen: ["{listen}"]
admin: tcp:0:interface=127.0.0.1
control: ctl.sock
workers: 2
"""


class TogetherCase(WorkersCase):
    listen = "tcp:0:interface=127.0.0.1"

    def write(self, *lines: str, listen: str = "") -> None:
        text = TOGETHER.format(listen=listen or self.listen) + "\n".join(lines) + "\n"
        self.path.write_text(text)

    def connected(self, address: str) -> socket.socket:
        host, _, port = address.rpartition(":")
        client = socket.create_connection((host, int(port)), PATIENCE)
        self.addCleanup(client.close)
        return client

    def reloaded(self, *lines: str) -> None:
        self.write(*lines)
        self.daemon.process.send_signal(signal.SIGHUP)
        self.assertIn("STATUS=serving on", self.daemon.told("READY=1"))


def answered(client: socket.socket) -> bytes:
    """The status of one request on a connection by the PROXY protocol; empty if it was closed."""
    try:
        client.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n")
        client.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        return client.recv(12)[9:]
    except ConnectionError:
        return b""


class ConnectionLimitTests(TogetherCase):
    listen = "haproxy:tcp:0:interface=127.0.0.1"

    def test_connections_of_one_address(self) -> None:
        """Wherever they land, as many are served as the setting says."""
        limits = "limits: {connections_per_address: 6, requests_per_address: 0}"
        address = self.start(limits, "routes:", upstream("/", self.origin))
        clients = [
            self.by(worker, lambda: self.served(address)) for worker in (0, 0, 0, 0, 1, 1, 0, 1)
        ]
        self.assertEqual([each[1] for each in clients], [b"200"] * 6 + [b"429"] * 2)
        pid = self.pids()[0]
        os.kill(pid, signal.SIGKILL)  # it had four
        self.eventually(lambda: {pid, None}.isdisjoint(self.pids()))
        clients += [self.by(1, lambda: self.served(address)) for _ in range(5)]
        self.assertEqual([each[1] for each in clients[8:]], [b"200"] * 4 + [b"429"])

    def served(self, address: str) -> tuple[socket.socket, bytes]:
        client = self.connected(address)
        return client, answered(client)


class RequestLimitTests(TogetherCase):
    def test_requests_of_one_address_and_connections_of_all(self) -> None:
        limits = "limits: {connections: 4, requests_per_address: 2}"
        trusted = "trusted_proxies: [127.0.0.0/8]"
        address = self.start(trusted, limits, "routes:", upstream("/", self.origin))
        forwarded = {"X-Forwarded-For": "192.0.2.1"}
        films = [
            self.by(worker, lambda: self.film(address, "/held", forwarded)) for worker in (0, 1)
        ]
        for worker in (0, 1):
            self.assertEqual(self.by(worker, lambda: get(address, "/x", forwarded))[0], 429)
        self.origin.go_on.set()
        self.assertEqual([len(film.read()) for film in films], [SIZE, SIZE])
        # one worker may not have counted the end of its film when the other is requested
        self.eventually(lambda: get(address, "/x", forwarded)[0] == 200)
        self.eventually(lambda: self.status()["clients"] == 2)
        idle = [self.connected(address) for _ in range(2)]
        self.eventually(lambda: self.status()["clients"] == 4)
        for worker in (0, 1):
            self.assertEqual(self.by(worker, lambda: get(address, "/x"))[0], 503)
        idle.pop().close()
        self.eventually(lambda: get(address, "/x")[0] == 200)


class SourceLimitTests(TogetherCase):
    def pinned(self, address: str, worker: int) -> http.client.HTTPConnection:
        """A connection that this worker has accepted."""
        host, _, port = address.rpartition(":")
        client = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
        self.addCleanup(client.close)

        def accept() -> None:
            client.request("GET", "/up/x")
            client.getresponse().read()

        self.by(worker, accept)
        return client

    def started(self, connections: int) -> str:
        sources = ThreadedOrigin(self, "source")
        self.source = sources
        route = mirrored("/", sources).replace("connections: 2", f"connections: {connections}")
        return self.start("routes:", upstream("/up/", self.origin), route)

    def sizes(self, clients: list[http.client.HTTPConnection]) -> list[int]:
        return [len(client.getresponse().read()) for client in clients]

    def test_as_many_over_all_as_the_setting_says(self) -> None:
        """Those that wait get what another worker frees."""
        address = self.started(2)
        clients = [self.pinned(address, number % 2) for number in range(8)]
        for client in clients:
            client.request("GET", "/held")
        self.eventually(lambda: self.source.asked.count("/held") >= 2)
        self.source.go_on.set()
        self.assertEqual(self.sizes(clients), [SIZE] * 8)
        self.assertEqual(self.source.most_at_once, 2)
        self.eventually(lambda: self.source.open <= 2)

    def test_one_connection_for_two_workers(self) -> None:
        address = self.started(1)
        clients = [self.pinned(address, number % 2) for number in range(2)]
        for client in clients * 3:
            client.request("GET", "/x")
            self.assertEqual(self.sizes([client]), [SIZE])
        self.assertEqual(self.source.most_at_once, 1)
        self.eventually(lambda: self.source.open == 1)

    def test_a_worker_that_dies_gives_back_what_it_held(self) -> None:
        address = self.started(2)
        clients, others = [[self.pinned(address, worker) for _ in range(2)] for worker in (1, 0)]
        for client in clients:
            client.request("GET", "/held")
        self.eventually(lambda: self.source.asked.count("/held") == 2)
        os.kill(self.pids()[1], signal.SIGKILL)
        self.daemon.wait_for("was killed by SIGKILL")
        for client in others:
            client.request("GET", "/held2")
        self.eventually(lambda: self.source.asked.count("/held2") == 2)
        self.source.go_on.set()
        self.assertEqual(self.sizes(others), [SIZE] * 2)


class FindingsTests(TogetherCase):
    def rated_by(self, worker: int) -> list[dict[str, Any]]:
        """What this worker knows of sources: the other one doesn't answer."""
        rated: list[dict[str, Any]] = self.by(worker, self.status)["sources"]
        return rated

    def test_what_one_worker_learns_the_others_know(self) -> None:
        """So does the one that takes the place of a worker that died."""
        address = self.start("routes:", mirrored("/", self.origin))
        self.assertEqual(self.by(0, lambda: get(address, "/x"))[0], 200)
        pids = self.pids()
        self.eventually(lambda: self.rated_by(1))
        (known,) = self.rated_by(1)
        self.assertEqual(known["source"], self.origin.url)
        self.assertGreater(known["bytes_per_second"], 0)
        os.kill(pids[0], signal.SIGKILL)
        self.daemon.wait_for("was killed by SIGKILL")
        self.eventually(lambda: self.metric("aprp_workers") == 2.0)
        (known,) = self.rated_by(0)
        self.assertGreater(known["bytes_per_second"], 0)

    def test_one_worker_checks_for_all(self) -> None:
        health = ", health: {path: /ping, interval: 2s, fails: 1, passes: 1}}"
        address = self.start("routes:", mirrored("/", self.origin)[:-1] + health)
        self.eventually(lambda: "/ping" in self.origin.asked)
        self.origin.well.clear()
        self.eventually(lambda: self.by(1, lambda: get(address, "/x"))[0] == 503)
        self.daemon.wait_for("is out of service")
        self.origin.well.set()
        self.eventually(lambda: get(address, "/x")[0] == 200)
        self.daemon.stop()
        for once in ("is out of service", "is back in service", "serving on"):
            lines = [line for line in self.daemon.err.splitlines() if once in line]
            self.assertEqual(len(lines), 1, lines)
