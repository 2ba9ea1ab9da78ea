"""Names that take long, and those who don't ask for them."""

from __future__ import annotations

import socket
from ipaddress import ip_network
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aprp.config import QueryRoute, Settings, UpstreamRoute, Url
from aprp.core.scheduling.messages import Source
from aprp.upstream.exchange import Origin, Timeouts
from aprp.upstream.http.agent import Agent
from aprp.upstream.http.guard import Guard
from aprp.upstream.http.names import PER_STRANGER, Addresses
from aprp.upstream.tally import UNCOUNTED, SourceTally
from aprp.upstream.transfer.options import FileLocation, TransferOptions
from aprp.upstream.transfer.shared import SharedResources
from aprp.upstream.transfer.source import TransferSource
from aprp.web.query_proxy import CheckedOrigins
from aprp.web.site import make_site
from tests.support.client import reactor
from tests.support.names import FakeNames, HeldUp
from tests.support.proxied_case import HELLO, ProxyCase, fixed


class SlowNamesTests(ProxyCase):
    """A query for many slow names beside a route whose upstream has a name, too."""

    def setUp(self) -> None:
        super().setUp()
        self.slow = [f"n{number}.slow.example" for number in range(16)]
        self.held = HeldUp(*self.slow)
        self.addCleanup(self.held.let_go)

        def getaddrinfo(host: bytes, port: Any, **_: Any) -> list[Any]:
            found: Addresses = self.held(host.decode())
            return [(socket.AF_INET, 0, 0, "", (each, 0)) for each in found]

        self.patch(socket, "getaddrinfo", getaddrinfo)

    async def both(self, **options: Any) -> int:
        origin = await self.origin(fixed(HELLO))
        upstream = Url.parse(f"http://unrelated.example:{origin.port}/")
        query = QueryRoute(
            path="/proxy",
            query="host",
            allow=("*",),
            allow_addresses=(ip_network("127.0.0.0/8"),),
            **options,
        )
        routes = (UpstreamRoute(path="/", upstream=upstream), query)
        self.agent = Agent(reactor)
        self.addCleanup(self.agent.close)
        settings = Settings(listen=("tcp:0",), routes=routes)
        return self.listen(make_site(settings, self.agent, self.records.append, reactor))

    @property
    def listed(self) -> str:
        return ",".join(f"http://{name}/f" for name in self.slow)

    async def test_another_route_is_served_meanwhile(self) -> None:
        """Whoever asked for them has left, and their lookups still hang."""
        port = await self.both()
        client = await self.client(port)
        await client.send(f"GET /proxy?host={self.listed} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        await self.soon(lambda: len(self.held.asked) == PER_STRANGER)
        await self.end(client)
        got = await self.ask(port, "/")
        self.assertEqual((got.status, got.body), (200, b"hello"))
        self.assertEqual(self.held.asked[PER_STRANGER:], ["unrelated.example"])
        self.assertEqual(len(self.held.slow), 16)

    async def test_connect_timeout_bounds_the_lookup(self) -> None:
        port = await self.both(connect_timeout=0.1)
        got = await self.ask(port, f"/proxy?host={self.listed}")
        self.assertEqual(got.status, 504)
        self.assertIn("error=dns_timeout", got.fields["Proxy-Status"])
        self.assertIn(b"n0.slow.example: the name was not looked up in time", got.body)


class OneDeadlineTests(SynchronousTestCase):
    """What looking up a name took is no longer there for connecting."""

    URL = Url.parse("http://a.example/f")

    def test_what_a_query_waited_counts_once(self) -> None:
        clock, names = Clock(), FakeNames()
        options = TransferOptions(timeouts=Timeouts(5, 5, 5))
        places = CheckedOrigins(Guard(names), clock, ("*",), options, "client")
        judged = Deferred.fromCoroutine(places.judge([self.URL]))
        self.assertEqual(names.lookups[0][:3], ("a.example", 5, "client"))
        clock.advance(3)
        names.answer("1.1.1.1")
        self.assertEqual(self.successResultOf(judged), [self.URL])
        waited = []
        for _ in range(2):
            reached = Deferred.fromCoroutine(places.reach(self.URL, self.URL))
            waited.append(self.successResultOf(reached).waited)
        self.assertEqual(waited, [3, 0])

    def test_what_a_redirect_waited_counts(self) -> None:
        clock = Clock()

        async def reach(url: Url, own: Url) -> Origin:
            clock.advance(3)
            return Origin("http", "a.example", 80, waited=1.0)

        class Noting(Agent):
            left = 0.0

            async def connect(
                self, origin: Origin, timeout: float, tally: SourceTally = UNCOUNTED, lanes: int = 1
            ) -> None:
                self.left = timeout

        agent = Noting(clock, FakeNames())
        source = TransferSource(
            SharedResources(agent, clock),
            FileLocation(Source("a", "a", 4, 0), self.URL),
            TransferOptions(timeouts=Timeouts(5, 5, 5), reach=reach),
        )
        self.successResultOf(Deferred.fromCoroutine(source.connect()))
        self.assertEqual(agent.left, 1)
