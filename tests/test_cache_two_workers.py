"""Two workers that share a cache on disk: what they ask the origin together, by its own count.

Both run in this process, on real sockets, each with its own cache and its own port.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from aprp.cache.cache import Cache
from aprp.cache.store.disk_store import DiskStore
from aprp.config import RouteCacheSettings, Settings, UpstreamRoute, Url
from aprp.core.choices import Duplicate
from aprp.daemon.workers.common import Common
from aprp.daemon.workers.fetches import BEAT, SharedFetches
from aprp.upstream.http.agent import Agent
from aprp.web.site import make_site
from tests.support.client import reactor
from tests.support.mirrored_case import BYTES, FILM, SIZE, MirroredCase
from tests.support.origin import Origin
from tests.support.replies import File, Received, Reply
from tests.support.responses import Response

ETAG = b'"v1"'
HOUR = (b"Cache-Control", b"max-age=3600")
OLD = (b"Age", b"3600")
WHILE = (b"Cache-Control", b"max-age=3600, stale-while-revalidate=9999")
LAST = {"Range": f"bytes={SIZE - 100}-{SIZE - 1}"}


def film(received: Received) -> Reply:
    """Serve a film that is fresh for an hour."""
    return File(FILM, ETAG, date=None).reply(received).having(HOUR)


class AgingOrigin:
    """Serves the film, which is stale when it is sent, and fresh once it is revalidated."""

    def __init__(self, *said: tuple[bytes, bytes]) -> None:
        self._said = said

    def __call__(self, received: Received) -> Reply:
        reply = film(received).having(*self._said)
        if received.number == 1:
            return reply.having(OLD)
        if received.get(b"if-none-match") == ETAG:
            return replace(Reply(304, reply.fields), framing="none")
        return reply


class TwoWorkersCase(MirroredCase):
    async def setUp(self) -> None:  # type: ignore[override]
        super().setUp()
        parent = Common.create(2)
        descriptors = list(parent.descriptors.values())
        boxes = list(zip(descriptors[3::2], descriptors[4::2], strict=True))
        for each in descriptors:
            self.addCleanup(os.close, each)
        self.addCleanup(reactor.removeAll)
        self.addCleanup(self.quiet)
        self.caches = []
        path = str(Path(self.mktemp()).absolute())
        for number in (0, 1):
            store = DiskStore(
                path, 1 << 28, reactor, process=number, keeper=not number, shared=True
            )
            await store.opened
            common = Common(descriptors[0], descriptors[1:3], number, boxes)
            cache = Cache(store, reactor, SharedFetches(common, reactor))
            self.addCleanup(cache.close)
            self.caches.append(cache)

    def quiet(self) -> Deferred[None]:
        """Wait until nothing is lent any more."""
        return deferLater(reactor, 2 * BEAT)

    def over_mirrors(self, origins: list[Origin]) -> list[int]:
        """Return the ports of both workers, with a `sources:` route."""
        ports = []
        for cache in self.caches:
            self.cache = cache
            settings = RouteCacheSettings()
            ports.append(self.in_front_of(origins, cache=settings, duplicate=Duplicate.OFF))
        return ports

    def over_upstream(self, origins: list[Origin]) -> list[int]:
        """Return the ports of both workers, with an `upstream:` route."""
        route = UpstreamRoute(
            path="/", upstream=Url.parse(origins[0].url + "/"), cache=RouteCacheSettings()
        )
        ports = []
        for cache in self.caches:
            agent = Agent(reactor)
            self.addCleanup(agent.close)
            settings = Settings(listen=("tcp:0",), routes=(route,))
            site = make_site(settings, agent, self.records.append, reactor, cache=cache)
            ports.append(self.listen(site))
        return ports

    async def of_both_kinds(
        self, answer: Callable[[], Any], rate: float | None = None
    ) -> list[tuple[Origin, list[int]]]:
        """Return an origin and the ports of the workers, for each kind of route."""
        kinds = []
        for over in (self.over_upstream, self.over_mirrors):
            origins = await self.mirrors(answer(), rates=(rate,))
            kinds.append((origins[0], over(origins)))
        return kinds

    async def all_ask(self, ports: list[int], fields: dict[str, str]) -> list[Response]:
        """Have five clients of each worker ask at the same time."""
        asking = [Deferred.fromCoroutine(self.ask(each, "/f", fields)) for each in 5 * ports]
        return list(await gatherResults(asking))

    def saw_two(self, origin: Origin) -> bool:
        return len(origin.requests) > 1


class TwoWorkersTests(TwoWorkersCase):
    async def test_ten_viewers_cost_one_film(self) -> None:
        for origin, ports in await self.of_both_kinds(lambda: film, 10e6):
            for got in await self.all_ask(ports, {}):
                self.assertEqual((got.status, got.body == BYTES), (200, True))
            self.assertLess(origin.bytes_sent, SIZE + 200_000)

    async def test_ten_who_seek_to_the_same_place_cost_one_request(self) -> None:
        for origin, ports in await self.of_both_kinds(lambda: film):
            for port in ports:
                await self.ask(port, "/f", {"Range": "bytes=0-9"})
            before = len(origin.requests)
            for got in await self.all_ask(ports, LAST):
                self.assertEqual((got.status, got.body == BYTES[-100:]), (206, True))
            self.assertEqual(len(origin.requests) - before, 1)

    async def test_ten_viewers_of_a_stale_film_cost_one_revalidation(self) -> None:
        for origin, ports in await self.of_both_kinds(lambda: AgingOrigin(HOUR)):
            first = await self.ask(ports[0], "/f", LAST)
            self.assertEqual((first.status, first.fields["Age"]), (206, "3600"))
            for got in await self.all_ask(ports, LAST):
                self.assertEqual((got.status, got.body == BYTES[-100:]), (206, True))
            self.assertEqual(len(origin.requests), 2)

    async def test_what_one_has_revalidated_the_other_learns(self) -> None:
        for origin, ports in await self.of_both_kinds(lambda: AgingOrigin(HOUR)):
            await self.ask(ports[0], "/f", LAST)
            for port in (ports[1], ports[0], ports[1], ports[0]):
                await self.ask(port, "/f", LAST)
            self.assertEqual(len(origin.requests), 2)

    async def test_ten_viewers_cost_one_revalidation_in_the_background(self) -> None:
        for origin, ports in await self.of_both_kinds(lambda: AgingOrigin(WHILE)):
            for port in ports:
                await self.ask(port, "/f", {**LAST, "Cache-Control": "max-stale=9999"})
            await self.all_ask(ports, LAST)
            await self.soon(partial(self.saw_two, origin))
            for got in chain(await self.all_ask(ports, LAST), await self.all_ask(ports, LAST)):
                self.assertEqual((got.status, got.body == BYTES[-100:]), (206, True))
            self.assertEqual(len(origin.requests), 2)
