"""The body of a request over HTTP/2: paced by its stream's window, bounded in length and time."""

from __future__ import annotations

from typing import Any, Protocol

from aprp.core.http2.receiving import ReceiveWindow
from aprp.core.http2.requests import BodyLength
from aprp.upstream.watchdog import Watchdog
from aprp.web.failures import Refusal
from aprp.web.inflow import Inflow
from aprp.web.request_rules import BodyLimits, Limits
from aprp.web.spooled_request import too_large

SPOOLED = 1 << 20
"""Bytes more that may be on their way of a body that is spooled, since nothing holds it up."""
PAID = 32768
"""Bytes of a body after which the client may send as many more."""


class Owner(Protocol):
    """The stream, as far as its request's body needs it."""

    def allow(self, count: int) -> None:
        """Let the client send more."""
        ...

    def spool(self, pieces: list[bytes]) -> None:
        """Take bytes of a body that isn't streamed."""
        ...

    def refuse(self, refusal: Refusal) -> None:
        """Respond to a request that isn't served."""
        ...


class RequestBody:
    """`length` is what was announced. The producer of the request's `inflow`, if it is streamed.

    A silent sender has its route's time; one that trickles has to get on.
    """

    def __init__(
        self,
        owner: Owner,
        clock: Any,
        watchdog: Watchdog,
        limits: Limits,
        body_limits: BodyLimits,
        length: int | None,
        window: ReceiveWindow,
    ) -> None:
        self.inflow: Inflow | None = None
        self._window = window
        self._owner = owner
        self._clock = clock
        self._watchdog = watchdog
        self._limits = limits
        self._body_limits = body_limits
        self._decoder = BodyLength(length, body_limits.most)
        self._unpaid = 0
        self._paused = False
        self._unnoted = 0
        self._noted_until = 0.0
        self._dropped = self._over = False

    def begin(self, streamed: bool) -> None:
        """Wait for it."""
        self._note_progress(self._limits.body_progress)
        if streamed:
            self.inflow = Inflow(self, self._decoder, self._time)
        else:
            self._allow(SPOOLED)

    def came(self, data: bytes, cost: int) -> None:
        """Take bytes, and let more come; raise MalformedMessage."""
        self._unpaid += cost
        if not self._dropped:
            self._note_progress(len(data))
            if self.inflow is None:
                self._spool(data)
            else:
                self.inflow.feed(data)
                if self._decoder.over:
                    self.inflow.fail(too_large(self._body_limits.most))
        self._pay()

    def _spool(self, data: bytes) -> None:
        pieces = self._decoder.feed(data)
        if self._decoder.over:
            self._owner.refuse(too_large(self._body_limits.most))
            return
        try:
            self._owner.spool(pieces)
        except Refusal as refusal:
            self._owner.refuse(refusal)

    def ended(self) -> bool:
        """Note that the client has sent it; return whether it is wanted.

        Raise MalformedMessage if that is too early.
        """
        self._over = True
        self._watchdog.rest()
        if self._dropped:
            return False
        self._decoder.end()
        if self.inflow is not None:
            self.inflow.feed(b"")
        return True

    def drop(self) -> None:
        """Drop what still comes."""
        self._dropped = True

    def close(self) -> None:
        """The stream is over."""
        self._over = True

    def client_left(self) -> None:
        """Nothing more comes; whoever streams it hears of that."""
        self._over = True
        if self.inflow is not None:
            self.inflow.fail(Refusal(400, "the client left within the request's body"))

    def timed_out(self) -> bool:
        """Tell whoever streams it that it is too slow; return whether somebody does."""
        if self.inflow is None or not self.inflow.unread:
            return False
        self.inflow.fail(Refusal(408, "the request's body timed out"))
        return True

    # Its pace

    def _allow(self, count: int) -> None:
        self._window.allow(count)
        self._owner.allow(count)

    def _pay(self) -> None:
        if not self._paused and self._unpaid >= PAID and not self._over:
            count, self._unpaid = self._unpaid, 0
            self._allow(count)

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        self._pay()

    # Its time

    def _note_progress(self, count: int) -> None:
        now, silence = self._clock.seconds(), self._body_limits.seconds
        self._unnoted += count
        if self._unnoted >= self._limits.body_progress:
            self._unnoted = 0
            self._noted_until = now + max(self._limits.body_seconds, silence)
        self._watchdog.expect(min(silence, self._noted_until - now))

    def _time(self, reading: bool) -> None:
        if self._over:
            return
        if reading:
            self._note_progress(0)
        else:
            self._watchdog.rest()
            self._unnoted = self._limits.body_progress
