"""One request over HTTP/2 and its answer, on a stream of a shared connection.

The promises are those of `aprp.upstream.http.connection`: the same heads are refused, the same
timeouts hold, and a body that isn't whole fails. What is wrong with an answer ends its stream
alone.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from aprp.core.http.fields import Pairs
from aprp.core.http.heads import Framing, MalformedMessage, response_framing
from aprp.core.http2.fields import response_head, size_of
from aprp.core.http2.frames import Code
from aprp.core.http2.receiving import ReceiveWindow
from aprp.core.http2.windows import Claim, Place
from aprp.upstream.errors import (
    AnswerTimeout,
    BodyBroken,
    BodyStalled,
    HeadTooLarge,
    NeedsHttp1,
    NoAnswer,
    SourceError,
    SourceLied,
    StreamRefused,
)
from aprp.upstream.exchange import Inflow, SourceRequest, Timings
from aprp.upstream.http.received import ReceivedExchange
from aprp.upstream.http.response_heads import MAX_FIELDS, MAX_HEAD, MAX_INTERIM
from aprp.upstream.watchdog import Watchdog

END_SECONDS = 0.5
"""Within which the end of a stream has to follow the last byte of its body."""


class Carrier(Protocol):
    """The connection, as far as a stream needs it."""

    @property
    def where(self) -> str:
        """Host and port of the source."""
        ...

    @property
    def kept(self) -> bool:
        """Whether it was open, and idle, before the request was made."""
        ...

    def hungry(self, stream: Stream) -> None:
        """The stream takes more than before."""
        ...

    def over(self, stream: Stream, code: int | None = None) -> None:
        """Nothing more of the stream is wanted; with a code, the source has to stop it."""
        ...

    def doubt(self) -> None:
        """The source was silent for too long on a stream."""
        ...


class Stream:
    """`number` is the stream's; `answered` fires as `Connection.ask` has it."""

    def __init__(
        self, carrier: Carrier, number: int, request: SourceRequest, clock: IReactorTime
    ) -> None:
        self.number = number
        self.request = request
        self.kept = carrier.kept
        self.shared: object | None = carrier
        self.credit = ReceiveWindow()
        """What the source may still send."""
        self.place = request.sharing.place or Place(self)
        self._carrier = carrier
        self._clock = clock
        self._watchdog = Watchdog(clock, self._expired)
        self._asked = clock.seconds()
        self._interims = 0
        self._left: int | None = None
        self._last: list[bytes] = []
        self._exchange: ReceivedExchange | None = None
        self._answered: Deferred[ReceivedExchange] | None = Deferred(lambda _: self._cancelled())
        self.answered = self._answered
        self._over = False
        self._watchdog.expect(request.timeouts.first_byte)

    @property
    def has_head(self) -> bool:
        """Whether the final answer's head has come."""
        return self._answered is None

    def claim(self, share: int) -> Claim | None:
        """What the stream needs; `share` is for one that says nothing of it."""
        left, exchange, room = self._left, self._exchange, self.request.sharing.room
        if self._over or left == 0:
            return None
        if exchange is not None:
            if not exchange.under_way:
                return None
            if room is None or exchange.head.status != 206:
                if not exchange.hungry:
                    return None
                room = share  # the whole file, of which the range is only a part
            room -= exchange.held
            if room < 0:
                room = 0
        elif room is None:
            room = share
        if left is not None and left <= room:
            return Claim(self.number, self.place, self.credit.left, left, True)
        return Claim(self.number, self.place, self.credit.left, room)

    # Called by the connection.

    def head_came(self, pairs: Pairs) -> None:
        """A block of fields is complete: a head, an interim one, or trailers."""
        if self._exchange is not None or self._left is not None:
            return  # trailers are dropped
        if self._answered is None:
            return
        try:
            self._head(pairs)
        except MalformedMessage as malformed:
            self.stop(SourceLied(self._carrier.where, f": {malformed}"), Code.PROTOCOL_ERROR)
        except SourceError as error:
            self.stop(error, Code.CANCEL)

    def _head(self, pairs: Pairs) -> None:
        if size_of(pairs) > MAX_HEAD + 32 * MAX_FIELDS:
            raise HeadTooLarge(self._carrier.where, ": the head of its answer is too large")
        if len(pairs) > MAX_FIELDS:
            raise HeadTooLarge(self._carrier.where, ": its answer has too many fields")
        head = response_head(pairs)
        request = self.request
        if head.status < 200:
            self._interims += 1
            if self._interims > MAX_INTERIM:
                raise MalformedMessage("interim answers without end")
            self._watchdog.expect(request.timeouts.first_byte)
            if request.interim is not None:
                request.interim(head)
            return
        framing = response_framing(head, request.method)
        self._left = framing.length
        timings = Timings(self._asked, self._clock.seconds())
        exchange = ReceivedExchange(self, head, Framing(framing.length), timings, request.tally)
        self._exchange = exchange
        answered, self._answered = self._answered, None
        self._watchdog.rest()
        if self._left == 0:
            self._end([])
        assert answered is not None
        answered.callback(exchange)
        if self._exchange is not None:
            self._follow()

    def data_came(self, data: bytes, last: bool) -> None:
        """Bytes of the body came; `last`: the end of the stream came with them."""
        if self._answered is not None:
            lied = SourceLied(self._carrier.where, "sent a body before the head of its answer")
            self.stop(lied, Code.PROTOCOL_ERROR)
            return
        surplus = self._left is not None and len(data) > self._left
        if surplus:
            data = data[: self._left]
        if self._left is not None:
            self._left -= len(data)
        if self._left == 0 and last and not surplus:
            self._last = [data] if data else []  # `ended` hands it on
        elif self._left == 0 and surplus:
            self._end([data] if data else [])
        elif self._left == 0:
            self._await_end(data)
        elif self._exchange is not None and data:
            self._exchange.received([data])
            self._follow()
        if surplus and not self._over:
            self._close()
            self._carrier.over(self, Code.PROTOCOL_ERROR)

    def _await_end(self, data: bytes) -> None:
        """Take the last bytes before the end of the stream, which counts until it comes."""
        self._watchdog.expect(END_SECONDS)
        if self._exchange is not None and data:
            self._exchange.received([data])

    def ended(self) -> None:
        """The source ended the stream."""
        if self._answered is not None:
            self.failed(NoAnswer(self._carrier.where, "ended its stream without an answer"))
        elif self._left:
            self.failed(BodyBroken(self._carrier.where, "ended its answer early"))
        else:
            self._end(self._last)
        self._close()

    def reset(self, code: int) -> None:
        """The source broke the stream off."""
        where = self._carrier.where
        if self._answered is None:
            self.failed(BodyBroken(where, f"reset its stream with error code {code}"))
        elif code == Code.REFUSED_STREAM:
            self.failed(StreamRefused(where, "refused the request for now"))
        elif code == Code.HTTP_1_1_REQUIRED:
            self.failed(NeedsHttp1(where, "wants HTTP/1.1 for this"))
        else:
            text = f"reset its stream with error code {code} before an answer"
            self.failed(NoAnswer(where, text))

    def failed(self, error: Exception) -> None:
        """End the stream; callers that wait for it get the error."""
        self._close()
        answered, self._answered = self._answered, None
        exchange, self._exchange = self._exchange, None
        if answered is not None:
            answered.errback(error)
        if exchange is not None and self._left == 0:
            exchange.ended([])  # whole already
        elif exchange is not None:
            if exchange.under_way and isinstance(error, SourceError):
                self.request.tally.failed(error, self._clock.seconds())
            exchange.failed(error)

    def stop(self, error: Exception, code: int) -> None:
        """End the stream from here."""
        self._carrier.over(self, code)
        self.failed(error)

    def _end(self, pieces: list[bytes]) -> None:
        """The body is whole. The source's end of the stream may still be to come."""
        exchange, self._exchange = self._exchange, None
        self._left = 0
        self._watchdog.expect(self.request.timeouts.between_bytes)
        if exchange is not None:
            exchange.ended(pieces)

    def _close(self) -> None:
        self._over = True
        self._watchdog.close()

    @property
    def _under_way(self) -> bool:
        return self._exchange is not None and self._left != 0

    def _follow(self) -> None:
        if self._exchange is not None and self._under_way:
            if self._exchange.hungry:
                self._watchdog.expect(self.request.timeouts.between_bytes)
            else:
                self.read_no_more()

    def _expired(self) -> None:
        timeouts, where = self.request.timeouts, self._carrier.where
        if self._answered is not None:
            error: SourceError = AnswerTimeout(
                where, f"sent no answer within {timeouts.first_byte:g} s"
            )
        else:
            error = BodyStalled(where, f"sent nothing for {timeouts.between_bytes:g} s")
        whole = self._left == 0
        self.stop(error, Code.CANCEL)
        if not whole:
            self._carrier.doubt()

    # Called by the request's own body.

    def await_source(self, on: bool) -> None:
        """Start the response timeout, except while the client still has to send its body."""
        if self._answered is None:
            return
        if on:
            self._watchdog.expect(self.request.timeouts.first_byte)
        else:
            self._watchdog.rest()

    def client_failed(self, failure: Failure) -> None:
        """The client's body can't be completed."""
        assert isinstance(failure.value, Exception)
        if not self._over:
            self.stop(failure.value, Code.CANCEL)

    def _cancelled(self) -> None:
        self._answered = None
        self.abandon()

    # Called by the exchange.

    def read_on(self) -> None:
        if self._under_way:
            self._watchdog.expect(self.request.timeouts.between_bytes)
            self._carrier.hungry(self)

    def read_no_more(self) -> None:
        if self._under_way:
            self._watchdog.rest()

    def abandon(self) -> None:
        """Stop now; what is in flight is dropped."""
        if not self._over:
            self._exchange = None
            self._close()
            self._carrier.over(self, Code.CANCEL)

    def read_by_pipe(self) -> None:
        """Do nothing: the kernel can't take a body out of its frames."""

    def send_on(self, inflow: Inflow) -> Deferred[None]:
        """There is no upgrade over HTTP/2."""
        return Deferred()

    def hang_up(self) -> None:
        self.abandon()
