"""A file's bytes from one place, in order, over as many exchanges as it takes.

A stream begins with an exchange that is already open and knows which bytes it carries. Where that
one ends early, breaks, or doesn't carry what is wanted next, the missing rest is requested by the
rule of `aprp.core.recovery.resumption`; without a `Resumption` the stream ends there.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IConsumer
from twisted.internet.task import deferLater

from aprp.core.http.answer_plan import ResponseSummary
from aprp.core.http.forwarding import CONDITIONS
from aprp.core.http.heads import ResponseHead, declared_length
from aprp.core.http.ranges import FromTo, Range, parse_content_range
from aprp.core.http.validators import Validators
from aprp.core.recovery.pauses import Pauses
from aprp.core.recovery.resumption import Changed, FileVersion, continuation
from aprp.core.recovery.versions import dated
from aprp.core.values import dataclass
from aprp.upstream.errors import BodyBroken, SourceError, SourceLied
from aprp.upstream.exchange import Exchange, SourceRequest
from aprp.upstream.http.agent import Agent
from aprp.upstream.transfer.collector import Collector
from aprp.upstream.wall_clock import time


def summary_of(head: ResponseHead, received: float) -> ResponseSummary:
    """Return a head as far as it decides; it came at that unix time, which dates it if need be."""
    fields = head.fields
    ranged = fields.only(b"content-range")
    return ResponseSummary(
        head.status,
        declared_length(fields),
        dated(Validators.of(fields), int(received)),
        None if ranged is None else parse_content_range(ranged),
    )


def with_conditions(request: SourceRequest, *conditions: tuple[bytes, bytes]) -> SourceRequest:
    """The same request with these conditions (Range, If-Range) in place of its own."""
    return request._replace(fields=request.fields.without(CONDITIONS).adding(*conditions))


@dataclass(frozen=True, slots=True)
class Resumption:
    """The request for the rest of a broken body: the `request` again, for `version` alone."""

    agent: Agent
    request: SourceRequest
    version: FileVersion
    resume_for: float

    async def open(self, missing: Range) -> Exchange:
        """Request the rest on condition of the version; raises SourceError."""
        strong = self.version.validators.strong()
        if strong is None:
            raise SourceLied(str(self.request.origin), "gave no validator to go on with")
        spec = FromTo(missing.start, missing.stop)
        conditions = ((b"Range", spec.header()), (b"If-Range", strong))
        return await self.agent.open(with_conditions(self.request, *conditions))


class ResumedBody:
    """The body of `exchange`, which holds the bytes `carries` of the file; `where` names its place.

    Without an exchange, the first bytes are requested like those that are missing later.
    `resumes` counts the times that a broken body was resumed.
    """

    def __init__(
        self,
        clock: Any,
        where: str,
        exchange: Exchange | None,
        carries: Range,
        resumption: Resumption | None = None,
    ) -> None:
        self.resumes = 0
        self._broken = False
        self._clock = clock
        self._where = where
        self._exchange = exchange
        self._base = carries.start
        self._carries = carries
        self._resumption = resumption
        self._pauses = Pauses(0.0 if resumption is None else resumption.resume_for)

    async def send(self, wanted: Range, sink: IConsumer) -> None:
        """Write the bytes of `wanted` to `sink`. Raise SourceError if they can't be completed."""
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

    def leads_to(self, wanted: Range) -> bool:
        """Whether the open exchange still has all of those bytes."""
        return (
            self._exchange is not None
            and self.position <= wanted.start
            and wanted.stop <= self._carries.stop
        )

    @property
    def position(self) -> int:
        """The file offset of the next byte that the exchange will move."""
        return self._base + (0 if self._exchange is None else self._exchange.moved)

    def _note_progress(self, at: int) -> int:
        if self.position > at:
            self._pauses.progressed()
            return self.position
        return at

    async def _reach(self, missing: Range) -> None:
        """Open an exchange whose next byte is the first missing one."""
        if self._exchange is None or not (self.position <= missing.start < self._carries.stop):
            await self._ask(missing)
        skipped = missing.start - self.position
        if skipped and self._exchange is not None:
            await self._expect(skipped, Collector())

    async def _move(self, stop: int, sink: IConsumer) -> None:
        """Move what the exchange has of the bytes up to `stop`."""
        exchange = self._exchange
        assert exchange is not None
        until = min(stop, self._carries.stop)
        if exchange.length is None and until == self._carries.stop:
            await self._expect(until - self.position - 1, sink)
            last = Collector(keep=2)
            try:
                await self._expect(2, last, least=1)
            except SourceError:
                self._base = until - 1  # what the collector holds was not written
                raise
            if len(last.data) > 1:
                raise SourceLied(self._where, "sent more bytes than it said")
            sink.write(last.data)
        else:
            await self._expect(until - self.position, sink)

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
            raise BodyBroken(self._where, "ended its answer early")

    def _forget(self) -> None:
        self._base = self.position
        self._exchange = None

    async def _ask(self, missing: Range) -> None:
        self.abort()
        self._base = missing.start
        if self._resumption is None:
            raise SourceLied(self._where, "gave no validator to go on with")
        exchange = await self._resumption.open(missing)
        try:
            carries = continuation(self._resumption.version, missing, self._summary(exchange))
        except Changed as changed:
            exchange.abort()
            raise SourceLied(self._where, f": {changed}") from None
        if carries is None:
            exchange.abort()
            raise BodyBroken(self._where, f"answered {exchange.head.status}")
        self._exchange, self._carries, self._base = exchange, carries, carries.start
        if self._broken:
            self.resumes += 1
            self._broken = False

    def _summary(self, exchange: Exchange) -> ResponseSummary:
        return summary_of(exchange.head, time())

    async def _wait(self, error: SourceError) -> None:
        """Pause before the next try, or raise `error` when there is to be none."""
        if self._resumption is None or not self._resumption.version.resumable:
            raise error
        pause = self._pauses.broke(self._clock.seconds())
        if pause is None:
            raise error
        self._broken = True
        if pause:
            await deferLater(self._clock, pause)
