"""The limit of open files: how it is shared, and what happens at and beyond it."""

from __future__ import annotations

import resource
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.descriptors import (
    least_for_each,
    most_for_clients,
    most_for_sources,
    most_idle,
    usable,
)
from aprp.core.http.fields import Fields
from aprp.upstream.errors import ConnectFailed
from aprp.upstream.exchange import Exchange, Origin, SourceRequest, Timeouts
from aprp.upstream.http.agent import Agent
from aprp.upstream.http.descriptors import Descriptors
from aprp.upstream.transfer.collector import Collector
from tests.support.patience import PATIENCE
from tests.support.running import Running, get
from tests.support.threaded_origin import SIZE, ThreadedOrigin
from tests.test_agent import EMPTY, Wire

LIMIT = 128
PROGRAM = """
import os, resource, signal
from twisted.scripts.twistd import run

taken = []

def take(*_):
    try:
        while True:
            taken.append(os.dup(0))
    except OSError:
        os.write(1, b"taken\\n")

def give_back(*_):
    while taken:
        os.close(taken.pop())
    os.write(1, b"given back\\n")

signal.signal(signal.SIGUSR1, take)
signal.signal(signal.SIGUSR2, give_back)
resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, {limit}))
run()
"""
"""A daemon with that limit, of which USR1 takes every descriptor that is left, and USR2 none."""


