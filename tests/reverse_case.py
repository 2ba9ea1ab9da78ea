"""The proxy in the test's own process, on real sockets, and a plain client for it."""

from __future__ import annotations

import http.client
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from aprp.config import Settings, UpstreamRoute, Url
from aprp.upstream.agent import Agent
from aprp.web.record import AccessRecord
from aprp.web.rules import Limits
from aprp.web.site import make_site
from tests.nginx import Nginx

reactor: Any = _reactor


class _Sent:
    """What came, as http.client wants it."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def makefile(self, *_: object) -> io.BytesIO:
        return self._file


@dataclass(frozen=True, slots=True)
class Got:
    """One answer. `whole` is whether the body ended as its framing says."""

    status: int
    fields: http.client.HTTPMessage
    body: bytes
    whole: bool = True


def read_answers(data: bytes, *methods: str) -> list[Got]:
    """The answers that came over one connection, to requests of these methods."""
    sent = _Sent(data)
    file = sent.makefile()
    file.close = lambda: None  # type: ignore[method-assign]
    answers = []
    for method in methods:
        response = http.client.HTTPResponse(sent, method=method)  # type: ignore[arg-type]
        response.begin()
        try:
            body, whole = response.read(), True
        except http.client.IncompleteRead as broken:
            body, whole = broken.partial, False
        answers.append(Got(response.status, response.msg, body, whole))
    return answers


class Client(Protocol):
    """A connection of a client: notes what comes, tells when enough came or it ended."""

    def __init__(self) -> None:
        self.data = b""
        self.received = 0
        self.keep = True
        self.ended: Deferred[None] = Deferred()
        self.clean = False
        self._waiting: tuple[Callable[[], bool], Deferred[None]] | None = None

    def dataReceived(self, data: bytes) -> None:
        self.received += len(data)
        if self.keep:
            self.data += data
        self._look()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.clean = reason.check(type(connectionDone.value)) is not None
        self.ended.callback(None)

    def send(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[union-attr]

    def until(self, enough: Callable[[], bool]) -> Deferred[None]:
        """Fires once `enough` holds after something came."""
        waiting: Deferred[None] = Deferred()
        self._waiting = (enough, waiting)
        self._look()
        return waiting

    def _look(self) -> None:
        if self._waiting is not None and self._waiting[0]():
            waiting, self._waiting = self._waiting[1], None
            waiting.callback(None)


class ProxiedCase(TestCase):
    """Starts what a test needs and ends it all."""

    timeout = 60

    def setUp(self) -> None:
        self.records: list[AccessRecord] = []

    def folder(self) -> Path:
        path = Path(self.mktemp()).absolute()
        path.mkdir(parents=True)
        return path

    def nginx(self, server: str = "", http: str = "", **files: bytes) -> Nginx:
        """An nginx that serves these files (`_` in a name stands for its dot)."""
        nginx = Nginx(self.folder(), server, http)
        self.addCleanup(nginx.stop)
        for name, content in files.items():
            (nginx.www / name.replace("_", ".")).write_bytes(content)
        return nginx

    def serve(self, factory: Any, context: Any = None) -> int:
        """Listens with the factory on loopback until the test ends; gives the port.

        With a `context` it speaks TLS.
        """
        made: list[Any] = []
        build = factory.buildProtocol

        def building(address: Any) -> Any:
            protocol = build(address)
            made.append(protocol)
            return protocol

        factory.buildProtocol = building
        if context is None:
            port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        else:
            port = reactor.listenSSL(0, factory, context, interface="127.0.0.1")

        async def end() -> None:
            await port.stopListening()
            for protocol in made:
                transport = getattr(protocol, "transport", None)
                if transport is not None and getattr(transport, "connected", False):
                    transport.abortConnection()
            await deferLater(reactor, 0.01)

        self.addCleanup(lambda: Deferred.fromCoroutine(end()))
        number: int = port.getHost().port
        return number

    def proxy(
        self,
        upstream: str,
        path: str = "/",
        limits: Limits | None = None,
        context: Any = None,
        **options: Any,
    ) -> int:
        """A proxy with one route; gives its port."""
        route = UpstreamRoute(path=path, upstream=Url.parse(upstream), **options)
        settings = Settings(listen=("tcp:0",), routes=(route,))
        self.agent = agent = Agent(reactor)
        self.addCleanup(agent.close)
        site = make_site(settings, agent, self.records.append, reactor, limits)
        return self.serve(site, context)

    async def moment(self, seconds: float = 0.05) -> None:
        await deferLater(reactor, seconds)

    async def eventually(self, holds: Callable[[], bool]) -> None:
        for _ in range(200):
            if holds():
                return
            await self.moment(0.02)
        self.fail("it didn't come to that")

    async def connect(self, port: int, tls: Any = None) -> Client:
        """A connection, over TLS where it is said how (ClientTLSOptions)."""
        endpoint: Any = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        if tls is not None:
            endpoint = wrapClientTLS(tls, endpoint)
        client = await connectProtocol(endpoint, Client())

        async def end() -> None:
            if client.transport is not None and not client.ended.called:
                client.transport.abortConnection()
                await client.ended
            await deferLater(reactor, 0)

        self.addCleanup(lambda: Deferred.fromCoroutine(end()))
        return client

    async def ask(
        self,
        port: int,
        path: str,
        fields: dict[str, str] | None = None,
        method: str = "GET",
        body: bytes = b"",
    ) -> Got:
        """One request on a connection of its own."""
        client = await self.connect(port)
        lines = {"Host": "proxy.example", "Connection": "close", **(fields or {})}
        if body:
            lines["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        client.send(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body)
        await client.ended
        return read_answers(client.data, method)[0]


def factory_of(protocol: Callable[[], Any]) -> Factory:
    factory = Factory.forProtocol(protocol)  # type: ignore[arg-type]
    factory.noisy = False
    return factory


def parts_of(got: Got) -> list[tuple[str, bytes]]:
    """Content-Range and bytes of each part of a multipart/byteranges answer."""
    kind, _, boundary = got.fields["Content-Type"].partition("; boundary=")
    assert kind == "multipart/byteranges", kind
    first, *pieces, last = got.body.split(b"--" + boundary.encode())
    assert (first, last) == (b"", b"--\r\n"), (first, last)
    parts = []
    for piece in pieces:
        head, _, content = piece.partition(b"\r\n\r\n")
        lines = dict(line.split(b": ", 1) for line in head.strip().split(b"\r\n"))
        parts.append((lines[b"Content-Range"].decode(), content[:-2]))
    return parts
