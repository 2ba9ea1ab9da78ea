"""A client that speaks raw bytes on a real socket, and requests for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from tests.support.patience import PATIENCE
from tests.support.responses import Response, read_responses

reactor: Any = _reactor
SOON = 20.0
"""Seconds; more than anything takes that happens at once, and less than a silent client has."""


class Client(Protocol):
    """A client on a real socket. `closed` says how it ended, if it did; `received` counts bytes.

    Without `keep` they are counted only.
    """

    transport: Any

    def __init__(self) -> None:
        self.received = 0
        self.keep = True
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
        self.received += len(data)
        if self.keep:
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

    async def until_received(self, count: int) -> None:
        """Wait until so many bytes have come, heads included, or the connection has ended."""
        await self.until(lambda: self.received >= count or self.closed is not None)

    async def until_last(self, data: bytes) -> None:
        """Wait until that is the last that came."""
        await self.until(lambda: self.data.endswith(data))

    @property
    def unsent(self) -> int:
        """Bytes written that the kernel hasn't taken."""
        transport = self.transport
        return int(len(transport.dataBuffer) - transport.offset + transport._tempDataLen)

    async def send(self, data: bytes, piece: int | None = None) -> None:
        """Write it, `piece` bytes in a segment."""
        for at in range(0, len(data), piece or max(1, len(data))):
            self.transport.write(data[at : at + (piece or len(data))])
            if piece:
                await deferLater(reactor, 0)

    async def ended(self, seconds: float = SOON) -> None:
        """Wait for the close, which has to come soon."""
        try:
            await self.until(lambda: self.closed is not None, seconds)
        except TimeoutError:
            raise AssertionError(f"still open, having sent {self.data[:300]!r}") from None

    def received_answers(self, *methods: bytes) -> list[Response]:
        """The final answers that have come, to requests of these methods."""
        found = read_responses(self.data, methods, self.closed)
        return [each for each in found if each.final]

    async def answers(self, methods: Sequence[bytes]) -> list[Response]:
        """Those to requests of these methods, once all are there or the connection has ended."""

        def ready() -> bool:
            if self.closed:
                return True
            seen = read_responses(self.data, methods, None)
            return sum(each.final for each in seen) == len(methods) and seen[-1].whole

        await self.until(ready)
        return read_responses(self.data, methods, self.closed)


async def connect(port: int, tls: Any = None) -> Client:
    """A client of the proxy at that port, over TLS where it is said how (ClientTLSOptions)."""
    endpoint: Any = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
    if tls is not None:
        endpoint = wrapClientTLS(tls, endpoint)
    client: Client = await connectProtocol(endpoint, Client())
    return client


def get(path: bytes = b"/file", *fields: bytes, method: bytes = b"GET") -> bytes:
    """A request of HTTP/1.1 with these further field lines."""
    lines = [method + b" " + path + b" HTTP/1.1", b"Host: films.example", *fields, b"", b""]
    return b"\r\n".join(lines)


def post(*lines: bytes, body: bytes = b"", method: bytes = b"POST") -> bytes:
    """A request of HTTP/1.1 with these further field lines, and a body as it stands."""
    return b"\r\n".join([method + b" /f HTTP/1.1", b"Host: films.example", *lines, b"", body])
