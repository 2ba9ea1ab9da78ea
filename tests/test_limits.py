"""Limits on what clients have open, as counts and on a site's connections."""

from __future__ import annotations

from ipaddress import ip_network

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from aprp.config import Settings, UpstreamRoute
from aprp.core.http.urls import Url
from aprp.core.limits import ClientCounts, ClientLimits, Over
from aprp.upstream.http.agent import Agent
from aprp.web.clients import Clients
from aprp.web.failures import Refusal
from aprp.web.site import ProxySite, make_site


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


class SiteTests(SynchronousTestCase):
    def setUp(self) -> None:
        clock = MemoryReactorClock()
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
