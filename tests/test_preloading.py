"""What a daemon loads at its start for the sources of its routes."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aprp.config import QueryRoute, SourcesRoute, UpstreamRoute, Url
from aprp.web.preloading import may_need_them
from tests.test_imports import loaded_by

HTTP2 = ("aprp.upstream.http.h2_connection", "aprp.upstream.http.tls")
START = """
from twisted.internet import reactor
from aprp.config import for_upstream
from aprp.upstream.http.agent import Agent
from aprp.web.site import make_site
make_site(for_upstream({!r}, 0), Agent(reactor), print, reactor)
"""


def sources(*given: Any, **settings: Any) -> SourcesRoute:
    return SourcesRoute(path="/", sources=given, **settings)


def upstream(url: str, **settings: Any) -> UpstreamRoute:
    return UpstreamRoute(path="/", upstream=Url.parse(url), **settings)


class PreloadingTests(SynchronousTestCase):
    def test_what_a_start_loads(self) -> None:
        self.assertEqual(loaded_by(START.format("http://a.example/"), HTTP2), [])
        self.assertEqual(loaded_by(START.format("https://a.example/"), HTTP2), [*HTTP2])

    def test_routes_that_may_need_it(self) -> None:
        plain, secure = {"url": "http://a.example/"}, {"url": "https://b.example/"}
        for route, needed in (
            (upstream("http://a.example/"), False),
            (upstream("https://a.example/"), True),
            (upstream("http://a.example/", http2="prior-knowledge"), True),
            (sources(plain), False),
            (sources(plain, secure), True),
            (sources({**plain, "http2": "prior-knowledge"}), True),
            (sources(plain, metalink="links"), True),
            (QueryRoute(path="/proxy", query="host", allow=("*",)), True),
        ):
            self.assertEqual(may_need_them(route), needed, route)
