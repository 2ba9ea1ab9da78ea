"""A route that leads back to the proxy itself: one more hop, and then it's over."""

from __future__ import annotations

from typing import Any

from aprp.config import Settings, SourceSettings, SourcesRoute, UpstreamRoute, Url
from aprp.upstream.http.agent import Agent
from aprp.upstream.transfer.shared import SharedResources
from aprp.web.loops import NAME
from aprp.web.site import make_site, make_tree
from tests.support.client import get, reactor
from tests.support.proxied_case import ProxyCase


class LoopTests(ProxyCase):
    def in_front_of_itself(self, **route: Any) -> int:
        """The port of a proxy that has itself as its upstream, and as its source at /mirrored/."""
        agent = Agent(reactor)
        self.addCleanup(agent.close)
        shared = SharedResources(agent, reactor)
        nowhere = UpstreamRoute(path="/", upstream=Url.parse("http://127.0.0.1:9/"))
        settings = Settings(listen=("tcp:0",), routes=(nowhere,))
        site = make_site(settings, agent, self.records.append, reactor, shared=shared)
        port = self.listen(site)
        here = Url.parse(f"http://127.0.0.1:{port}/")
        mirror = SourceSettings(url=Url.parse(f"{here}mirrored/"))
        routes = (
            UpstreamRoute(path="/", upstream=here),
            SourcesRoute(path="/mirrored/", sources=(mirror,), resume_for=0.1),
        )
        settings = settings.model_copy(update={"routes": routes})
        site.change_routes(make_tree(settings, shared, reactor))
        return port

    async def test_an_upstream(self) -> None:
        port = self.in_front_of_itself()
        seen = await self.answer_to(port, get(b"/film"))
        self.assertEqual(seen.status, 508)
        self.assertIn(b"proxy_loop_detected", seen.get(b"proxy-status") or b"")
        self.assertEqual([record.status for record in self.records], [508, 508])

    async def test_a_source(self) -> None:
        seen = await self.answer_to(self.in_front_of_itself(), get(b"/mirrored/film"))
        self.assertEqual(seen.status, 502)
        self.assertEqual({record.status for record in self.records[:-1]}, {508})

    async def test_any_method(self) -> None:
        port = self.in_front_of_itself()
        request = b"DELETE /a HTTP/1.1\r\nHost: x\r\nVia: 1.1 a, 1.1 " + NAME.upper() + b"\r\n\r\n"
        seen = await self.answer_to(port, request)
        self.assertEqual((seen.status, len(self.records)), (508, 1))
