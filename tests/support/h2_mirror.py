"""An `Origin` that speaks HTTP/2 by prior knowledge: the same answers and faults, as frames.

Bodies keep to the windows and to the origin's rate. What an answer does to its connection it does
to its stream: a close ends it, whatever is still owed; a reset breaks off the whole connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from twisted.internet.task import deferLater

from aprp.core.rate_limit import RateLimit
from tests.support.h2_frames import data
from tests.support.h2_origin import Asked, H2Origin, head_frames
from tests.support.origin import BURST, Origin
from tests.support.replies import Close, Reply, Reset, Section, Stall, Step, Wait, pieces


@dataclass(frozen=True, slots=True)
class Frames:
    """The last step of an answer: `of` gives what is sent for a stream, as it stands."""

    of: Callable[[int], Iterable[Step]]


class H2Mirror(Origin):
    """`Origin`, but for what is sent. `each` is the rate of a connection, bytes a second."""

    each: float | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._frames = H2Origin(self._asked, self.host)
        self._under_way = 0
        self._limits: dict[int, RateLimit] = {}
        self._listening = False

    @property
    def open(self) -> int:
        return len(self._frames.open)

    @property
    def serving(self) -> int:
        return self._under_way

    async def start(self) -> None:
        self._frames.port = self.port
        await self._frames.start()
        self.port, self._listening = self._frames.port, True

    async def stop(self) -> None:
        if self._listening:
            self._listening = False
            await self._frames.stop()

    async def hang_up(self) -> None:
        for each in list(self._frames.open):
            each.transport.abortConnection()

    def _asked(self, asked: Asked) -> Iterable[Step]:
        self.requests.append(asked.received)
        self.connections = self._frames.connections
        asked.connection.later(self._answer(asked))
        return ()

    async def _answer(self, asked: Asked) -> None:
        self._under_way += 1
        try:
            if self.latency:
                await deferLater(self.reactor, self.latency)
            reply = self.answer(asked.received)
            await self._send(asked, _plain(reply))
        finally:
            self._under_way -= 1

    async def _send(self, asked: Asked, steps: Iterable[Step]) -> None:
        stream, connection = asked.stream, asked.connection
        headed = False
        for step in steps:
            if isinstance(step, Wait):
                await deferLater(self.reactor, step.seconds)
            elif isinstance(step, Stall):
                return
            elif isinstance(step, Reset):
                connection.transport.abortConnection()
                return
            elif isinstance(step, Close):
                break
            elif isinstance(step, Frames):
                for each in step.of(stream):
                    await self._raw(asked, each)
                return
            elif not headed and isinstance(step, bytes) and not step.startswith(b"HTTP/1."):
                connection.transport.write(step)
                return
            elif headed:
                await self._body(asked, step)
            else:
                assert isinstance(step, bytes)
                frames, body = head_frames(stream, step)
                connection.transport.write(frames)
                headed = True
                await self._body(asked, body)
        connection.transport.write(data(stream, end=True))

    async def _raw(self, asked: Asked, step: Step) -> None:
        transport = asked.connection.transport
        if isinstance(step, bytes):
            transport.write(step)
        elif isinstance(step, Wait):
            await deferLater(self.reactor, step.seconds)
        elif isinstance(step, Close):
            transport.loseConnection()
        elif isinstance(step, Reset):
            transport.abortConnection()

    async def _body(self, asked: Asked, step: bytes | Section) -> None:
        limit = self._limits.setdefault(asked.received.on, RateLimit(self.each, 0.0, burst=BURST))
        for piece in pieces(step, self.piece):
            await self.delay(len(piece))
            if seconds := limit.wait(len(piece), self.reactor.seconds()):
                await deferLater(self.reactor, seconds)
            content = piece if isinstance(piece, bytes) else piece.content[piece.start : piece.stop]
            self.bytes_sent += len(content)
            await asked.connection.body(asked.stream, content, last=False)


def _plain(reply: Reply | Iterable[Step]) -> Iterable[Step]:
    """Steps without the chunked coding, which HTTP/2 doesn't have."""
    if not isinstance(reply, Reply):
        return reply
    if reply.framing == "chunked":
        return (*reply.without_coding().steps(),)
    return reply.steps()
