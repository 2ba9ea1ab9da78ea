"""An upstream of HTTP/2 that does to order whatever one can do, by prior knowledge or over TLS.

`answer` gets each request, with its stream, and gives steps: frames as bytes, `Wait`, `Close`,
`Reset`, `Stall`. `from_wire` makes steps of a response of HTTP/1.1, so that its tables serve here.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from hpack import Decoder
from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from aprp.core.http2.frames import HEAD_SIZE, Code, Data, Kind, Other
from aprp.core.http2.reading import FrameReader
from aprp.core.http2.writing import reset, window_update
from tests.support.h2_frames import END, SETTINGS_ACK, data, headers, ping, settings
from tests.support.replies import Close, Received, Reset, Section, Stall, Step, Wait

reactor: Any = _reactor


@dataclass(eq=False)
class Asked:
    """A request on a stream, and the connection that it came on."""

    stream: int
    received: Received
    connection: Served


Answer = Callable[[Asked], Iterable[Step]]


@dataclass(eq=False)
class H2Origin:
    """`begin` is what each connection begins with, `acknowledges` whether PINGs are answered,
    `opens` whether windows are opened again as requests' bodies come. With `hears`, requests are
    answered at their heads; it gets each piece of a body, and whether that is the last."""

    answer: Answer
    host: str = "127.0.0.1"
    begin: bytes = settings()
    acknowledges: bool = True
    opens: bool = True
    hears: Callable[[Served, int, bytes, bool], None] | None = None
    context: Any = None
    port: int = 0
    requests: list[Received] = field(default_factory=list)
    resets: list[tuple[int, int]] = field(default_factory=list)
    connections: int = 0
    open: set[Served] = field(default_factory=set)

    async def start(self) -> None:
        factory = Factory.forProtocol(lambda: Served(self))
        factory.noisy = False
        if self.context is None:
            self._port = reactor.listenTCP(self.port, factory, interface=self.host)
        else:
            self._port = reactor.listenSSL(self.port, factory, self.context, interface=self.host)
        self.port = int(self._port.getHost().port)

    @property
    def url(self) -> str:
        scheme = "http" if self.context is None else "https"
        return f"{scheme}://{self.host}:{self.port}"

    async def stop(self) -> None:
        await self._port.stopListening()
        for each in list(self.open):
            each.transport.abortConnection()
        while self.open:
            await deferLater(reactor, 0.005)


class Served(Protocol):
    """One connection. `windows` has what the other side allows, by stream; 0 is the connection."""

    transport: Any

    def __init__(self, origin: H2Origin) -> None:
        self._origin = origin
        self._frames = FrameReader(1 << 24, preface=True)
        self._decoder = Decoder()
        self._work: set[Deferred[None]] = set()
        self._asked: dict[int, list[Any]] = {}
        self.windows: dict[int, int] = {0: 65535}
        self._waiting: list[Deferred[None]] = []

    def connectionMade(self) -> None:
        self._origin.connections += 1
        self._number = self._origin.connections
        self._origin.open.add(self)
        self.transport.setTcpNoDelay(True)
        self.transport.write(self._origin.begin)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._origin.open.discard(self)
        for work in list(self._work):
            work.cancel()

    def dataReceived(self, data: bytes) -> None:
        for each in self._frames.feed(data):
            if isinstance(each, Data):
                if self._origin.hears is not None:
                    self._origin.hears(self, each.stream, each.data, each.last)
                self._asked[each.stream][1] += each.data
                if self._origin.opens and each.cost:
                    opened = window_update(0, each.cost) + window_update(each.stream, each.cost)
                    self.transport.write(opened)
                if each.last and self._origin.hears is None:
                    self._serve(each.stream)
            elif isinstance(each, Other):
                self._other(each)

    def _other(self, each: Other) -> None:
        flags, payload = each.raw[4], each.raw[HEAD_SIZE:]
        if each.kind == Kind.HEADERS:
            pairs = tuple(
                (bytes(name), bytes(value))
                for name, value in self._decoder.decode(payload, raw=True)
            )
            self._asked[each.stream] = [pairs, b""]
            self.windows.setdefault(each.stream, 65535)
            if flags & END or self._origin.hears is not None:
                self._serve(each.stream)
        elif each.kind == Kind.SETTINGS and not flags:
            self.transport.write(SETTINGS_ACK)
        elif each.kind == Kind.PING and not flags and self._origin.acknowledges:
            self.transport.write(ping(payload, ack=True))
        elif each.kind == Kind.RST_STREAM:
            self._origin.resets.append((each.stream, int.from_bytes(payload, "big")))
        elif each.kind == Kind.WINDOW_UPDATE:
            before = self.windows.get(each.stream, 65535)
            self.windows[each.stream] = before + int.from_bytes(payload, "big")
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                waiter.callback(None)

    def _serve(self, stream: int) -> None:
        pairs, body = self._asked[stream]
        pseudo = {name: value for name, value in pairs if name[:1] == b":"}
        fields = tuple(pair for pair in pairs if pair[0][:1] != b":")
        origin = self._origin
        received = Received(
            pseudo[b":method"],
            pseudo[b":path"],
            b"HTTP/2",
            ((b"host", pseudo[b":authority"]), *fields),
            body,
            b"",
            len(origin.requests) + 1,
            self._number,
        )
        origin.requests.append(received)
        self.later(self._send(origin.answer(Asked(stream, received, self))))

    def later(self, coroutine: Coroutine[Deferred[None], None, None]) -> None:
        """Run it until the connection ends."""
        work = Deferred.fromCoroutine(coroutine)
        self._work.add(work)
        work.addErrback(lambda failure: failure.trap(CancelledError))
        work.addBoth(lambda _: self._work.discard(work))

    async def _send(self, steps: Iterable[Step]) -> None:
        for step in steps:
            if isinstance(step, bytes):
                self.transport.write(step)
            elif isinstance(step, Wait):
                await deferLater(reactor, step.seconds)
            elif isinstance(step, Close):
                self.transport.loseConnection()
            elif isinstance(step, Reset):
                self.transport.abortConnection()
            elif isinstance(step, Stall):
                return

    async def body(
        self, stream: int, content: bytes, piece: int = 16384, last: bool = True
    ) -> None:
        """Send a body, or a part of one, as the windows allow."""
        at = 0
        while at < len(content):
            room = min(self.windows[0], self.windows[stream], piece, len(content) - at)
            if room <= 0:
                waiting: Deferred[None] = Deferred()
                self._waiting.append(waiting)
                await waiting
                continue
            self.windows[0] -= room
            self.windows[stream] -= room
            at += room
            self.transport.write(
                data(stream, content[at - room : at], end=last and at == len(content))
            )


def respond(
    stream: int, status: int, fields: Iterable[tuple[bytes, bytes]], body: bytes = b""
) -> bytes:
    """A whole response."""
    head = headers(stream, ((b":status", b"%d" % status), *fields), end=not body)
    return head + (data(stream, body, end=True) if body else b"")


def from_wire(steps: Iterable[Step], stream: int) -> Iterator[Step]:
    """A response of HTTP/1.1, which isn't chunked, as frames: its close ends the stream, its reset
    resets it. What belongs to connections is left out."""
    wire, headed = b"", False
    for step in steps:
        if isinstance(step, Section):
            step = step.content[step.start : step.stop]
        if isinstance(step, bytes):
            wire += step
            if not headed and b"\r\n\r\n" in wire:
                frames, wire = head_frames(stream, wire)
                headed = True
                yield frames
            if headed and wire:
                yield data(stream, wire)
                wire = b""
        elif isinstance(step, Reset):
            yield reset(stream, Code.INTERNAL_ERROR)
            return
        elif isinstance(step, Wait | Stall):
            yield step
    yield data(stream, end=True)


def head_frames(stream: int, wire: bytes) -> tuple[bytes, bytes]:
    """The heads at the beginning of a response of HTTP/1.1, interim ones included, as frames; and
    what follows them."""
    frames = b""
    while b"\r\n\r\n" in wire:
        head, wire = wire.split(b"\r\n\r\n", 1)
        status, pairs = _fields(head)
        frames += headers(stream, ((b":status", status), *pairs))
        if status[:1] != b"1" or not wire.startswith(b"HTTP/1.1 "):
            break
    return frames, wire


def _fields(head: bytes) -> tuple[bytes, Iterable[tuple[bytes, bytes]]]:
    line, *lines = head.split(b"\r\n")
    pairs = []
    for each in lines:
        name, _, value = each.partition(b":")
        if name.lower() not in (b"connection", b"transfer-encoding"):
            pairs.append((name.lower(), value.strip(b" \t")))
    return line.split(b" ")[1], pairs
