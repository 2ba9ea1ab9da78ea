"""How sources are named, in logs and on the status page."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.config import SourceSettings, SourcesRoute
from aprp.core.http.urls import Url
from aprp.library.arguments import fetch_request
from aprp.upstream.transfer.options import TransferOptions, locations
from aprp.upstream.transfer.route_options import options_of
from aprp.web.multi_source import locations_of, places_of


def urls(*texts: str) -> list[Url]:
    return [Url.parse(text) for text in texts]


class NamesTests(SynchronousTestCase):
    def named(self, *texts: str) -> list[str]:
        return [location.source.name for location in locations(urls(*texts))]

    def test_by_origin_where_it_tells_them_apart(self) -> None:
        self.assertEqual(
            self.named("http://a.example/f?t=1", "http://b.example/f"),
            ["http://a.example", "http://b.example"],
        )

    def test_never_with_a_query(self) -> None:
        self.assertEqual(
            self.named("http://a.example/f?t=1", "http://a.example/f?t=2", "http://a.example/g"),
            ["http://a.example/f (1)", "http://a.example/f (2)", "http://a.example/g"],
        )

    def test_never_with_a_query_for_a_program(self) -> None:
        found = fetch_request(["http://a.example/f?t=1", "http://a.example/f?t=2"]).locations
        self.assertEqual(
            [(location.source.name, str(location.url)) for location in found],
            [
                ("http://a.example/f (1)", "http://a.example/f?t=1"),
                ("http://a.example/f (2)", "http://a.example/f?t=2"),
            ],
        )

    def test_the_sources_of_a_route(self) -> None:
        texts = ("http://a.example/f?t=1", "http://a.example/f?t=2", "http://b.example/f?t=1")
        named = urls(*texts, texts[0])
        sources = tuple(SourceSettings(url=url, connections=n) for n, url in enumerate(named, 1))
        found = locations_of(places_of(SourcesRoute(path="/f", sources=sources)), b"", b"")
        self.assertEqual([str(copy.url) for copy in found], list(texts))
        self.assertEqual(
            [location.source.name for location in found],
            ["http://a.example/f (1)", "http://a.example/f (2)", "http://b.example/f"],
        )
        self.assertEqual([copy.source.connections for copy in found], [1, 2, 3])


class DefaultTests(SynchronousTestCase):
    def test_options_that_name_nothing_are_those_of_a_route_that_names_nothing(self) -> None:
        route = SourcesRoute(path="/", sources=(SourceSettings(url=urls("http://a.example/")[0]),))
        self.assertEqual(options_of(route), TransferOptions())
