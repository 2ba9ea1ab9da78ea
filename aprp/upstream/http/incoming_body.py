"""The body of one response over HTTP/1.1: read as its exchange wants it, out of its framing or into
pipes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aprp.core.http.framing import LengthDecoder, decoder_for
from aprp.core.http.heads import Framing
from aprp.upstream.exchange import SourceRequest
from aprp.upstream.http.received import ReceivedExchange
from aprp.upstream.http.wire import Wire
from aprp.upstream.splice.intake import Intake, intake_from
from aprp.upstream.splice.piped import Piece, Piped, Use
from aprp.upstream.splice.pipes import Pipes
from aprp.upstream.watchdog import Watchdog


class IncomingBody:
    """Hands what is received to `exchange`, except for the end of the body: `end` does that.

    It reads from `wire` while the exchange is hungry; `watchdog` expires if nothing comes then.
    """

    def __init__(
        self,
        wire: Wire,
        watchdog: Watchdog,
        request: SourceRequest,
        exchange: ReceivedExchange,
        framing: Framing,
    ) -> None:
        self.exchange = exchange
        self.by_close = framing.by_close
        """Whether it ends with the connection."""
        self._wire = wire
        self._watchdog = watchdog
        self._patience = None if exchange.head.status == 101 else request.timeouts.between_bytes
        self._gather = request.gather if framing.length is not None else 0.0
        self._decoder = decoder_for(framing)
        self._last: Sequence[Piece] = ()
        self._intake: Intake | None = None
        self._closed = False
        self._completed: Callable[[], None] | None = None

    @property
    def complete(self) -> bool:
        """Whether all of it was received."""
        return self._decoder.done

    @property
    def rest(self) -> bytes:
        """What was received behind it."""
        return self._decoder.rest

    def received(self, data: bytes) -> bool:
        """Take bytes of the connection; return whether the body is complete.

        Raise MalformedMessage.
        """
        pieces = self._decoder.feed(data)
        if self._decoder.done:
            self._last = pieces
        else:
            self.exchange.received(pieces)
            self.read_if_hungry()
        return self._decoder.done

    def close(self) -> None:
        """Take nothing more: the connection is no longer this body's."""
        self._closed = True
        intake, self._intake = self._intake, None
        if intake is not None:
            intake.end()

    def end(self) -> None:
        """Hand on its end. The exchange has no connection any longer."""
        last, self._last = self._last, ()
        self.exchange.ended(last)

    # Read or left unread

    def read_on(self) -> None:
        """Read from now on, and expect bytes."""
        if self._closed:
            return
        if self._patience is not None:
            self._watchdog.expect(self._patience)
        self._wire.start_reading()

    def read_no_more(self) -> None:
        """Read nothing, and expect nothing."""
        if self._closed:
            return
        self._watchdog.rest()
        self._wire.stop_reading()

    def read_if_hungry(self) -> None:
        """Read on or leave it, as the exchange has use for more."""
        if self.exchange.hungry:
            self.read_on()
        else:
            self.read_no_more()

    def let_gather(self, count: int) -> None:
        """Let more come before it is read, if the request allows it; `count` bytes came last."""
        if self._gather and not self._closed:
            left = (self.exchange.length or 0) - self.exchange.moved
            self._wire.gather_after(count, left, self._gather)

    # In pipes

    def read_by_pipe(
        self, transport: object, pipes: Pipes | None, completed: Callable[[], None]
    ) -> None:
        """Receive the rest into pipes, if its bytes come as they are, up to a length that is known.

        `completed` is called when all was received that way.
        """
        as_it_is = isinstance(self._decoder, LengthDecoder) and not self.by_close
        if self._intake is None and as_it_is:
            self._completed = completed
            self._intake = intake_from(transport, pipes, self)

    # Called by the intake.

    @property
    def left(self) -> int:
        return self.exchange.left

    def piped_use(self, n: int) -> Use:
        return self.exchange.piped_use(n)

    def piped(self, piece: Piped) -> None:
        assert isinstance(self._decoder, LengthDecoder) and self._completed is not None
        count = len(piece)
        self._decoder.skip(count)
        if self._decoder.done:
            self._last = (piece,)
            self._completed()
        else:
            self.exchange.received((piece,))
            self.read_if_hungry()
            self.let_gather(count)
