"""Twisted's stream transports while the kernel moves bytes between their sockets.

The only module that relies on what Twisted doesn't document: that a reactor calls `doRead` and
`doWrite` of the transport itself, and where a transport keeps what it hasn't sent.
`tests/test_borrowed.py` fails if a release of Twisted changes that.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.tcp import Connection

__all__ = ["CONNECTION_DONE", "CONNECTION_LOST", "Borrowed", "splice_socket"]


def splice_socket(transport: Any) -> socket.socket | None:
    """The open socket of a transport that sends and receives bytes as they are.

    None for TLS, for wrapped transports, and for sockets that aren't the kernel's.
    """
    if not isinstance(transport, Connection) or transport.TLS:
        return None
    handle = transport.getHandle()
    if not isinstance(handle, socket.socket) or handle.fileno() < 0:
        return None
    return handle


class Borrowed:
    """A transport whose reading or writing is done by somebody else for a while.

    Whether the reactor watches for it is still said by the transport's `startReading`,
    `stopReading`, `startWriting` and `stopWriting`, and a loss of the connection is told as ever.
    """

    def __init__(self, transport: Any, handle: socket.socket) -> None:
        self.transport = transport
        self._set: dict[str, Callable[[], Any]] = {}
        self.fileno = handle.fileno
        """Gives the descriptor; -1 once the socket is closed, so that no other is taken for it."""

    def read_by(self, read: Callable[[], Any]) -> None:
        """Have `read` called when there is something to read. It returns what `doRead` would."""
        self.transport.doRead = self._set["doRead"] = read

    def write_by(self, write: Callable[[], Any]) -> None:
        """Have `write` called when there is room to write. It returns what `doWrite` would."""
        self.transport.doWrite = self._set["doWrite"] = write

    def give_back(self) -> None:
        """Let the transport read and write by itself again, unless it was aborted meanwhile."""
        for name, ours in self._set.items():
            if self.transport.__dict__.get(name) is ours:
                del self.transport.__dict__[name]

    @property
    def unsent(self) -> bool:
        """Whether the transport itself still has bytes to send."""
        return bool(self.transport.dataBuffer or self.transport._tempDataBuffer)

    def send_own(self) -> Any:
        """Do what the transport does when there is room to write."""
        return type(self.transport).doWrite(self.transport)

    def read_own(self) -> Any:
        """Do what the transport does when there is something to read."""
        return type(self.transport).doRead(self.transport)
