"""A connection to a source below its protocol: opened, read or left unread, closed."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IHandshakeListener,
    IReactorTime,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from aprp.upstream.errors import ConnectFailed, lost_before_answer
from aprp.upstream.splice.borrowed import DirectWriter

H2 = b"h2"
"""What ALPN calls HTTP/2."""
FRESH = 1.0
"""Seconds for which a connection that was opened ahead counts as new."""
PLENTY = 65536
"""Bytes that are worth a read."""
SHORTEST = 0.0005
"""Seconds that are worth a pause between two reads."""
READ_SIZE = 1048576
"""The read size: larger reads cost less CPU per byte than Twisted's 64 KiB."""
READ_MOST = 2097152
"""The read size while what is read is taken at once: half as many pieces to handle."""
READ_SIZE_TLS = 262144
"""The same over TLS, where what was read makes many records, which are decrypted in one turn."""


@implementer(IHandshakeListener)
class Wire(Protocol):
    """A connection without its protocol. `where` names it in errors."""

    def __init__(self, clock: IReactorTime, where: str) -> None:
        self._clock = clock
        self.served = 0
        """Requests that were sent."""
        self.kept = False
        """Whether it was open, and idle, before the last request."""
        self.shared: object | None = None
        """None: no other request shares it."""
        self._where = where
        self._asked = self._rested = 0.0
        self._tls = False
        self._secure = False
        self._opening: Deferred[None] | None = None
        self._reading = True
        self._gathering: IDelayedCall | None = None
        self._read_at = 0.0
        self._gone = False

    @property
    def where(self) -> str:
        """Host and port of the other side."""
        return self._where

    # Its age

    @property
    def fresh(self) -> bool:
        """Whether the connection was new when the last request was sent, so that its end isn't an
        idle timeout."""
        return self.served == 1 and self._asked - self._rested < FRESH

    def note_request(self) -> None:
        """A request is being sent."""
        self.served += 1
        self._asked = self._clock.seconds()

    def note_rest(self) -> None:
        """No request is under way from now on."""
        self.kept, self._rested = True, self._clock.seconds()

    def _socket(self) -> Any:
        """The transport: an ITransport that is an IPushProducer and has abortConnection too."""
        return cast(Any, self.transport)

    # Opening

    def connectionMade(self) -> None:
        self._tls = ISSLTransport.providedBy(self.transport)
        self._secure = not self._tls
        self._writer = DirectWriter(self.transport)
        if ITCPTransport.providedBy(self.transport):
            self._socket().setTcpNoDelay(True)
            below = self._socket().transport if self._tls else self._socket()
            below.bufferSize = READ_SIZE_TLS if self._tls else READ_SIZE

    def opened(self, seconds: float) -> Deferred[None]:
        """Fires when requests can be sent: over TLS, when the other side is verified.

        Fails with SourceError, at the latest after so many seconds. Cancelling it closes.
        """
        opening: Deferred[None] = Deferred(lambda _: self._left())
        if self._secure:
            opening.callback(None)
            return opening
        self._opening = opening
        return opening.addTimeout(seconds, self._clock, lambda *_: Failure(self._late()))

    @property
    def negotiated(self) -> bytes | None:
        """The protocol that ALPN agreed on."""
        return self._socket().negotiatedProtocol if self._tls else None

    def hand_over(self, successor: Wire) -> None:
        """Give the connection, which speaks TLS by now, to another protocol."""
        transport, self._gone = self._socket(), True
        transport.wrappedProtocol = successor
        successor.makeConnection(transport)
        successor.handshakeCompleted()

    def _late(self) -> ConnectFailed:
        text = "did not finish the TLS handshake in time"
        return ConnectFailed(self._where, text, kind="connection_timeout", timed_out=True)

    def _left(self) -> None:
        self._opening = None
        self.close()

    def handshakeCompleted(self) -> None:
        self._secure = True
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.callback(None)

    # Reading is on or off; the transport hears only of changes.

    def start_reading(self) -> None:
        """Read from now on; if bytes are being gathered, after that."""
        if not self._reading and not self._gone and self._gathering is None:
            self._reading = True
            self._socket().resumeProducing()

    def stop_reading(self) -> None:
        """Stop reading until it is started again."""
        if self._reading and not self._gone:
            self._reading = False
            self._socket().pauseProducing()
            self._read_at_most(READ_SIZE)

    def was_full(self) -> None:
        """Read more at once after a read of all of READ_SIZE, until reading is stopped.

        A receiver that is slow stops it, so that no more than READ_SIZE waits for it.
        """
        if self._reading and not self._gone:
            self._read_at_most(READ_MOST)

    def _read_at_most(self, count: int) -> None:
        if not self._tls:
            self._socket().bufferSize = count

    def gather_after(self, count: int, left: int, longest: float) -> None:
        """Let PLENTY of bytes come before the next read, at the speed at which these `count` came.

        `left` bytes are to come. A pause of more than `longest` seconds would leave the source
        without room for what it sends.
        """
        now = self._clock.seconds()
        elapsed, self._read_at = now - self._read_at, now
        seconds = min(longest, elapsed * PLENTY / count)
        if count < PLENTY < left and seconds >= SHORTEST:
            self.gather(seconds)

    def gather(self, seconds: float) -> None:
        """Stop reading for so many seconds so that more bytes come; `gathered` is called then.

        Not over TLS, whose records have gathered already, one piece each.
        """
        if self._reading and not self._gone and not self._tls:
            self.stop_reading()
            self._gathering = self._clock.callLater(seconds, self._gathered)

    def _gathered(self) -> None:
        self._gathering = None
        self.gathered()

    def gathered(self) -> None:
        """Handle the end of a pause: there may be more to read."""

    # Closing

    def close(self) -> None:
        """Close at once, whatever is under way."""
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        if not self._gone:
            self._socket().abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._gone = True
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.errback(lost_before_answer(self._where, reason.value))
