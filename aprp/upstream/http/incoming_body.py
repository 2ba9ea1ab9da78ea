"""The body of one response over HTTP/1.1: read out of its framing, or moved by the kernel."""

from __future__ import annotations

from typing import Any

from aprp.core.http.framing import LengthDecoder, decoder_for
from aprp.core.http.heads import Framing
from aprp.upstream.http.received import ReceivedExchange
from aprp.upstream.splice.pipes import Pipes
from aprp.upstream.splice.splice import Splice, splice_between


class IncomingBody:
    """Hands what is received to `exchange`, except for the end of the body: `end` does that."""

    def __init__(self, exchange: ReceivedExchange, framing: Framing) -> None:
        self.exchange = exchange
        self.by_close = framing.by_close
        """Whether it ends with the connection."""
        self._decoder = decoder_for(framing)
        self._last: list[bytes] = []

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
        return self._decoder.done

    def end(self) -> None:
        """Hand on its end. The exchange has no connection any longer."""
        self.exchange.ended(self._last)

    # Moved by the kernel

    def splice_into(self, outlet: Any, transport: Any, pipes: Pipes | None) -> Splice | None:
        """Begin to move it into a transport without reading it; None where that can't be."""
        if pipes is None or not isinstance(self._decoder, LengthDecoder):
            return None
        return splice_between(transport, outlet, pipes, self.exchange)

    def spliced(self, count: int) -> bool:
        """Note bytes that were moved; return whether the body is complete."""
        assert isinstance(self._decoder, LengthDecoder)
        self._decoder.skip(count)
        if not self._decoder.done:
            self.exchange.received([])
        return self._decoder.done
