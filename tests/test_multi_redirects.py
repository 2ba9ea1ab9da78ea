"""Sources that redirect: followed as the route allows, remembered, looked up anew."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any

from aprp.config import SourceSettings, SourcesRoute, Url
from aprp.core.choices import Redirects
from aprp.core.http.ranges import FromTo
from aprp.upstream.exchange import Origin
from aprp.upstream.http.agent import Agent
from aprp.upstream.http.guard import Guard
from aprp.upstream.transfer.options import TransferOptions, locations
from aprp.upstream.transfer.shared import SharedResources
from aprp.upstream.transfer.transfer import Transfer
from aprp.web.multi_source import MultiSource
from aprp.web.routes import RouteTree
from aprp.web.site import ProxySite
from tests.support.mirrored_case import BYTES, MirroredCase, honest, reactor
from tests.support.replies import Received, Reply, status

PART = {"Range": "bytes=100-199"}


def to(location: str, code: int = 302) -> Any:
    return lambda _: status(code, (b"Location", location.encode()))


async def anywhere(url: Url, own: Url) -> Origin:
    return Origin(url.scheme, url.host, url.port)


class RedirectTests(MirroredCase):
    async def test_to_another_path_of_the_same_host(self) -> None:
        def answer(received: Received) -> Reply:
            if received.target == b"/f":
                return status(301, (b"Location", b"/there/f?x=%20"), body=b"moved")
            return honest(received)

        origins = await self.mirrors(answer)
        port = self.in_front_of(origins)
        for _ in range(2):
            got = await self.ask(port, "/f", PART)
            self.assertEqual((got.status, got.body), (206, BYTES[100:200]))
        targets = [received.target for received in origins[0].requests]
        self.assertEqual(targets, [b"/f", b"/there/f?x=%20", b"/there/f?x=%20"])
        self.assertEqual(origins[0].connections, 1)

    async def test_looked_up_anew_when_the_place_refuses(self) -> None:
        places = ["/old"]

        def answer(received: Received) -> Reply:
            if received.target == b"/f":
                return status(301, (b"Location", places[-1].encode()))
            return honest(received) if received.target == places[-1].encode() else status(403)

        origins = await self.mirrors(answer)
        port = self.in_front_of(origins)
        await self.ask(port, "/f", PART)
        places.append("/new")
        got = await self.ask(port, "/f", PART)
        self.assertEqual((got.status, got.body), (206, BYTES[100:200]))
        targets = [received.target for received in origins[0].requests]
        self.assertEqual(targets, [b"/f", b"/old", b"/old", b"/f", b"/new"])

    async def test_off(self) -> None:
        origins = await self.mirrors(to("/there"))
        got = await self.ask(self.in_front_of(origins, redirects="off"), "/f", PART)
        self.assertEqual(got.status, 502)
        self.assertIn(b"redirects: off", got.body)

    async def test_same_host_goes_to_no_other(self) -> None:
        origins = await self.mirrors(honest, honest)
        origins[0].answer = to(f"{origins[1].url}/f")
        got = await self.ask(self.in_front_of(origins[:1]), "/f", PART)
        self.assertEqual(got.status, 502)
        self.assertIn(b"`redirects: public` would follow", got.body)
        self.assertEqual(origins[1].requests, [])

    async def test_public_goes_to_no_private_address(self) -> None:
        origins = await self.mirrors(honest, honest)
        for there in (origins[1].url, f"http://localhost:{origins[1].port}"):
            origins[0].answer = to(f"{there}/f")
            got = await self.ask(
                self.in_front_of(origins[:1], redirects=Redirects.PUBLIC), "/f", PART
            )
            self.assertEqual(got.status, 502)
            self.assertIn(b"loopback", got.body)
        self.assertEqual(origins[1].requests, [])

    async def test_public_leaves_credentials_behind(self) -> None:
        origins = await self.mirrors(honest, honest)
        origins[0].answer = to(f"{origins[1].url}/f")
        port = self.guarded([origins[0].url], headers=(("Authorization", "Basic abc"),))
        got = await self.ask(port, "/f", PART)
        self.assertEqual((got.status, got.body), (206, BYTES[100:200]))
        self.assertEqual(origins[0].requests[0].get(b"authorization"), b"Basic abc")
        self.assertEqual(origins[1].requests[0].get(b"authorization"), None)
        self.assertEqual(origins[1].requests[0].get(b"host"), origins[1].url[7:].encode())

    async def test_what_one_route_follows_another_need_not(self) -> None:
        """Where a source led is remembered for the process, but each route has its rule."""
        origins = await self.mirrors(honest, honest)
        source, elsewhere = (Url.parse(origin.url + "/f") for origin in origins)
        agent = Agent(reactor)
        self.addCleanup(agent.close)
        shared = SharedResources(agent, reactor)
        for rule in (Redirects.SAME_HOST, Redirects.OFF):
            shared.remember(source, elsewhere)
            transfer = Transfer(
                shared, locations([source]), TransferOptions(redirects=rule, reach=anywhere)
            )
            await transfer.begin(FromTo(0, 10))
            transfer.abort()
            self.assertEqual(origins[1].requests, [], rule)

    async def test_back_to_the_proxy_itself(self) -> None:
        """Whichever way a request comes back, it is refused there, and another mirror serves."""
        origins = await self.mirrors(honest, honest)
        ports = [self.guarded([origins[0].url])]
        origins[0].answer = lambda r: status(
            302, (b"Location", b"http://127.0.0.1:%d%s" % (ports[0], r.target))
        )
        got = await self.ask(ports[0], "/f", PART)
        self.assertEqual(got.status, 502)
        self.assertIn(b"answered 508", got.body)
        self.assertLess(len(origins[0].requests), 5)
        self.assertIn("proxy_loop_detected", {record.error for record in self.records})
        ports[0] = self.guarded([origin.url for origin in origins])
        got = await self.ask(ports[0], "/f")
        self.assertEqual((got.status, got.whole, got.body == BYTES), (200, True, True))

    async def test_a_request_that_was_here_is_refused(self) -> None:
        origins = await self.mirrors(honest)
        port = self.in_front_of(origins)
        await self.ask(port, "/f", {"Via": "1.1 other", **PART})
        marks = origins[0].requests[0].get(b"via") or b""
        self.assertTrue(marks.startswith(b"1.1 other, 1.1 aprp-"), marks)
        got = await self.ask(port, "/f", {"Via": marks.decode(), **PART})
        self.assertEqual(got.status, 508)
        self.assertIn("error=proxy_loop_detected", got.fields["Proxy-Status"])

    async def test_public_leads_to_no_port_of_its_own(self) -> None:
        origins = await self.mirrors(honest)
        own: list[tuple[str, int]] = []
        port = self.guarded([origins[0].url], own)
        own.append(("0.0.0.0", port))
        origins[0].answer = to(f"http://127.0.0.9:{port}/f")
        got = await self.ask(port, "/f", PART)
        self.assertEqual(got.status, 502)
        self.assertIn(b"is this proxy itself", got.body)
        self.assertEqual(len(self.records), 1)

    async def test_without_end(self) -> None:
        origins = await self.mirrors(lambda r: status(302, (b"Location", r.target + b"x")))
        got = await self.ask(self.in_front_of(origins), "/f", PART)
        self.assertEqual(got.status, 502)
        self.assertIn(b"more than 5 times", got.body)

    def guarded(
        self, urls: Sequence[str], own: Sequence[tuple[str, int]] = (), **options: Any
    ) -> int:
        """A proxy that takes loopback for a public place; `own` is where it listens."""
        sources = tuple(SourceSettings(url=Url.parse(url + "/")) for url in urls)
        route = SourcesRoute(path="/", sources=sources, redirects=Redirects.PUBLIC, **options)
        agent = Agent(reactor)
        self.addCleanup(agent.close)
        guard = Guard(agent.names, [ip_network("127.0.0.0/8")], lambda: own)
        leaf = MultiSource(route, SharedResources(agent, reactor), reactor, guard)
        return self.listen(ProxySite(RouteTree([leaf]), self.records.append, reactor))
