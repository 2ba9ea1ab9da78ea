"""Twisted's stream transports, as the kernel's sockets that they are.

Bytes are written to them at once, or moved between them by the kernel. The only module that relies
on what Twisted doesn't document: that a reactor calls `doRead` and `doWrite` of the transport
itself, where a transport keeps what it hasn't sent, and how it knows that it is to end.
`tests/test_borrowed.py` fails if a release of Twisted changes that.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from OpenSSL.SSL import Error, WantReadError
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.tcp import Connection
from twisted.protocols.tls import BufferingTLSTransport

__all__ = ["CONNECTION_DONE", "CONNECTION_LOST", "Borrowed", "DirectWriter", "splice_socket"]

PLENTY = 32768
"""Bytes that are worth a call of their own."""
RECORD = 16384
"""Bytes of a TLS record at most."""
SEALED = 65536
"""Bytes that are encrypted before the records are taken, a multiple of RECORD: OpenSSL keeps as
much memory for each connection."""
MOST_PIECES = 1000
"""Pieces that the kernel takes at once; Linux has 1024."""


def splice_socket(transport: Any) -> socket.socket | None:
    """Return the socket of an open transport that passes bytes unchanged, or None.

    None for TLS, for wrapped transports, and for objects that aren't sockets of the kernel.
    """
    if not isinstance(transport, Connection) or transport.TLS:
        return None
    handle = transport.getHandle()
    if not isinstance(handle, socket.socket) or handle.fileno() < 0:
        return None
    return handle


class DirectWriter:
    """Writes to a transport, at once where it can: that spares the reactor two calls and a turn.

    What the socket doesn't take now, and what has to wait behind other bytes, is the transport's to
    send. So are few bytes over TLS, and errors: its own write meets them again.
    """

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._socket = splice_socket(transport)
        self._sealer = _Sealer(transport) if isinstance(transport, BufferingTLSTransport) else None

    def write(self, data: bytes) -> None:
        """Send these bytes behind those that were written before."""
        if len(data) >= PLENTY and self._sealer is not None and self._sealer.ready:
            self._sealer.write(data)
            return
        sent, handle = 0, self._ready()
        if handle is not None:
            try:
                sent = handle.send(data)
            except OSError:
                sent = 0
        if sent < len(data):
            self._transport.write(data[sent:] if sent else data)

    def write_pieces(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Send these bytes, a few of which are a piece each, without joining them.

        Few bytes are left to the transport, which sends them with what follows them soon.
        """
        sent, handle = 0, self._ready()
        plenty = sum(map(len, pieces)) >= PLENTY
        if plenty and self._sealer is not None and self._sealer.ready:
            self._sealer.write(b"".join(pieces))
            return
        if plenty and handle is not None:
            with suppress(OSError):
                sent = handle.sendmsg(pieces[:MOST_PIECES])
        for number, piece in enumerate(pieces):
            if sent < len(piece):
                rest = b"".join((piece[sent:], *pieces[number + 1 :]))
                self._transport.write(rest)
                return
            sent -= len(piece)

    def _ready(self) -> socket.socket | None:
        """Return the socket if bytes may be written to it now."""
        transport, handle = self._transport, self._socket
        if handle is None or not transport.connected or transport.dataBuffer:
            return None
        if transport._tempDataBuffer or transport.disconnecting or transport._writeDisconnecting:
            return None
        return None if "doWrite" in transport.__dict__ else handle  # borrowed, or aborted


class _Sealer:
    """Encrypts many bytes for a TLS transport, and sends the records together.

    Twisted reads, and sends, each record by itself.
    """

    def __init__(self, transport: BufferingTLSTransport) -> None:
        self._tls: Any = transport
        self._below = DirectWriter(transport.transport)

    @property
    def ready(self) -> bool:
        """Whether bytes may be encrypted now; if not, the transport knows what to do."""
        tls = self._tls
        going = tls.connected and tls._handshakeDone and not tls._lostTLSConnection
        return bool(going and not (tls.disconnecting or tls._aborted or tls._appSendBuffer))

    def write(self, data: bytes) -> None:
        """Send the bytes behind those that were written before."""
        tls = self._tls
        tls._aggregator.flush()
        connection, view, at = tls._tlsConnection, memoryview(data), 0
        sealed: list[bytes] = []
        with suppress(Error):  # which the transport meets again
            while at < len(view):
                at += connection.send(view[at : at + RECORD])
                if not at % SEALED:
                    sealed.append(connection.bio_read(2 * SEALED))
        with suppress(WantReadError):  # there are no more
            sealed.append(connection.bio_read(2 * SEALED))
        self._below.write_pieces(sealed)
        if at < len(view):
            tls._write(data[at:])


class Borrowed:
    """A transport whose `doRead` or `doWrite` is replaced for a while.

    Its `startReading`, `stopReading`, `startWriting` and `stopWriting` still decide whether the
    reactor calls them, and its protocol still learns of a lost connection.
    """

    def __init__(self, transport: Any, handle: socket.socket) -> None:
        self.transport = transport
        self._set: dict[str, Callable[[], Any]] = {}
        self.fileno = handle.fileno
        """Returns the descriptor, or -1 once it is closed: its number may be in use again."""

    def replace_read(self, read: Callable[[], Any]) -> None:
        """Call `read` in place of `doRead`; it returns what `doRead` would."""
        self.transport.doRead = self._set["doRead"] = read

    def replace_write(self, write: Callable[[], Any]) -> None:
        """Call `write` in place of `doWrite`; it returns what `doWrite` would."""
        self.transport.doWrite = self._set["doWrite"] = write

    def give_back(self) -> None:
        """Restore `doRead` and `doWrite`, unless the transport was aborted meanwhile."""
        for name, ours in self._set.items():
            if self.transport.__dict__.get(name) is ours:
                del self.transport.__dict__[name]
        self._set.clear()

    @property
    def unsent(self) -> bool:
        """Whether the transport itself still has bytes to send."""
        return bool(self.transport.dataBuffer or self.transport._tempDataBuffer)

    def default_write(self) -> Any:
        """Call the transport's own `doWrite`."""
        return type(self.transport).doWrite(self.transport)

    def default_read(self) -> Any:
        """Call the transport's own `doRead`."""
        return type(self.transport).doRead(self.transport)
