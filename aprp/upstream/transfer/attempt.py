"""One attempt: one fetch of one range from one source, checked as it arrives.

`aprp.core.recovery.same_file` judges the head, `aprp.upstream.transfer.body` counts the bytes. A
source that ignores ranges sends the whole file (200). That is used if at most `SKIPPED` bytes have
to be dropped first; after the attempt it is paused, for the attempt that needs what follows. With
`compare: sample`, a source is compared before its bytes are used.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from aprp.core.choices import Same
from aprp.core.http.ranges import FromTo, Range
from aprp.core.reasons import reason
from aprp.core.recovery.ends import End
from aprp.core.recovery.same_file import Accepted, Rejected, StandsAlone, judge, judge_alone
from aprp.core.recovery.versions import Facts
from aprp.core.scheduling.messages import Ended
from aprp.upstream.errors import OWN_FAULT, BodyBroken, NotPermitted, SourceError, SourceLied
from aprp.upstream.http.guard import AddressRefused, OwnListener
from aprp.upstream.splice.piped import Piece, Use, as_bytes
from aprp.upstream.transfer.body import SKIPPED, Body, discard
from aprp.upstream.transfer.requests import NotFollowed, SourceAnswer
from aprp.upstream.transfer.sample import Sample
from aprp.upstream.transfer.source import TransferSource
from aprp.upstream.wall_clock import time


class AttemptObserver(Protocol):
    """The observer of an attempt."""

    @property
    def facts(self) -> Facts | None:
        """What is known of the file."""
        ...

    def head_came(self, attempt: Attempt, good: Accepted, stop: int, connect: float | None) -> None:
        """Note that the head was accepted; the body that follows is [attempt.start, stop)."""
        ...

    def bytes_came(self, attempt: Attempt, at: int, data: Piece) -> None:
        """Take bytes of the file, from the offset `at` on."""
        ...

    def piped_use(self, at: int, n: int) -> Use:
        """Return what becomes of the bytes from the offset `at` on, at most `n`."""
        ...

    def ended(self, attempt: Attempt, event: Ended) -> None:
        """Note that the attempt has ended; no more calls follow."""
        ...


class Attempt:
    """The fetch of [start, stop) from `source`; `number` is its name in events."""

    _log = Logger()

    def __init__(
        self,
        number: int,
        source: TransferSource,
        asked: Range,
        same: Same,
        clock: Any,
        observer: AttemptObserver,
        sample: Sample | None = None,
    ) -> None:
        self.number = number
        self.source = source
        self.start = asked.start
        self.stop = asked.stop
        self.connection: object | None = None
        """As in `HeadCame`."""
        self._asked = asked
        self._same = same
        self._clock = clock
        self._observer: AttemptObserver | None = observer
        self._sample = sample
        self._body: Body | None = None
        self._whole = False
        self._work: Deferred[None] | None = None

    def begin(self) -> None:
        """Send the request. The observer may be called from now on."""
        work = self._work = Deferred.fromCoroutine(self._ask())
        work.addErrback(self._failed)

    def abandon(self) -> None:
        """Abandon the attempt without calling the observer."""
        self._observer = None
        self._end_sample()
        body, self._body = self._body, None
        if body is None:
            if self._work is not None:
                self._work.cancel()
        elif self._whole and body.begun:
            self.source.keep(body)
        else:
            self.source.drop(body)

    # Called by the body.

    def piped_use(self, at: int, n: int) -> Use:
        if self._observer is None or self._sample is not None:
            return Use.COPY
        return self._observer.piped_use(at, n)

    def received(self, at: int, data: Piece) -> None:
        if self._observer is None:
            return
        if self._sample is not None:
            if not self._sample.admits(self.source):
                self._require_comparison()
                return
            self._sample.received(self, at, as_bytes(data))
        self._observer.bytes_came(self, at, data)

    def over(self, error: SourceError | None) -> None:
        self._body = None
        if error is None:
            self._tell(Ended(self.number, End.COMPLETED))
        else:
            self._tell(self._ended_by(error))

    # Opening

    async def _ask(self) -> None:
        kept = self.source.take_kept(self.start)
        if kept is not None:
            self._continue_kept(kept)
            return
        began = self._clock.seconds()
        compared = self._sample is not None and not self._sample.admits(self.source)
        if compared and not await self._compare():
            return
        answer = await self.source.get(self._asked)
        exchange = answer.exchange
        if self._observer is None:
            exchange.abort()
            return
        verdict = judge(
            answer.summary(),
            answer.fields,
            self._asked,
            self._same,
            self._observer.facts or self.source.vouched,
            self.source.requests.version_at(answer.place),
            int(time()),
        )
        if isinstance(verdict, Rejected):
            self._refuse(answer, verdict)
        elif (differs := self.source.another_size(verdict.facts.complete)) is not None:
            self._refuse(answer, Rejected(End.ABSENT, differs))
        else:
            warm = exchange.reused and not compared
            connect = None if warm else max(0.0, exchange.timings.asked - began)
            self._accept(answer, verdict, connect)

    async def _compare(self) -> bool:
        """Compare the source with the sample, and return whether the attempt goes on.

        The time counts as connecting.
        """
        assert self._sample is not None and self._observer is not None
        bad = await self._sample.compare(self.source, self._same, self._observer.facts)
        if bad is not None:
            self._leave_out(bad)
        return bad is None and self._observer is not None

    def _require_comparison(self) -> None:
        """End the attempt: another source sent bytes first, and this one must be compared."""
        body, self._body = self._body, None
        if body is not None:
            self.source.drop(body)
        self._tell(
            Ended(
                self.number,
                End.STALE,
                reason("is compared with another source first"),
            )
        )

    def _refuse(self, answer: SourceAnswer, bad: Rejected) -> None:
        if bad.alone:
            self._set_aside(answer)
        else:
            discard(answer.exchange)
        self._leave_out(bad)

    def _set_aside(self, answer: SourceAnswer) -> None:
        """Hold a response in reserve that can only be used by itself."""
        asked = FromTo(self._asked.start, self._asked.stop)
        found = judge_alone(answer.summary(), answer.fields, asked, self._same, int(time()))
        self.source.alone = True
        if isinstance(found, StandsAlone):
            self.source.keep_spare(answer, found)
        else:
            discard(answer.exchange)

    def _leave_out(self, bad: Rejected) -> None:
        if bad.end is not End.BEYOND:
            self.source.error = SourceError.by(bad.reason, self.source.name)
        self._tell(Ended(self.number, bad.end, bad.reason, bad.retry_after, bad.length))

    def _accept(self, answer: SourceAnswer, good: Accepted, connect: float | None) -> None:
        exchange = answer.exchange
        self._whole = exchange.head.status == 200 and good.body != self._asked
        if self._whole and not self.source.ignores_ranges:
            self.source.ignores_ranges = True
            if self.start > SKIPPED:
                self._refuse(answer, Rejected(End.LIED, reason("ignores ranges")))
                return
        self.source.requests.showed(answer.place, good.version)
        self.connection = exchange.connection
        body = self._body = Body(exchange, good.body, self._clock)
        if self._observer is not None:
            self._observer.head_came(self, good, good.body.stop, connect)
        if self._body is body:
            body.begin(answer.response, self, self.start)

    def _continue_kept(self, body: Body) -> None:
        """Read on in the whole response that an earlier attempt has paused."""
        assert self._observer is not None and self._observer.facts is not None
        self._whole, self._body = True, body
        facts = self._observer.facts
        good = Accepted(Range(0, body.stop), facts, facts.validators)
        self._observer.head_came(self, good, body.stop, None)
        if self._body is body:
            body.continue_for(self, self.start)

    # Ends

    def _failed(self, failure: Failure) -> None:
        error = failure.value
        if isinstance(error, SourceError):
            self._tell(self._ended_by(error))
            return
        if not isinstance(error, CancelledError):
            self._log.failure(
                "internal error in a request to {source}",
                failure,
                source=self.source.name,
                transfer=self.source.transfer_id,
            )
        self._tell(Ended(self.number, End.UNREACHABLE, OWN_FAULT))

    def _ended_by(self, error: SourceError) -> Ended:
        self.source.error = error
        return Ended(self.number, end_of(error), error.reason)

    def _tell(self, event: Ended) -> None:
        self._end_sample()
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.ended(self, event)

    def _end_sample(self) -> None:
        if self._sample is not None:
            self._sample.ended(self)


def end_of(error: SourceError) -> End:
    """Return what an error means for the source."""
    if isinstance(error, BodyBroken):
        return End.BROKEN
    if isinstance(error, SourceLied):
        return End.LIED
    if isinstance(error, NotFollowed | AddressRefused | OwnListener | NotPermitted):
        return End.ABSENT
    return End.UNREACHABLE
