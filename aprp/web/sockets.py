"""The socket below a client's connection: what Twisted's transports don't ask of it or tell it."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from contextlib import suppress
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import ISSLTransport
from twisted.protocols.haproxy._wrapper import HAProxyProtocolWrapper

_LITTLE = 4096
"""Bytes; a transport reads no more at once either, so it can't be 0."""


def socket_of(transport: Any) -> socket.socket | None:
    """The open socket that a transport writes to, through TLS too; None for other transports."""
    if ISSLTransport.providedBy(transport):
        transport = getattr(transport, "transport", None)  # TLS runs over the connection
    try:
        handle = getattr(transport, "getHandle", lambda: None)()
    except AttributeError:  # the connection is closed
        return None
    if not isinstance(handle, socket.socket) or handle.fileno() < 0:
        return None
    return handle


def by_proxy_protocol(transport: Any) -> bool:
    """Return whether the client's address comes first on the connection (PROXY protocol)."""
    if ISSLTransport.providedBy(transport):
        transport = getattr(transport, "transport", None)
    return isinstance(transport, HAProxyProtocolWrapper)


def unacknowledged(transport: Any) -> int | None:
    """Return the bytes in the kernel's buffer that the peer hasn't acknowledged (SIOCOUTQ)."""
    handle = socket_of(transport)
    if handle is None:
        return None
    return int(struct.unpack("i", fcntl.ioctl(handle, termios.TIOCOUTQ, b"\0\0\0\0"))[0])


def unsent_at_most(transport: Any, count: int | None) -> None:
    """Bound the bytes in the kernel's buffer that are not on their way yet; None: as it likes.

    While few are allowed, the transport holds next to nothing either: its producer is paused as
    soon as the kernel takes no more.
    """
    handle = socket_of(transport)
    if handle is not None:
        with suppress(OSError):  # no TCP: a Unix socket holds little
            handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, count or 0)
        below: Any = transport
        if ISSLTransport.providedBy(below):
            below = getattr(below, "transport", None)
        most = FileDescriptor.bufferSize
        below.bufferSize = most if count is None else min(most, max(_LITTLE, count // 8))


def reset_on_close(transport: Any, on: bool) -> None:
    """Set whether closing the connection, or the end of the process, sends RST.

    With `on`, a close discards what the kernel hasn't sent yet.
    """
    handle = socket_of(transport)
    if handle is not None:
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", on, 0))
