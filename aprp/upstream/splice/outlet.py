"""The sending side: pieces in pipes are moved into a transport's socket, in their order.

A piece is sent at once as far as the receiver takes it. What is left is sent when there is room
again; until then the owner should send nothing more. When an outlet ends, the rest is copied to the
transport: bytes that were sent are never lost.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Protocol

from aprp.upstream.splice.borrowed import CONNECTION_LOST, Borrowed, splice_socket
from aprp.upstream.splice.piped import Piped


class PipedSender(Protocol):
    """The owner of an outlet."""

    def receiver_full(self) -> None:
        """Note that the receiver's buffer is full."""
        ...

    def receiver_ready(self) -> None:
        """Note that the receiver has taken everything."""
        ...


class Outlet:
    """Sends pieces to one transport."""

    def __init__(self, sink: Borrowed, owner: PipedSender) -> None:
        self._sink = sink
        self._owner = owner
        self._piece: Piped | None = None

    def send(self, piece: Piped) -> None:
        """Send a piece, after everything that was written before."""
        self.end()
        if not self._sink.unsent:
            with suppress(OSError):  # no room, or a lost connection: `_write` finds out
                piece.move_to(self._sink.fileno())
        if piece:
            self._piece = piece
            self._sink.replace_write(self._write)
            self._wait()

    def end(self) -> None:
        """Copy what is left to the transport."""
        piece, self._piece = self._piece, None
        if piece is not None:
            self._sink.give_back()
            self._sink.transport.write(piece.read())

    def _wait(self) -> None:
        self._sink.transport.startWriting()
        self._owner.receiver_full()

    def _write(self) -> Any:
        """Go on sending; called by the reactor in place of `doWrite`."""
        if self._sink.unsent:
            lost = self._sink.default_write()
            if lost is not None or self._sink.unsent or self._piece is None:
                return lost
        assert self._piece is not None
        try:
            self._piece.move_to(self._sink.fileno())
        except BlockingIOError:
            self._wait()  # the transport stops writing when its own buffer is empty
            return None
        except OSError:
            return CONNECTION_LOST
        self._piece = None
        self._sink.give_back()
        lost = self._sink.default_write()  # it stops writing, or closes if it was asked to
        self._owner.receiver_ready()
        return lost


def outlet_to(transport: Any, owner: PipedSender) -> Outlet | None:
    """Return an outlet into a transport, or None if it takes only bytes."""
    handle = splice_socket(transport)
    return None if handle is None else Outlet(Borrowed(transport, handle), owner)
