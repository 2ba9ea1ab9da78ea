"""Limits on what clients have open, as counts and on a site's connections."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from aprp.config import Settings, UpstreamRoute
from aprp.core.http.urls import Url
from aprp.core.limits import ClientCounts, ClientLimits, Over, memory_is_short, memory_limit
from aprp.upstream.http.agent import Agent
from aprp.web.clients import Clients
from aprp.web.failures import Refusal
from aprp.web.memory_watch import SAMPLE, MemoryWatch, allowed_by_group, give_back, resident
from aprp.web.site import ProxySite, make_site
from tests.support.logged import Logged


class CountTests(SynchronousTestCase):
    def test_connections_of_one_address(self) -> None:
        counts, limits = ClientCounts(), ClientLimits(connections_per_address=2)
        self.assertEqual([counts.opened("a", limits) for _ in range(2)], [None, None])
        self.assertIs(counts.opened("a", limits), Over.CONNECTIONS_PER_ADDRESS)
        self.assertIsNone(counts.opened("b", limits))
        counts.closed("a")
        self.assertIsNone(counts.opened("a", limits))

    def test_connections_in_all(self) -> None:
        counts, limits = ClientCounts(), ClientLimits(connections=2)
        self.assertEqual([counts.opened(None, limits) for _ in range(2)], [None, None])
        self.assertIs(counts.opened("a", limits), Over.CONNECTIONS)
        self.assertEqual(counts.connections, 2)

    def test_requests_of_one_address(self) -> None:
        counts, limits = ClientCounts(), ClientLimits(requests_per_address=1)
        self.assertIsNone(counts.began("a", limits))
        self.assertIs(counts.began("a", limits), Over.REQUESTS_PER_ADDRESS)
        counts.ended("a")
        self.assertIsNone(counts.began("a", limits))

    def test_memory(self) -> None:
        has = (99, 100, 101, 96, 95, 96, 101)
        short, found = False, []
        for each in has:
            short = memory_is_short(each, 100, short)
            found.append(short)
        self.assertEqual(found, [False, False, True, True, False, False, True])
        self.assertFalse(memory_is_short(1 << 40, 0, True))

    def test_memory_by_default(self) -> None:
        self.assertEqual(memory_limit(7, 100), 7)
        self.assertEqual(memory_limit(0, 100), 0)
        self.assertEqual([memory_limit(-1, allowed) for allowed in (100, 0)], [80, 0])

    def test_no_limits(self) -> None:
        counts, limits = ClientCounts(), ClientLimits(0, 0, 0)
        for _ in range(1000):
            self.assertIsNone(counts.opened("a", limits))
            self.assertIsNone(counts.began("a", limits))


class ClientsTests(SynchronousTestCase):
    def test_a_client_over_its_limit_is_told_when_to_come_back(self) -> None:
        clients = Clients(ClientLimits(connections=2, connections_per_address=1))
        release = clients.connected("192.0.2.1")
        refusal = self.assertRaises(Refusal, clients.connected, "192.0.2.1")
        self.assertEqual((refusal.status, dict(refusal.fields)), (429, {b"Retry-After": b"5"}))
        clients.connected("192.0.2.2")
        self.assertEqual(self.assertRaises(Refusal, clients.connected, "192.0.2.3").status, 503)
        self.assertEqual(clients.refused[Over.CONNECTIONS], 1)
        release()
        clients.connected("192.0.2.1")

    def test_a_trusted_proxy_is_not_one_client(self) -> None:
        clients = Clients(ClientLimits(connections_per_address=1), (ip_network("10.0.0.0/8"),))
        for _ in range(3):
            clients.connected("10.0.0.1")


class Client(StringTransport):
    """A connection of a client to a site."""

    def __init__(self, site: ProxySite, host: str) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", host, 4711))
        self.channel = site.buildProtocol(None)
        self.channel.makeConnection(self)

    def ask(self, line: bytes) -> bytes:
        """What comes at once in answer to a request."""
        self.clear()
        self.channel.dataReceived(line + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        return bytes(self.value())


class MemoryWatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.has, self.trims = 50, 0
        self.watch = MemoryWatch(self.clock, lambda: self.has << 20, self.trim)

    def trim(self) -> None:
        self.trims += 1

    def test_memory_that_is_short_is_given_back_now_and_then_and_said(self) -> None:
        logged = Logged(self)
        self.watch.limit = 100 << 20
        self.assertFalse(self.watch.short)
        self.has = 150
        self.clock.pump([SAMPLE] * 48)
        self.assertEqual((self.watch.short, self.trims), (True, 3))
        (line,) = logged.lines
        self.assertIn("has 150 MiB of memory, and limits.memory is 100 MiB", line)
        self.has = 80
        self.clock.advance(SAMPLE)
        self.assertFalse(self.watch.short)

    def test_without_a_limit_nothing_is_sampled(self) -> None:
        self.has = 150
        self.watch.limit = 100 << 20
        self.watch.limit = 0
        self.assertFalse(self.watch.short)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_is_measured_grows_and_is_given_back(self) -> None:
        gc.collect()  # what others leave behind must not go while this looks
        give_back()
        before = resident()
        held = bytearray(64 << 20)
        held[::4096] = b"x" * len(held[::4096])
        self.assertGreater(resident(), before + (48 << 20))
        del held
        give_back()
        self.assertLess(resident(), before + (32 << 20))


class KeptTests(SynchronousTestCase):
    def test_pieces_get_the_memory_of_those_that_were_freed(self) -> None:
        if not hasattr(ctypes.CDLL(None), "mallopt"):
            raise SkipTest("the C library can't be told")
        program = """
