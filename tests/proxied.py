"""A proxy of the test's own process in front of an origin, and clients that speak raw bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from aprp.config import Settings, UpstreamRoute
from aprp.core.url import Url
from aprp.upstream.agent import Agent
from aprp.web.record import AccessRecord
from aprp.web.rules import Limits
from aprp.web.site import make_site
from tests.answers import Seen, parse_answers
from tests.origin import Answer, Origin
from tests.replies import Reply

reactor: Any = _reactor
PATIENCE = 10.0
"""Seconds; far more than anything here takes."""


class Client(Protocol):
    """A client on a real socket. `closed` says how it ended, if it did."""

    transport: Any

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.closed: str | None = None
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []

    @property
    def data(self) -> bytes:
        """What came so far."""
        if len(self._pieces) > 1:
            self._pieces = [b"".join(self._pieces)]
        return self._pieces[0] if self._pieces else b""

    def forget(self) -> None:
        """Begin anew with what comes."""
        self._pieces = []

    def dataReceived(self, data: bytes) -> None:
        self._pieces.append(data)
        self._look()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.closed = "fin" if reason.check(connectionDone.type) else "reset"
        self._look()

    def _look(self) -> None:
        for each in list(self._waiting):
            condition, waiting = each
            if condition():
                self._waiting.remove(each)
                waiting.callback(None)

    async def until(self, condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Wait for that to be true of what came."""
        if not condition():
            waiting: Deferred[None] = Deferred()
            self._waiting.append((condition, waiting))
            waiting.addTimeout(seconds, reactor)
            await waiting

    @property
    def unsent(self) -> int:
        """Bytes written that the kernel hasn't taken."""
        transport = self.transport
        return len(transport.dataBuffer) - transport.offset + transport._tempDataLen

    async def send(self, data: bytes, piece: int | None = None) -> None:
        """Write it, `piece` bytes in a segment."""
        for at in range(0, len(data), piece or max(1, len(data))):
            self.transport.write(data[at : at + (piece or len(data))])
            if piece:
                await deferLater(reactor, 0)

    async def ended(self) -> None:
        """Wait for the close, which has to come soon."""
        try:
            await self.until(lambda: self.closed is not None, 2.0)
        except TimeoutError:
            raise AssertionError(f"still open, having sent {self.data[:300]!r}") from None

    async def answers(self, methods: Sequence[bytes]) -> list[Seen]:
        """Those to requests of these methods, once all are there or the connection has ended."""

        def ready() -> bool:
            if self.closed:
                return True
            seen = parse_answers(self.data, methods, None)
            return sum(each.final for each in seen) == len(methods) and seen[-1].whole

        await self.until(ready)
        return parse_answers(self.data, methods, self.closed)


async def connect(port: int) -> Client:
    """A client of the proxy at that port."""
    factory = Factory.forProtocol(Client)
    factory.noisy = False
    client = await TCP4ClientEndpoint(reactor, "127.0.0.1", port).connect(factory)
    assert isinstance(client, Client)
    return client


class Proxy:
    """A proxy for the path `base` of an origin, at `path` of `port`; `route` are its settings."""

    def __init__(
        self,
        origin: Origin,
        observe: Callable[[AccessRecord], None],
        limits: Limits | None = None,
        path: str = "/",
        base: str = "",
        **route: Any,
    ) -> None:
        upstream = UpstreamRoute(path=path, upstream=Url.parse(origin.url + base), **route)
        settings = Settings(listen=("tcp:0",), routes=(upstream,))
        self.agent = Agent(reactor)
        site = make_site(settings, self.agent, observe, reactor, limits)
        self._port = reactor.listenTCP(0, site, interface="127.0.0.1")
        self.port = int(self._port.getHost().port)

    async def stop(self) -> None:
        await self._port.stopListening()
        await self.agent.close()


class ProxyCase(TestCase):
    """Gives each test origins, proxies and clients, and ends them with it."""

    async def serve(
        self, answer: Answer, limits: Limits | None = None, path: str = "/", **route: Any
    ) -> tuple[Origin, int]:
        """An origin with that behaviour, and the port of a proxy in front of it."""
        origin = await self.origin(answer)
        return origin, await self.proxy(origin, limits, path, **route)

    async def origin(self, answer: Answer) -> Origin:
        origin = Origin(answer)
        await origin.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(origin.stop()))
        return origin

    async def proxy(
        self,
        origin: Origin,
        limits: Limits | None = None,
        path: str = "/",
        base: str = "",
        **route: Any,
    ) -> int:
        """The port of a proxy for the origin (at the path `base` of it)."""
        self.records: list[AccessRecord] = []
        proxy = Proxy(origin, self.records.append, limits, path, base, **route)
        self.agent = proxy.agent
        self.addCleanup(lambda: Deferred.fromCoroutine(proxy.stop()))
        return proxy.port

    async def client(self, port: int) -> Client:
        client = await connect(port)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.end(client)))
        return client

    async def wait(self, seconds: float) -> None:
        await deferLater(reactor, seconds)

    def seconds(self) -> float:
        return float(reactor.seconds())

    async def soon(self, condition: Callable[[], bool]) -> None:
        """Wait for that to become true, which needs no more than what is under way."""
        deadline = self.seconds() + PATIENCE
        while not condition():
            assert self.seconds() < deadline, "it doesn't come"
            await deferLater(reactor, 0.002)

    async def end(self, client: Client) -> None:
        if client.closed is None:
            client.transport.abortConnection()
            await client.until(lambda: client.closed is not None)

    async def ask(self, port: int, request: bytes, piece: int | None = None) -> Seen:
        """The final answer to one request on a connection of its own."""
        client = await self.client(port)
        await client.send(request, piece)
        answers = await client.answers([request.split(b" ", 1)[0]])
        await self.end(client)
        assert answers, client.data
        return answers[-1]


HELLO = Reply(200, ((b"X-Kept", b"yes"),), (b"hello",))


def fixed(reply: Reply) -> Answer:
    """Always that answer."""
    return lambda _: reply


def get(path: bytes = b"/file", *fields: bytes, method: bytes = b"GET") -> bytes:
    """A request of HTTP/1.1 with these further field lines."""
    lines = [method + b" " + path + b" HTTP/1.1", b"Host: films.example", *fields, b"", b""]
    return b"\r\n".join(lines)


def post(*lines: bytes, body: bytes = b"", method: bytes = b"POST") -> bytes:
    """A request of HTTP/1.1 with these further field lines, and a body as it stands."""
    return b"\r\n".join([method + b" /f HTTP/1.1", b"Host: films.example", *lines, b"", body])
