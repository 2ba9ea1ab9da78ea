"""The body of one response over HTTP/1.1: read out of its framing, or left in pipes."""

from __future__ import annotations

from collections.abc import Sequence

from aprp.core.http.framing import LengthDecoder, decoder_for
from aprp.core.http.heads import Framing
from aprp.upstream.http.received import ReceivedExchange
from aprp.upstream.splice.piped import Piece, Piped


class IncomingBody:
    """Hands what is received to `exchange`, except for the end of the body: `end` does that."""

    def __init__(self, exchange: ReceivedExchange, framing: Framing) -> None:
        self.exchange = exchange
        self.by_close = framing.by_close
        """Whether it ends with the connection."""
        self._decoder = decoder_for(framing)
        self._last: Sequence[Piece] = ()

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

    # In pipes

    @property
    def may_be_piped(self) -> bool:
        """Whether its bytes are received as they are, up to a length that is known."""
        return isinstance(self._decoder, LengthDecoder) and not self.by_close

    def piped(self, piece: Piped) -> bool:
        """Take bytes of the body, no more than are left; return whether it is complete."""
        assert isinstance(self._decoder, LengthDecoder)
        self._decoder.skip(len(piece))
        if self._decoder.done:
            self._last = (piece,)
        else:
            self.exchange.received((piece,))
        return self._decoder.done