import resource
from aprp.web.memory_watch import keep_freed

keep_freed()

def hold():
    return len([b"x" * (1 << 20) for _ in range(8)])
hold(), hold()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    hold()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
        self.assertLess(int(done.stdout), 500)  # of 16,384 pages


class GroupTests(SynchronousTestCase):
    def allowed(self, groups: str, **files: str) -> int:
        """What a process of these groups may use; "_" is a slash in the name of a file."""
        found = {path.replace("_", "/"): content for path, content in files.items()}
        found["proc/self/cgroup"] = groups

        def read(path: Path) -> str:
            name = str(path).removeprefix("/").replace("memory.limit_in_bytes", "limit")
            try:
                return found[name.replace("memory.max", "max")]
            except KeyError:
                raise FileNotFoundError(path) from None

        self.patch(Path, "read_text", read)
        return allowed_by_group()

    def test_the_least_of_all_groups_above(self) -> None:
        at = "0::/system.slice/aprp.service\n"
        limits = {"sys_fs_cgroup_system.slice_max": "900\n", "sys_fs_cgroup_max": "2000\n"}
        own = {"sys_fs_cgroup_system.slice_aprp.service_max": "max\n"}
        self.assertEqual(self.allowed(at, **limits, **own), 900)
        own = {"sys_fs_cgroup_system.slice_aprp.service_max": "800\n"}
        self.assertEqual(self.allowed(at, **limits, **own), 800)
        self.assertEqual(self.allowed("0::/\n", sys_fs_cgroup_max="700\n"), 700)

    def test_no_limit(self) -> None:
        self.assertEqual(self.allowed("0::/a\n", sys_fs_cgroup_a_max="max\n"), 0)
        self.assertEqual(self.allowed("0::/a\n"), 0)

    def test_the_first_version(self) -> None:
        at = "3:cpu,cpuacct:/b\n2:memory:/docker/a\n0::/\n"
        limits = {"sys_fs_cgroup_memory_docker_a_limit": "600\n"}
        whole = {"sys_fs_cgroup_memory_limit": "9223372036854771712\n"}
        self.assertEqual(self.allowed(at, **limits, **whole), 600)
        self.assertEqual(self.allowed(at, **whole), 0)


