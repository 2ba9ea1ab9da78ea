"""Mirrors that misbehave to order, and the multi-source proxy in front of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor

from aprp.config import Http2, Settings, SourceSettings, SourcesRoute, Url
from aprp.upstream.http.agent import Agent
from aprp.web.site import make_site
from tests.support.h2_mirror import H2Mirror
from tests.support.origin import Origin, Responder
from tests.support.proxied_case import ProxyCase
from tests.support.replies import File, Pattern, Received, Reply

reactor: Any = _reactor
SIZE = 3 * 1024 * 1024 + 12345
FILM = Pattern(SIZE)
BYTES = FILM[0:SIZE]
HONEST = File(FILM)


def honest(received: Received) -> Reply:
    """What a mirror without faults answers."""
    return HONEST.reply(received)


class MirroredCase(ProxyCase):
    """Each test has its own mirrors, on 127.0.0.1, 127.0.0.2 and so on.

    They speak HTTP/1.1, or HTTP/2 in a subclass whose `origin_kind` is `H2Mirror`.
    """

    origin_kind: type[Origin] = Origin
    cache: Any = None
    """The cache of the proxies that are started."""

    async def mirrors(
        self, *answers: Responder, rates: Iterable[float | None] = (), latency: float = 0.0
    ) -> list[Origin]:
        paces = [*rates, *[None] * len(answers)]
        origins = []
        for number, answer in enumerate(answers):
            origin = self.origin_kind(answer, f"127.0.0.{number + 1}", paces[number], latency)
            await origin.start()
            self.addCleanup(origin.stop)
            origins.append(origin)
        return origins

    def in_front_of(
        self,
        origins: Iterable[Origin | str | Path],
        path: str = "/",
        memory: int = 512 * 1024 * 1024,
        base: str = "/",
        connections: int = 4,
        **options: Any,
    ) -> int:
        """A proxy with one route over these mirrors (or URLs, or directories); gives its port."""
        sources = []
        for each in origins:
            if isinstance(each, Path):
                sources.append(SourceSettings(path=each, connections=connections))
            else:
                url = Url.parse(each if isinstance(each, str) else each.url + base)
                sources.append(SourceSettings(url=url, connections=connections))
        if self.origin_kind is H2Mirror:
            options.setdefault("http2", Http2.PRIOR_KNOWLEDGE)
        route = SourcesRoute(path=path, sources=tuple(sources), **options)
        settings = Settings(listen=("tcp:0",), routes=(route,), memory=memory)
        self.agent = agent = Agent(reactor)
        agent.pipes.enabled = self.spliced
        self.addCleanup(agent.close)
        observe = self.records.append
        self.site = make_site(settings, agent, observe, reactor, cache=self.cache)
        return self.listen(self.site)
