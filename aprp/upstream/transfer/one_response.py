"""A file from one response of one source, where no two responses may be combined.

The response to a request for just the range that is wanted, or for the whole file where the source
ignores ranges. It is sliced here; where it breaks, nothing can take its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.interfaces import IConsumer
from zope.interface import implementer

from aprp.core.choices import Same
from aprp.core.http.ranges import FromTo, Range, Spec
from aprp.core.reasons import Reason, reason
from aprp.core.recovery.ends import End
from aprp.core.recovery.same_file import Rejected, StandsAlone, judge_alone
from aprp.core.recovery.versions import Facts, Representation
from aprp.upstream.errors import SourceError
from aprp.upstream.transfer.body import discard
from aprp.upstream.transfer.requests import SourceAnswer
from aprp.upstream.transfer.resumed_body import ResumedBody
from aprp.upstream.transfer.source import TransferSource
from aprp.upstream.wall_clock import time

Arrived = Callable[[TransferSource, int, int], None]
"""Called with the source, an offset in the file and a number of bytes for all that arrive."""


@implementer(IConsumer)
class _Counted:
    """A consumer that reports what passes on its way to another."""

    def __init__(self, sink: IConsumer, at: int, report: Callable[[int, int], None]) -> None:
        self._sink = sink
        self._at = at
        self._report = report

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._sink.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        self._sink.unregisterProducer()

    def write(self, data: bytes) -> None:
        at, self._at = self._at, self._at + len(data)
        self._report(at, len(data))
        self._sink.write(data)


class OneResponse:
    """An open response; `facts` are None where its length isn't declared."""

    def __init__(
        self, source: TransferSource, answer: SourceAnswer, found: StandsAlone, clock: Any
    ) -> None:
        self.source = source
        self.shown: Representation = found.shown
        self.facts = None if found.complete is None else Facts(found.complete, found.shown)
        self._exchange = answer.exchange
        self._body: ResumedBody | None = None
        if found.body is not None:
            self._body = ResumedBody(clock, source.name, answer.exchange, found.body)

    def leads_to(self, wanted: Range) -> bool:
        """Return whether the bytes of that range are still to come."""
        return self._body is not None and self._body.leads_to(wanted)

    async def send(self, wanted: Range, sink: IConsumer, arrived: Arrived) -> None:
        """Write those bytes into `sink`; raises SourceError where they don't all come."""
        assert self._body is not None
        await self._body.send(wanted, self._counted(sink, wanted.start, arrived))

    async def relay(self, sink: IConsumer, arrived: Arrived, count: int | None = None) -> int:
        """Write the next `count` bytes, or all, of a body without a declared length.

        Returns how many there were: fewer only at its end.
        """
        at = self._exchange.moved
        return await self._exchange.pump(self._counted(sink, at, arrived), count)

    def abort(self) -> None:
        """Stop at once."""
        self._exchange.abort()

    def _counted(self, sink: IConsumer, at: int, arrived: Arrived) -> _Counted:
        return _Counted(sink, at, lambda offset, count: arrived(self.source, offset, count))


TOO_LITTLE = reason("sent less than was asked for")
Reasons = list[tuple[str, Reason]]


async def open_one(
    sources: Sequence[TransferSource], spec: Spec | None, same: Same, clock: Any
) -> OneResponse | Reasons:
    """Open a response that holds all of the range, None for the whole file, from the first source
    that gives one; or return why each source doesn't."""
    if spec == FromTo(0):
        spec = None
    reasons: Reasons = []
    for source in sources:
        spare, source.spare = source.spare, None
        if spare is not None and spare[1].holds(spec):
            return OneResponse(source, *spare, clock)
        if spare is not None:
            discard(spare[0].exchange)
        found = await _open_at(source, spec, same)
        if isinstance(found, Reason):
            reasons.append((source.name, found))
        else:
            return OneResponse(source, *found, clock)
    return reasons


async def _open_at(
    source: TransferSource, spec: Spec | None, same: Same
) -> tuple[SourceAnswer, StandsAlone] | Reason:
    why = TOO_LITTLE
    for sent in dict.fromkeys((spec, None)):
        try:
            answer = await source.get_alone(sent)
        except SourceError as error:
            source.error = error
            return error.reason
        found = judge_alone(answer.summary(), answer.fields, sent, same, int(time()))
        if isinstance(found, StandsAlone) and found.complete is not None:
            differs = source.another_size(found.complete)
            found = found if differs is None else Rejected(End.ABSENT, differs)
        if isinstance(found, StandsAlone) and found.holds(spec):
            return answer, found
        discard(answer.exchange)
        why = found.reason if isinstance(found, Rejected) else TOO_LITTLE
        source.error = SourceError.by(why, source.name)
    return why
