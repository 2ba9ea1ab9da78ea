"""The proxy in the test's own process, on real sockets, between upstreams and clients."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from aprp.config import Settings, UpstreamRoute
from aprp.core.http.urls import Url
from aprp.upstream.http.agent import Agent
from aprp.web.access_record import AccessRecord
from aprp.web.request_rules import Limits
from aprp.web.site import make_site
from tests.support.client import Client, connect, reactor
from tests.support.eventually import eventually, turns
from tests.support.nginx import Nginx
from tests.support.origin import Origin, Responder
from tests.support.patience import HANG
from tests.support.replies import Reply, Step
from tests.support.responses import Response


class Listening:
    """A factory at a port of loopback; with a `context` it speaks TLS."""

    def __init__(self, factory: Any, context: Any = None) -> None:
        self.made: list[Any] = []
        """The protocols of the connections that were accepted."""
        build = factory.buildProtocol

        def building(address: Any) -> Any:
            protocol = build(address)
            self.made.append(protocol)
            return protocol

        factory.buildProtocol = building
        if context is None:
            self._port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        else:
            self._port = reactor.listenSSL(0, factory, context, interface="127.0.0.1")
        self.port = int(self._port.getHost().port)

    async def stop(self) -> None:
        """End it and its connections."""
        await self._port.stopListening()
        for protocol in self.made:
            transport = getattr(protocol, "transport", None)
            if transport is not None and getattr(transport, "connected", False):
                transport.abortConnection()
        await deferLater(reactor, 0.01)


class Proxy(Listening):
    """A proxy for an upstream's URL, at `path` of `port`; `route` are its settings."""

    def __init__(
        self,
        upstream: str,
        observe: Callable[[AccessRecord], None],
        limits: Limits | None = None,
        path: str = "/",
        context: Any = None,
        spliced: bool = True,
        stored: Any = None,
        **route: Any,
    ) -> None:
        one = UpstreamRoute(path=path, upstream=Url.parse(upstream), **route)
        settings = Settings(listen=("tcp:0",), routes=(one,))
        self.agent = Agent(reactor)
        self.agent.pipes.enabled = spliced
        self.site = make_site(settings, self.agent, observe, reactor, limits, cache=stored)
        super().__init__(self.site, context)

    async def stop(self) -> None:
        await super().stop()
        await self.agent.close()


class ProxyCase(TestCase):
    """Gives each test upstreams, proxies and clients, and ends them with it."""

    timeout = HANG
    spliced = True
    """Whether the kernel may move bytes in the proxies."""
    stored: Any = None
    """The cache of the proxies that are started."""

    def setUp(self) -> None:
        self.records: list[AccessRecord] = []

    def folder(self) -> Path:
        path = Path(self.mktemp()).absolute()
        path.mkdir(parents=True)
        return path

    # Upstreams and proxies

    def nginx(self, server: str = "", http: str = "", **files: bytes) -> Nginx:
        """An nginx that serves these files (`_` in a name stands for its dot)."""
        nginx = Nginx(self.folder(), server, http)
        self.addCleanup(nginx.stop)
        for name, content in files.items():
            (nginx.www / name.replace("_", ".")).write_bytes(content)
        return nginx

    async def origin(self, answer: Responder) -> Origin:
        """An upstream with that behaviour."""
        origin = Origin(answer)
        await origin.start()
        self.addCleanup(origin.stop)
        return origin

    def listen(self, factory: Any, context: Any = None) -> int:
        """The port of loopback at which the factory listens until the test ends."""
        return self._until_the_end(Listening(factory, context)).port

    def proxy(
        self,
        upstream: str,
        path: str = "/",
        limits: Limits | None = None,
        context: Any = None,
        **route: Any,
    ) -> int:
        """The port of a proxy with one route."""
        observe, stored = self.records.append, self.stored
        proxy = Proxy(upstream, observe, limits, path, context, self.spliced, stored, **route)
        self.agent, self.proxy_site = proxy.agent, proxy.site
        return self._until_the_end(proxy).port

    async def serve(
        self, answer: Responder, limits: Limits | None = None, path: str = "/", **route: Any
    ) -> tuple[Origin, int]:
        """An origin with that behaviour, and the port of a proxy in front; `records` are its."""
        origin = await self.origin(answer)
        self.records = []
        return origin, self.proxy(origin.url, path, limits, **route)

    def _until_the_end(self, listening: Listening) -> Listening:
        self.addCleanup(listening.stop)
        return listening

    # Clients

    async def client(self, port: int, tls: Any = None) -> Client:
        client = await connect(port, tls)
        self.addCleanup(self.end, client)
        return client

    async def end(self, client: Client) -> None:
        if client.closed is None:
            client.transport.abortConnection()
            await client.until(lambda: client.closed is not None)

    async def answer_to(self, port: int, request: bytes, piece: int | None = None) -> Response:
        """The final answer to one request as it stands, on a connection of its own."""
        client = await self.client(port)
        await client.send(request, piece)
        answers = await client.answers([request.split(b" ", 1)[0]])
        await self.end(client)
        assert answers, client.data
        return answers[-1]

    async def ask(
        self,
        port: int,
        path: str,
        fields: dict[str, str] | None = None,
        method: str = "GET",
        body: bytes = b"",
    ) -> Response:
        """What a plain client gets, on a connection of its own."""
        client = await self.client(port)
        lines = {"Host": "proxy.example", "Connection": "close", **(fields or {})}
        if body:
            lines["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        await client.send(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body)
        await client.ended(self.timeout)
        answers = client.received_answers(method.encode())
        assert answers, client.data
        return answers[0]

    async def recorded(self, count: int = 1) -> None:
        """Wait until so many requests have ended and been recorded."""
        await self.soon(lambda: len(self.records) >= count)

    # Time

    async def wait(self, seconds: float = 0.05) -> None:
        await turns(seconds)

    def seconds(self) -> float:
        return float(reactor.seconds())

    async def soon(self, condition: Callable[[], object]) -> None:
        """Wait for that to become true, which needs no more than what is under way."""
        await eventually(condition)


HELLO = Reply(200, ((b"X-Kept", b"yes"),), (b"hello",))


def fixed(reply: Reply | Iterable[Step]) -> Responder:
    """Always that answer."""
    return lambda _: reply


def factory_of(protocol: Callable[[], Any]) -> Factory:
    factory = Factory.forProtocol(protocol)
    factory.noisy = False
    return factory