class SiteTests(SynchronousTestCase):
    def setUp(self) -> None:
        clock = self.clock = MemoryReactorClock()
        route = UpstreamRoute(path="/", upstream=Url.parse("http://192.0.2.9"))
        settings = Settings(listen=("tcp:0",), routes=(route,))
        self.site = make_site(settings, Agent(clock), lambda record: None, clock)

    def connect(self, host: str = "192.0.2.1") -> Client:
        return Client(self.site, host)

    def test_a_connection_over_the_limit_is_answered_at_once(self) -> None:
        self.site.clients.limits = ClientLimits(connections_per_address=1)
        first, second, other = self.connect(), self.connect(), self.connect("192.0.2.2")
        self.assertEqual((first.value(), other.value()), (b"", b""))
        self.assertTrue(second.value().startswith(b"HTTP/1.1 429 "), second.value())
        self.assertIn(b"\r\nRetry-After: 5\r\n", second.value())
        self.assertIn(b"\r\nConnection: close\r\n", second.value())

    def test_clients_by_the_proxy_protocol_are_counted_by_their_own_address(self) -> None:
        self.site.clients.limits = ClientLimits(connections_per_address=1)
        answers = [self.announced(b"192.0.2.%d" % host) for host in (1, 2, 1)]
        self.assertEqual(answers[:2], [b"", b""])
        self.assertTrue(answers[2].startswith(b"HTTP/1.1 429 "), answers[2])
        self.assertEqual(self.site.clients.connections, 2)

    def announced(self, address: bytes) -> bytes:
        """What a load balancer gets that has sent only a client's address and half a request."""
        channel = HAProxyWrappingFactory(self.site).buildProtocol(None)
        transport = StringTransport(peerAddress=IPv4Address("TCP", "192.0.2.99", 1))
        channel.makeConnection(transport)
        channel.dataReceived(b"PROXY TCP4 %s 192.0.2.98 1 2\r\nGET" % address)
        return bytes(transport.value())

    def test_requests_are_refused_while_memory_is_short(self) -> None:
        client = self.connect()
        assert self.site.clients.memory is not None
        self.site.clients.memory.short = True
        answer = client.ask(b"GET /a")
        self.assertTrue(answer.startswith(b"HTTP/1.1 503 "), answer)
        self.assertIn(b"\r\nRetry-After: 5\r\n", answer)
        self.assertEqual(self.site.clients.refused[Over.MEMORY], 1)
        self.site.clients.memory.short = False
        self.assertIn(b" 204 ", client.ask(b"OPTIONS *"))

    def test_requests_over_the_limit_are_refused_and_the_connection_stays(self) -> None:
        self.site.clients.limits = ClientLimits(requests_per_address=1)
        first, second = self.connect(), self.connect()
        self.assertEqual(first.ask(b"GET /a"), b"")
        self.assertTrue(second.ask(b"GET /b").startswith(b"HTTP/1.1 429 "))
        self.assertFalse(second.disconnecting)
        self.assertIn(b" 429 ", second.ask(b"OPTIONS *"))
        self.assertEqual(self.site.clients.refused[Over.REQUESTS_PER_ADDRESS], 2)
        first.channel.connectionLost(Failure(ConnectionDone()))
        self.assertIn(b" 204 ", second.ask(b"OPTIONS *"))

    def test_requests_count_while_their_bodies_are_spooled(self) -> None:
        self.site.clients.limits = ClientLimits(requests_per_address=1)
        post = b"POST /a HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\n"
        for ended in (
            lambda client: client.channel.connectionLost(Failure(ConnectionDone())),
            self.too_slow,
        ):
            first, second = self.connect(), self.connect()
            first.channel.dataReceived(post + b"1234")
            self.assertTrue(second.ask(b"GET /b").startswith(b"HTTP/1.1 429 "))
            third = self.connect()
            third.channel.dataReceived(post)
            self.assertTrue(third.value().startswith(b"HTTP/1.1 429 "), third.value())
            ended(first)
            self.assertIn(b" 204 ", second.ask(b"OPTIONS *"))

    def test_no_body_is_called_for_that_is_refused(self) -> None:
        self.site.clients.limits = ClientLimits(requests_per_address=1)
        post = b"POST /a HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n"
        first, second = self.connect(), self.connect()
        for client in (first, second):
            client.channel.dataReceived(post + b"Expect: 100-continue\r\n\r\n")
        self.assertEqual(first.value(), b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertTrue(second.value().startswith(b"HTTP/1.1 429 "), second.value())

    def too_slow(self, client: Client) -> None:
        """Let the time for a request's body pass."""
        self.clock.pump([10] * 7)
        self.assertIn(b"HTTP/1.1 408 ", client.value())