class ShareTests(SynchronousTestCase):
    def test_examples(self) -> None:
        for limit, found in (
            (128, (96, 24, 48, 72, 24)),
            (256, (224, 56, 112, 168, 56)),
            (1024, (896, 224, 448, 672, 224)),
            (65536, (57344, 14336, 28672, 43008, 1024)),
        ):
            sources = most_for_sources(limit, 0)
            clients = most_for_clients(limit, 0)
            shares = (usable(limit), least_for_each(limit), sources, clients, most_idle(sources))
            self.assertEqual(shares, found, limit)

    @given(st.integers(64, 1 << 20), st.lists(st.booleans(), max_size=400))
    def test_never_more_than_there_are_and_each_has_its_part(
        self, limit: int, steps: list[bool]
    ) -> None:
        clients = sources = 0
        step = max(1, usable(limit) // 50)
        for for_client in steps:
            if for_client and clients + step <= most_for_clients(limit, sources):
                clients += step
            elif not for_client and sources + step <= most_for_sources(limit, clients):
                sources += step
            self.assertLessEqual(clients + sources, usable(limit))
            self.assertGreaterEqual(most_for_sources(limit, clients), least_for_each(limit))
            self.assertGreaterEqual(most_for_clients(limit, sources), least_for_each(limit))


class AgentTests(SynchronousTestCase):
    """An agent that may have 48 connections, half of them idle."""

    def setUp(self) -> None:
        self.reactor: Any = MemoryReactorClock()
        self.descriptors = Descriptors(self.reactor, LIMIT)
        self.agent = Agent(self.reactor, descriptors=self.descriptors)
        self.wires: list[Wire] = []

    def ask(self, number: int) -> Deferred[Exchange]:
        origin = Origin("http", f"127.0.0.{number}", 80)
        request = SourceRequest(b"GET", origin, b"/", Fields(), Timeouts(5, 5, 5))
        return Deferred.fromCoroutine(self.agent.open(request))

    def accept(self) -> Wire:
        wire = Wire()
        wire.protocol = self.reactor.tcpClients[-1][2].buildProtocol(None)
        wire.protocol.makeConnection(wire)
        self.wires.append(wire)
        return wire

    def idle(self, number: int) -> Wire:
        """An origin that was asked and answered."""
        asking, wire = self.ask(number), self.accept()
        wire.protocol.dataReceived(EMPTY)
        exchange = self.successResultOf(asking)
        self.successResultOf(exchange.pump(Collector(0)))
        return wire

    def test_the_longest_idle_is_closed_first_whatever_its_origin(self) -> None:
        wires = [self.idle(number) for number in range(1, 31)]
        self.assertEqual([wire.aborted for wire in wires], [True] * 6 + [False] * 24)
        self.assertEqual((self.agent.connections, self.agent.idle), (24, 24))
        self.ask(7)
        self.assertEqual(self.agent.idle, 23)
        self.assertIn(b"GET", wires[6].value())

    def test_idle_ones_make_room(self) -> None:
        idle = [self.idle(number) for number in range(1, 25)]
        for number in range(100, 148):
            self.ask(number)
            self.accept()
            self.assertLessEqual(self.agent.connections, 48)
        self.assertTrue(all(wire.aborted for wire in idle))
        self.assertEqual(self.descriptors.reached["sources"], 0)

    def test_what_finds_no_room_is_refused_and_said(self) -> None:
        for number in range(1, 25):
            self.ask(number)
            self.accept()
        opening = [self.ask(number) for number in range(25, 49)]
        self.assertEqual(self.agent.connections, 48)
        for _ in range(3):
            failed = self.failureResultOf(self.ask(99), ConnectFailed).value
            self.assertEqual(failed.kind, "connection_limit_reached")
        self.assertEqual(self.descriptors.reached, {"clients": 0, "sources": 3})
        opening[0].cancel()
        self.failureResultOf(opening[0])
        self.assertNoResult(self.ask(99))
        self.failureResultOf(self.ask(100), ConnectFailed)

    def test_clients_narrow_what_sources_may_have(self) -> None:
        self.descriptors.clients = lambda: 72
        for number in range(1, 25):
            self.ask(number)
        self.failureResultOf(self.ask(99), ConnectFailed)


class DaemonTests(SynchronousTestCase):
    """A daemon of which the system allows few descriptors."""

    def start(self, origin: ThreadedOrigin, limit: int = LIMIT) -> Running:
        path = Path(self.mktemp()).absolute()
        path.write_text(
            "listen: [tcp:0:interface=127.0.0.1]\n"
            "admin: tcp:0:interface=127.0.0.1\n"
            "log: {access: access.log}\n"
            "limits: {connections_per_address: 0, requests_per_address: 0}\n"
            "routes:\n"
            f"  - {{path: /one, upstream: 'http://127.0.0.1:{origin.port}/'}}\n"
            "  - {path: /proxy, query: host, allow: ['*'], allow_addresses: [127.0.0.0/8]}\n"
        )
        program = PROGRAM.format(limit=limit)
        command = (sys.executable, "-c", program, "-n", "--pidfile=", "aprp")
        return Running(self, "--config", str(path), command=command)

    def metric(self, daemon: Running, name: str, **labels: str) -> float:
        assert daemon.admin is not None
        text = get(daemon.admin, "/metrics")[2].decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        raise AssertionError(f"no {name} {labels}")

    def test_many_origins_one_after_the_other(self) -> None:
        origin = ThreadedOrigin(self, host="0.0.0.0")
        daemon = self.start(origin)
        address = daemon.ready()
        for number in range(1, LIMIT + 20):
            url = f"http://127.0.1.{number}:{origin.port}/f"
            status, _, body = get(address, f"/proxy?host={url}", {"Range": "bytes=0-9"})
            self.assertEqual((status, len(body)), (206, 10), number)
        self.assertEqual(get(address, "/one/f", {"Range": "bytes=0-9"})[0], 206)
        self.assertLessEqual(self.metric(daemon, "aprp_source_connections", state="idle"), 24)
        self.assertLess(self.metric(daemon, "process_open_fds"), LIMIT)
        daemon.stop()

    def test_a_transfer_outlives_a_flood_of_clients(self) -> None:
        """More come than there are descriptors: some are refused, the operator's port answers."""
        origin = ThreadedOrigin(self)
        daemon = self.start(origin)
        host, _, port = daemon.ready().rpartition(":")
        film = self.connect(host, port)
        film.sendall(b"GET /one/held HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        self.assertTrue(origin.held.wait(PATIENCE))
        flood = [self.connect(host, port) for _ in range(2 * LIMIT)]
        daemon.wait_for("refusing connections of clients")
        self.assertEqual(get(daemon.admin or "", "/healthz")[0], 200)
        for client in flood:
            client.close()
        self.until(lambda: self.metric(daemon, "aprp_client_connections") == 1)
        refused = self.metric(daemon, "aprp_connections_refused_total", side="clients")
        self.assertGreater(refused, 0)
        self.assertEqual(daemon.err.count("refusing connections of clients"), 1)
        origin.go_on.set()
        self.assertEqual(len(self.rest(film).partition(b"\r\n\r\n")[2]), SIZE)
        self.assertEqual(get(f"{host}:{port}", "/one/f")[0], 200)
        self.assertNotIn("Traceback", daemon.err)
        self.assertNotIn("EMFILE", daemon.err)
        daemon.stop()

    def test_without_a_descriptor_only_new_work_suffers(self) -> None:
        origin = ThreadedOrigin(self)
        daemon = self.start(origin)
        host, _, port = daemon.ready().rpartition(":")
        film = self.connect(host, port)
        film.sendall(b"GET /one/held HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        self.assertTrue(origin.held.wait(PATIENCE))
        kept = [self.connect(host, port) for _ in range(2)]
        for client in kept:
            self.assertEqual(self.ask(client, b"GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n"), 404)
        daemon.process.send_signal(signal.SIGUSR1)
        daemon.wait_for("taken", "out")
        self.assertEqual(self.ask(kept[0], b"GET /one/f HTTP/1.1\r\nHost: h\r\n\r\n"), 503)
        body = b"POST /one/f HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n"
        self.assertEqual(self.ask(kept[1], body), 503)
        origin.go_on.set()
        self.assertEqual(len(self.rest(film).partition(b"\r\n\r\n")[2]), SIZE)
        daemon.process.send_signal(signal.SIGUSR2)
        daemon.wait_for("given back", "out")
        self.assertEqual(get(f"{host}:{port}", "/one/f")[0], 200)
        self.assertNotIn("Traceback", daemon.err)
        daemon.stop()

    def ask(self, client: socket.socket, request: bytes) -> int:
        """The status of the answer, which comes in one piece with its head's first line."""
        client.sendall(request)
        answer = b""
        while b"\r\n" not in answer:
            piece = client.recv(1 << 16)
            assert piece, "no answer"
            answer += piece
        return int(answer.split(b" ")[1])

    def rest(self, client: socket.socket) -> bytes:
        pieces = []
        while piece := client.recv(1 << 16):
            pieces.append(piece)
        return b"".join(pieces)

    def connect(self, host: str, port: str) -> socket.socket:
        client = socket.create_connection((host, int(port)), PATIENCE)
        self.addCleanup(client.close)
        return client

    def until(self, condition: Any) -> None:
        """Ask until it's so; what is under way needs no more than a few turns of the daemon."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "it doesn't come"
            time.sleep(0.01)


class LimitTests(SynchronousTestCase):
    def test_the_systems_limit(self) -> None:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.assertEqual(Descriptors(MemoryReactorClock()).limit, soft)
