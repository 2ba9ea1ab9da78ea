"""HTTP/1.1 to a source: the connection writes requests, and parses and frames the answers.

A connection serves one exchange at a time and goes back to its pool when the body's end was seen
and both sides keep it. It is not kept where bytes may follow that belong to nobody: after a HEAD,
and after a 204 or 304 that speaks of a body. Nor is it kept after a request with a body: an origin
that ignored the body takes it for the next request, and the next client would get its answer. The
request says so with `Connection: close`, after which an origin must not read on (RFC 9112 section
9.6).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IReactorTime,
    ITransport,
)
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from aprp.core.http.heads import (
    Framing,
    MalformedMessage,
    ResponseHead,
    ends_surely,
    response_framing,
)
from aprp.upstream.errors import (
    AnswerTimeout,
    BodyBroken,
    BodyStalled,
    HeadTooLarge,
    NoAnswer,
    SourceError,
    SourceLied,
    lost_before_answer,
)
from aprp.upstream.exchange import Inflow, SourceRequest, Timings
from aprp.upstream.http.incoming_body import IncomingBody
from aprp.upstream.http.received import ReceivedExchange
from aprp.upstream.http.response_heads import Heads, NotHttp
from aprp.upstream.http.sending import head_of, send_body, send_inflow
from aprp.upstream.http.wire import READ_SIZE, Wire
from aprp.upstream.splice.intake import has_more
from aprp.upstream.splice.pipes import Pipes
from aprp.upstream.watchdog import Watchdog

LINGER = 10.0
"""Seconds that a source has to take what was sent before its connection is closed."""


class Connection(Wire):
    """One connection to a source. `released` is called when it can serve again, `lost` when it has
    closed.
    """

    def __init__(
        self,
        clock: IReactorTime,
        where: str,
        released: Callable[[Connection], None],
        lost: Callable[[Connection], None],
        pipes: Pipes | None = None,
    ) -> None:
        super().__init__(clock, where)
        self._pipes = pipes
        self._released = released
        self._lost = lost
        self._watchdog = Watchdog(clock, self._expired)
        self._heads = Heads(where)
        self._request: SourceRequest | None = None
        self._answered: Deferred[ReceivedExchange] | None = None
        self._body: IncomingBody | None = None
        self._reusable = True
        self._leaving = False

    @property
    def idle(self) -> bool:
        return not self._gone and self._reusable and self._request is None

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return self._request is not None

    def ask(self, request: SourceRequest) -> Deferred[ReceivedExchange]:
        """Send a request; fires when the final answer's head is there, fails with SourceError."""
        assert self.idle, "one exchange at a time"
        self.note_request()
        self._request = request
        self._heads.expect(request.upgrade)
        self._answered = Deferred(lambda _: self._cancelled())
        self.read_on()
        self._writer.write(head_of(request))
        self._watchdog.expect(request.timeouts.first_byte)
        if request.body is not None:
            send_body(request, self.transport, self._await_source).addErrback(self._client_failed)
        return self._answered

    def _cancelled(self) -> None:
        self._answered = None
        self.abandon()

    def _client_failed(self, failure: Failure) -> None:
        assert isinstance(failure.value, Exception)
        self._fail(failure.value)

    def _await_source(self, on: bool) -> None:
        """Start the response timeout, except while the client still has to send its body."""
        if self._answered is None or self._request is None:
            return
        if on:
            self._watchdog.expect(self._request.timeouts.first_byte)
        else:
            self._watchdog.rest()

    def send_on(self, inflow: Inflow) -> Deferred[None]:
        """Send bytes after an upgrade."""
        return send_inflow(inflow, False, self.transport, self._await_source)

    def hang_up(self) -> None:
        """Close when everything was sent, without waiting long for a source that doesn't accept
        it.
        """
        if self._body is not None:
            self._body.close()
        self._body = self._request = None
        self._reusable = False
        self._leaving = True
        self._watchdog.expect(LINGER)
        self.start_reading()
        cast(ITransport, self.transport).loseConnection()

    def rest(self, seconds: float) -> None:
        """Stay open for that long without a request. Reading continues, to notice a close."""
        self.note_rest()
        self._watchdog.expect(seconds)
        self.read_on()

    def abandon(self) -> None:
        """Close now, whatever is under way."""
        self._watchdog.close()
        self._reusable = False
        self.close()

    def read_on(self) -> None:
        if self._body is not None:
            self._body.read_on()
        else:
            self.start_reading()

    def read_no_more(self) -> None:
        if self._body is not None:
            self._body.read_no_more()
        else:
            self.stop_reading()

    def gathered(self) -> None:
        if self._body is not None:
            self._body.read_if_hungry()

    def dataReceived(self, data: bytes) -> None:
        if self._leaving:
            return
        try:
            if (body := self._body) is not None:
                if not self._body_received(body, data):
                    body.let_gather(len(data))
                if len(data) == READ_SIZE:
                    self.was_full()
            elif self._answered is not None:
                self._head_received(data)
            else:
                self.abandon()
        except NotHttp as malformed:
            # on a kept connection stray bytes belong to an earlier answer: ours is still to come
            stray = self.served > 1 and not self._heads.interims
            text = "sent bytes that answer nothing"
            self._fail(NoAnswer(self._where, text) if stray else self._lied(malformed))
        except MalformedMessage as malformed:
            self._fail(self._lied(malformed))
        except HeadTooLarge as error:
            self._fail(error)

    def _lied(self, malformed: MalformedMessage) -> SourceLied:
        return SourceLied(self._where, f": {malformed}")

    def _head_received(self, data: bytes) -> None:
        self._heads.feed(data)
        while self._answered is not None and (head := self._heads.next()) is not None:
            if head.status >= 200 or head.status == 101:
                self._begin_body(head)
            else:
                self._interim(head)

    def _interim(self, head: ResponseHead) -> None:
        assert self._request is not None
        self._watchdog.expect(self._request.timeouts.first_byte)
        if self._request.interim is not None:
            self._request.interim(head)

    def _begin_body(self, head: ResponseHead) -> None:
        assert self._request is not None and self._answered is not None
        method = self._request.method
        framing = Framing() if head.status == 101 else response_framing(head, method)
        kept = head.keeps_alive and not framing.by_close and self._request.body is None
        self._reusable = kept and ends_surely(head, method)
        timings = Timings(self._asked, self._clock.seconds())
        exchange = ReceivedExchange(self, head, framing, timings, self._request.tally)
        body = IncomingBody(self, self._watchdog, self._request, exchange, framing)
        self._body = body
        answered, self._answered = self._answered, None
        data = self._heads.rest()
        self._watchdog.rest()
        if data or body.complete:
            try:
                self._body_received(body, data)
            except MalformedMessage:
                self._answered = answered  # nobody has the exchange yet
                raise
        answered.callback(exchange)
        if self._body is not None:
            self._body.read_if_hungry()

    def _body_received(self, body: IncomingBody, data: bytes) -> bool:
        complete = body.received(data)
        if complete:
            self._body_complete()
        return complete

    def read_by_pipe(self) -> None:
        """Receive the rest of the body into pipes, where it can be and the exchange wants it."""
        if self._body is not None:
            self._body.read_by_pipe(self.transport, self._pipes, self._piped_complete)

    def _piped_complete(self) -> None:
        self._reusable = self._reusable and not has_more(self.transport)
        self._body_complete()

    def _body_complete(self) -> None:
        body, self._body = self._body, None
        assert body is not None
        body.close()
        self._request = None
        self._watchdog.rest()
        if body.rest or not self._reusable:
            self.abandon()
        else:
            self._released(self)
        body.end()

    def _expired(self) -> None:
        if self._answered is not None:
            seconds = self._request.timeouts.first_byte if self._request else 0
            self._fail(AnswerTimeout(self._where, f"sent no answer within {seconds:g} s"))
        elif self._body is not None:
            seconds = self._request.timeouts.between_bytes if self._request else 0
            self._fail(BodyStalled(self._where, f"sent nothing for {seconds:g} s"))
        else:
            self.abandon()

    def _fail(self, error: Exception) -> None:
        """End what is under way with `error` and close."""
        if self._body is not None:
            self._body.close()
        self.abandon()
        answered, self._answered = self._answered, None
        body, self._body = self._body, None
        request, self._request = self._request, None
        if answered is not None:
            answered.errback(error)
        if body is not None:
            if request is not None and body.exchange.under_way and isinstance(error, SourceError):
                request.tally.failed(error, self._clock.seconds())
            body.exchange.failed(error)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._watchdog.close()
        self._lost(self)
        super().connectionLost(reason)
        if self._answered is not None:
            if self._heads.begun:
                self._fail(SourceLied(self._where, "closed the connection within its head"))
            else:
                self._fail(lost_before_answer(self._where, reason.value))
        elif self._body is not None:
            if self._body.by_close and isinstance(reason.value, ConnectionDone):
                self._body_complete()
            else:
                self._fail(BodyBroken(self._where, "closed the connection within its answer"))
