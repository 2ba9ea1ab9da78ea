"""A client of HTTP/2 that sends raw frames on a real socket, and keeps what comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hpack import Decoder
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from aprp.core.http2.frames import HEAD_SIZE, PREFACE, Data, GoAway, Kind, Other
from aprp.core.http2.reading import FrameReader
from aprp.core.http2.writing import window_update
from tests.support.h2_frames import END, SETTINGS_ACK, headers, ping, settings
from tests.support.patience import PATIENCE

reactor: Any = _reactor


@dataclass
class Response:
    """What came on one stream. `reset` is the error code of a RST_STREAM."""

    heads: list[dict[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> int:
        return int(self.heads[-1][b":status"])

    @property
    def over(self) -> bool:
        return self.ended or self.reset is not None


class H2Client(Protocol):
    """`opens` says whether windows are opened again as bytes come."""

    transport: Any

    def __init__(self, begin: bytes = PREFACE + settings(), opens: bool = True) -> None:
        self._begin = begin
        self.opens = opens
        self.acknowledges = True
        self.streams: dict[int, Response] = {}
        self.frames: list[Other] = []
        self.away: list[GoAway] = []
        self.closed = False
        self._decoder = Decoder()
        self._frames = FrameReader(1 << 24)
        self._waiting: list[tuple[Callable[[], object], Deferred[None]]] = []

    def connectionMade(self) -> None:
        self.transport.write(self._begin)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.closed = True
        self._look()

    def dataReceived(self, data: bytes) -> None:
        for each in self._frames.feed(data):
            if isinstance(each, Data):
                response = self.on(each.stream)
                response.body += each.data
                response.ended = response.ended or each.last
                if self.opens and each.cost:
                    self.send(window_update(0, each.cost) + window_update(each.stream, each.cost))
            elif isinstance(each, GoAway):
                self.away.append(each)
            elif isinstance(each, Other):
                self.frames.append(each)
                self._other(each, each.raw[4] if each.raw else 0, each.raw[HEAD_SIZE:])
        self._look()

    def _other(self, each: Other, flags: int, payload: bytes) -> None:
        if each.kind == Kind.HEADERS:
            response = self.on(each.stream)
            response.heads.append(dict(self._decoder.decode(payload, raw=True)))
            response.ended = response.ended or bool(flags & END)
        elif each.kind == Kind.RST_STREAM:
            self.on(each.stream).reset = int.from_bytes(payload, "big")
        elif each.kind == Kind.SETTINGS and not flags:
            self.send(SETTINGS_ACK)
        elif each.kind == Kind.PING and not flags and self.acknowledges:
            self.send(ping(payload, ack=True))

    def on(self, stream: int) -> Response:
        """What came on that stream."""
        return self.streams.setdefault(stream, Response())

    def send(self, data: bytes) -> None:
        if not self.closed:
            self.transport.write(data)

    def get(self, stream: int, path: bytes, *fields: tuple[bytes, bytes]) -> None:
        """Ask."""
        self.send(headers(stream, asking(path, *fields), end=True))

    def kinds(self, kind: int) -> list[bytes]:
        """The payloads of all frames of that kind."""
        return [each.raw[HEAD_SIZE:] for each in self.frames if each.kind == kind]

    async def until(self, condition: Callable[[], object], seconds: float = PATIENCE) -> None:
        """Wait until that is true."""
        if not condition():
            waiting: Deferred[None] = Deferred()
            waiting.addTimeout(seconds, reactor)
            self._waiting.append((condition, waiting))
            await waiting

    async def response(self, stream: int) -> Response:
        """Wait for the end of a stream, or of the connection."""
        await self.until(lambda: self.on(stream).over or self.closed)
        return self.on(stream)

    async def gone(self) -> None:
        """Wait for the end of the connection."""
        await self.until(lambda: self.closed)

    def _look(self) -> None:
        for each in list(self._waiting):
            condition, waiting = each
            if condition():
                self._waiting.remove(each)
                waiting.callback(None)

    async def end(self) -> None:
        """Close."""
        if not self.closed:
            self.transport.abortConnection()
            await self.until(lambda: self.closed)


def asking(
    path: bytes, *fields: tuple[bytes, bytes], method: bytes = b"GET"
) -> tuple[tuple[bytes, bytes], ...]:
    """The fields of a request."""
    return (
        (b":method", method),
        (b":scheme", b"http"),
        (b":authority", b"proxy.example"),
        (b":path", path),
        *fields,
    )


async def connect(port: int, **options: Any) -> H2Client:
    """A client of that port."""
    client = H2Client(**options)
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
    await connectProtocol(endpoint, client)
    await deferLater(reactor, 0)
    return client
