"""The receiving side: a body is read into pipes, as far as its owner has a use for them."""

from __future__ import annotations

import socket
from typing import Any, Protocol

from aprp.upstream.splice.borrowed import (
    CONNECTION_DONE,
    CONNECTION_LOST,
    Borrowed,
    splice_socket,
)
from aprp.upstream.splice.piped import Piped, Use, receive
from aprp.upstream.splice.pipes import WANTED, Pipes


class PipedReceiver(Protocol):
    """The owner of an intake: the connection that a body comes over."""

    @property
    def left(self) -> int:
        """How many bytes of the body may be received now."""
        ...

    def piped_use(self, n: int) -> Use:
        """Return what becomes of the next bytes, at most `n`."""
        ...

    def piped(self, piece: Piped) -> None:
        """Take bytes that were received. May end the intake."""
        ...


class Intake:
    """Reads from a transport, into pipes where that is of use, until it is ended."""

    def __init__(self, source: Borrowed, pipes: Pipes, owner: PipedReceiver) -> None:
        self._source = source
        self._pipes = pipes
        self._owner = owner
        source.replace_read(self._read)

    def end(self) -> None:
        """Let the transport read by itself again."""
        self._source.give_back()

    def _read(self) -> Any:
        """Read once; called by the reactor in place of `doRead`."""
        most = min(self._owner.left, WANTED)
        use = self._owner.piped_use(most) if most > 0 else Use.COPY
        if use is Use.COPY:
            return self._source.default_read()
        try:
            piece = receive(self._source.fileno(), most, use, self._pipes)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if piece is None:
            return self._source.default_read()
        if not piece:
            return CONNECTION_DONE
        self._owner.piped(piece)
        return None


def intake_from(transport: Any, pipes: Pipes | None, owner: PipedReceiver) -> Intake | None:
    """Begin to read a transport through pipes; return None if its bytes have to be copied."""
    if pipes is None or not pipes.enabled:
        return None
    handle = splice_socket(transport)
    return None if handle is None else Intake(Borrowed(transport, handle), pipes, owner)


def has_more(transport: Any) -> bool:
    """Return whether bytes wait to be read from a transport."""
    handle = splice_socket(transport)
    try:
        return handle is not None and bool(handle.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except OSError:
        return False
