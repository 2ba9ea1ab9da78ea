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
    """Return the socket of an open transport that passes bytes unchanged, or None.

    None for TLS, for wrapped transports, and for objects that aren't sockets of the kernel.
    """
    if not isinstance(transport, Connection) or transport.TLS:
        return None
    handle = transport.getHandle()
    if not isinstance(handle, socket.socket) or handle.fileno() < 0:
        return None
    return handle


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
