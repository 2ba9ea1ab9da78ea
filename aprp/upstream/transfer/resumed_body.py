"""A file's bytes from one upstream, in order, over as many exchanges as it takes.

A stream begins with an exchange that is already open and knows which bytes it carries. Where that
one ends early, breaks, or doesn't carry what is wanted next, the stream asks again by the rule of
`aprp.core.recovery.resumption`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.interfaces import IConsumer
from twisted.internet.task import deferLater
from zope.interface import implementer

from aprp.core.http.answer_plan import ResponseSummary
from aprp.core.http.forwarding import CONDITIONS
from aprp.core.http.heads import ResponseHead, declared_length
from aprp.core.http.ranges import FromTo, Range, parse_content_range
from aprp.core.http.validators import Validators
from aprp.core.recovery.resumption import Changed, FileVersion, Pauses, continuation
from aprp.upstream.errors import BodyBroken, SourceError, SourceLied
from aprp.upstream.exchange import Exchange, SourceRequest
from aprp.upstream.http.agent import Agent


def summary_of(head: ResponseHead) -> ResponseSummary:
    """A head, as far as it decides."""
    ranges = head.fields.all(b"content-range")
    return ResponseSummary(
        head.status,
        declared_length(head.fields),
        Validators.of(head.fields),
        parse_content_range(ranges[0]) if len(ranges) == 1 else None,
    )


def with_conditions(request: SourceRequest, *conditions: tuple[bytes, bytes]) -> SourceRequest:
    """The same request with these conditions (Range, If-Range) in place of its own."""
    return replace(request, fields=request.fields.without(CONDITIONS).adding(*conditions))


@implementer(IConsumer)
class Collector:
    """A consumer that keeps the first bytes it gets, `keep` of them, and drops the rest."""

    def __init__(self, keep: int = 0) -> None:
        self._keep = keep
        self.data = b""

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """It is never full."""

    def unregisterProducer(self) -> None:
        """It holds no producer."""

    def write(self, data: bytes) -> None:
        if len(self.data) < self._keep:
            self.data += data[: self._keep - len(self.data)]


class ResumedBody:
    """See the module. `carries` is what the open exchange holds of the file.

    `resumes` counts the times that a broken body was gone on with.
    """

    def __init__(
        self,
        agent: Agent,
        clock: Any,
        request: SourceRequest,
        exchange: Exchange,
        carries: Range,
        version: FileVersion | None,
        resume_for: float,
    ) -> None:
        self.resumes = 0
        self._broken = False
        self._agent = agent
        self._clock = clock
        self._request = request
        self._exchange: Exchange | None = exchange
        self._base = carries.start
        self._carries = carries
        self._version = version
        self._pauses = Pauses(resume_for)

    async def send(self, wanted: Range, sink: IConsumer) -> None:
        """Write the bytes of `wanted` into `sink`; raises SourceError when no more can come."""
        at = wanted.start
        self._pauses.progressed()
        while at < wanted.stop:
            try:
                await self._reach(Range(at, wanted.stop))
                await self._move(wanted.stop, sink)
            except SourceLied:
                raise
            except SourceError as error:
                at = self._note_progress(at)
                if at < wanted.stop:
                    await self._wait(error)
            else:
                at = self._note_progress(at)

    def abort(self) -> None:
        """Stop at once."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.abort()

    @property
    def _position(self) -> int:
        """The file offset of the next byte that the exchange will move."""
        return self._base + (0 if self._exchange is None else self._exchange.moved)

    def _note_progress(self, at: int) -> int:
        if self._position > at:
            self._pauses.progressed()
            return self._position
        return at

    async def _reach(self, missing: Range) -> None:
        """Have an exchange whose next byte is the first one missing."""
        if self._exchange is None or not (self._position <= missing.start < self._carries.stop):
            await self._ask(missing)
        skipped = missing.start - self._position
        if skipped and self._exchange is not None:
            await self._expect(skipped, Collector())

    async def _move(self, stop: int, sink: IConsumer) -> None:
        """Move what the exchange has of the bytes up to `stop`."""
        exchange = self._exchange
        assert exchange is not None
        until = min(stop, self._carries.stop)
        if exchange.length is None and until == self._carries.stop:
            await self._expect(until - self._position - 1, sink)
            last = Collector(keep=2)
            try:
                await self._expect(2, last, least=1)
            except SourceError:
                self._base = until - 1  # what the collector holds was not written
                raise
            if len(last.data) > 1:
                raise SourceLied(f"{self._request.origin} sent more bytes than it said")
            sink.write(last.data)
        else:
            await self._expect(until - self._position, sink)

    async def _expect(self, n: int, sink: IConsumer, least: int | None = None) -> None:
        """Move `n` bytes; BodyBroken, and the exchange forgotten, if the body has fewer.

        With `least`, so few are enough.
        """
        exchange = self._exchange
        assert exchange is not None
        try:
            moved = await exchange.pump(sink, n)
        except SourceError:
            self._forget()
            raise
        if moved < (n if least is None else least):
            self._forget()
            raise BodyBroken(f"{self._request.origin} ended its answer early")

    def _forget(self) -> None:
        self._base = self._position
        self._exchange = None

    async def _ask(self, missing: Range) -> None:
        self.abort()
        self._base = missing.start
        version = self._version
        strong = version.validators.strong() if version is not None else None
        if version is None or strong is None:
            raise SourceLied(f"{self._request.origin} gave no validator to go on with")
        spec = FromTo(missing.start, missing.stop)
        exchange = await self._agent.open(
            with_conditions(self._request, (b"Range", spec.header()), (b"If-Range", strong))
        )
        try:
            carries = continuation(version, missing, summary_of(exchange.head))
        except Changed as changed:
            exchange.abort()
            raise SourceLied(f"{self._request.origin}: {changed}") from None
        if carries is None:
            exchange.abort()
            raise BodyBroken(f"{self._request.origin} answered {exchange.head.status}")
        self._exchange, self._carries, self._base = exchange, carries, carries.start
        if self._broken:
            self.resumes += 1
            self._broken = False

    async def _wait(self, error: SourceError) -> None:
        """Pause before the next try, or raise `error` when there is to be none."""
        if self._version is None or not self._version.resumable:
            raise error
        pause = self._pauses.broke(self._clock.seconds())
        if pause is None:
            raise error
        self._broken = True
        if pause:
            await deferLater(self._clock, pause)
