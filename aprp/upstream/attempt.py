"""One attempt: one fetch of one range from one source, each of its promises checked.

The head is judged by `aprp.core.copies`; the bytes are counted by `aprp.upstream.body`. A whole
answer (200) where a part was asked for is used where it leads to what is wanted soon enough; it is
then kept, and read on for the attempt that asks for what follows.
"""

from __future__ import annotations

from time import time
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IResponse

from aprp.core.copies import Bad, Facts, Good, judge
from aprp.core.messages import End, Ended
from aprp.core.ranges import Range
from aprp.upstream.body import Body, discard
from aprp.upstream.errors import BodyBroken, SourceError, SourceLied
from aprp.upstream.exchange import Exchange
from aprp.upstream.remote import NotFollowed, Remote
from aprp.upstream.stream import answer_of

SKIPPED = 1 << 20
"""Bytes of a whole answer that are read and dropped to get to those wanted, while other sources
may not have to."""


class Listener(Protocol):
    """Who asked, and is told what happens."""

    @property
    def facts(self) -> Facts | None:
        """What is known of the file."""
        ...

    def head_came(self, attempt: Attempt, good: Good, stop: int, connect: float | None) -> None:
        """The head is good; its body is [attempt.start, stop)."""
        ...

    def bytes_came(self, attempt: Attempt, at: int, data: bytes) -> None:
        """Bytes of the file, from the offset `at` on."""
        ...

    def ended(self, attempt: Attempt, event: Ended) -> None:
        """It is over; nothing else is told after this."""
        ...


class Attempt:
    """The fetch of [start, stop) from `remote`; `number` is its name in events."""

    _log = Logger()

    def __init__(
        self, number: int, remote: Remote, asked: Range, same: str, clock: Any, listener: Listener
    ) -> None:
        self.number = number
        self.remote = remote
        self.start = asked.start
        self.stop = asked.stop
        self._asked = asked
        self._same = same
        self._clock = clock
        self._listener: Listener | None = listener
        self._body: Body | None = None
        self._whole = False
        self._work: Deferred[None] | None = None

    def begin(self) -> None:
        """Ask. What happens is told to the listener, from now on at any time."""
        work = self._work = Deferred.fromCoroutine(self._ask())
        work.addErrback(self._failed)

    def abandon(self) -> None:
        """Nothing more is wanted; the listener isn't told."""
        self._listener = None
        body, self._body = self._body, None
        if body is None:
            if self._work is not None:
                self._work.cancel()
        elif self._whole and body.begun:
            self.remote.keep(body)
        else:
            body.leave()

    # What the body says

    def received(self, at: int, data: bytes) -> None:
        if self._listener is not None:
            self._listener.bytes_came(self, at, data)

    def over(self, error: SourceError | None) -> None:
        self._body = None
        if error is None:
            self._tell(Ended(self.number, End.COMPLETED))
        else:
            self._tell(self._ended_by(error))

    # Opening

    async def _ask(self) -> None:
        kept = self.remote.take_kept(self.start)
        if kept is not None:
            self._go_on(kept)
            return
        began = self._clock.seconds()
        exchange, response = await self.remote.get(self._asked)
        if self._listener is None:
            exchange.abort()
            return
        verdict = judge(
            answer_of(exchange.head),
            exchange.head.fields,
            self._asked,
            self._same,
            self._listener.facts,
            self.remote.version,
            int(time()),
        )
        if isinstance(verdict, Bad):
            self._refuse(exchange, verdict)
        else:
            connect = None if exchange.reused else max(0.0, exchange.timings.asked - began)
            self._accept(exchange, response, verdict, connect)

    def _refuse(self, exchange: Exchange, bad: Bad) -> None:
        discard(exchange)
        if bad.end is not End.BEYOND:
            self.remote.error = SourceError(f"{self.remote.name} {bad.reason}")
        self._tell(Ended(self.number, bad.end, bad.reason, bad.retry_after, bad.length))

    def _accept(
        self, exchange: Exchange, response: IResponse, good: Good, connect: float | None
    ) -> None:
        self._whole = exchange.head.status == 200 and good.body != self._asked
        if self._whole and not self.remote.ignores_ranges:
            self.remote.ignores_ranges = True
            if self.start > SKIPPED:
                self._refuse(exchange, Bad(End.LIED, "ignores ranges"))
                return
        self.remote.version = good.version
        body = self._body = Body(exchange, good.body, self._clock)
        if self._listener is not None:
            self._listener.head_came(self, good, good.body.stop, connect)
        if self._body is body:
            body.begin(response, self, self.start)

    def _go_on(self, body: Body) -> None:
        """Read on what an earlier attempt left of a whole answer."""
        assert self._listener is not None and self._listener.facts is not None
        assert self.remote.version is not None
        self._whole, self._body = True, body
        good = Good(Range(0, body.stop), self._listener.facts, self.remote.version)
        self._listener.head_came(self, good, body.stop, None)
        if self._body is body:
            body.go_on(self, self.start)

    # Ends

    def _failed(self, failure: Failure) -> None:
        error = failure.value
        if isinstance(error, SourceError):
            self._tell(self._ended_by(error))
            return
        if not isinstance(error, CancelledError):
            self._log.failure("asking {source}", failure, source=self.remote.name)
        self._tell(Ended(self.number, End.UNREACHABLE, "the proxy itself failed; see its log"))

    def _ended_by(self, error: SourceError) -> Ended:
        self.remote.error = error
        return Ended(self.number, _end_of(error), str(error))

    def _tell(self, event: Ended) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.ended(self, event)


def _end_of(error: SourceError) -> End:
    if isinstance(error, BodyBroken):
        return End.BROKEN
    if isinstance(error, SourceLied):
        return End.LIED
    if isinstance(error, NotFollowed) or error.kind.endswith(("prohibited", "loop_detected")):
        return End.ABSENT
    return End.UNREACHABLE
