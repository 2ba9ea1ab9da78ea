"""Simulated sockets, for Twisted's own TCP transports."""

from __future__ import annotations

import errno
import socket
import struct
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from tests.simulation.network import Address, End, Network

_RESET = struct.pack("ii", 1, 0)


class Process(Protocol):
    """What a socket needs of the reactor that it belongs to."""

    host: str
    network: Network

    def take_descriptor(self, skt: SimulatedSocket) -> int: ...
    def give_back(self, number: int) -> None: ...
    def look_at(self, descriptor: Any) -> None: ...


_Socket: Any = socket.socket


class SimulatedSocket(_Socket):  # type: ignore[misc]
    """As much of a non-blocking socket as Twisted's TCP uses. `end` is None until connected.

    The socket that it is to those who look at its type was never made.
    """

    def __init__(self, reactor: Process) -> None:
        self.reactor = reactor
        self.end: End | None = None
        self.descriptor: Any = None
        self.number = reactor.take_descriptor(self)
        self._error = 0
        self._linger = b""
        self._bound: Address = (reactor.host, 0)
        self._connecting = False
        self._gone = False
        self._waiting: deque[End] | None = None

    def fileno(self) -> int:
        return -1 if self._gone else self.number

    def setblocking(self, flag: bool) -> None:
        assert not flag

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        if (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER):
            self._linger = value

    def getsockopt(self, level: int, option: int) -> int:
        if (level, option) == (socket.SOL_SOCKET, socket.SO_ERROR):
            found, self._error = self._error, 0
            return found
        return 0

    # To connect

    def connect_ex(self, where: Address) -> int:
        if self.end is not None:
            return errno.EISCONN
        if not self._connecting:
            self._connecting = True
            self.reactor.network.connect(self.reactor.host, (where[0], where[1]), self._connected)
        return errno.EINPROGRESS

    def _connected(self, end: End | None) -> None:
        if self._gone:
            if end is not None:
                end.close(abort=True)
            return
        if end is None:
            self._error = errno.ECONNREFUSED
        else:
            self.attach(end)
        self.woken()

    def attach(self, end: End) -> None:
        self.end = end
        end.watch = self.woken

    def woken(self) -> None:
        if self.descriptor is not None:
            self.reactor.look_at(self.descriptor)

    # To listen

    def bind(self, where: Address) -> None:
        if where in self.reactor.network.listeners:
            raise OSError(errno.EADDRINUSE, "Address already in use")
        self._bound = where

    def listen(self, backlog: int) -> None:
        self._waiting = deque()
        self.reactor.network.listen(self._bound, self._came)

    def _came(self, end: End) -> None:
        assert self._waiting is not None
        self._waiting.append(end)
        self.woken()

    def accept(self) -> tuple[SimulatedSocket, Address]:
        if not self._waiting:
            raise BlockingIOError(errno.EWOULDBLOCK, "nobody")
        made = SimulatedSocket(self.reactor)
        end = self._waiting.popleft()
        made.attach(end)
        return made, end.remote

    # Bytes

    @property
    def unacknowledged(self) -> int:
        return 0 if self.end is None else self.end.on_its_way

    @property
    def readable(self) -> bool:
        if self._waiting is not None:
            return bool(self._waiting)
        return self._error != 0 or (self.end is not None and self.end.readable)

    @property
    def writable(self) -> bool:
        return self._error != 0 or (self.end is not None and self.end.writable)

    def recv(self, most: int, flags: int = 0) -> bytes:
        assert self.end is not None
        if flags & socket.MSG_PEEK:
            if not self.end.readable:
                raise BlockingIOError(errno.EWOULDBLOCK, "nothing")
            return self.end.unread[0][:most] if self.end.unread else b""
        return self.end.receive(most)

    def send(self, data: memoryview) -> int:
        assert self.end is not None
        if self.end.room <= 0 and not (self.end.reset or self.end.sent_fin):
            raise BlockingIOError(errno.EWOULDBLOCK, "full")
        return self.end.send(bytes(data[: max(0, self.end.room)]))

    def sendmsg(self, buffers: Sequence[bytes | memoryview]) -> int:
        return self.send(memoryview(b"".join(buffers)))

    def shutdown(self, how: int) -> None:
        if self.end is None:
            raise OSError(errno.ENOTCONN, "not connected")
        if how:
            self.end.finish()

    def close(self) -> None:
        if self._gone:
            return
        self._gone = True
        self.reactor.give_back(self.number)
        if self.end is not None:
            self.end.close(abort=self._linger == _RESET)
        if self._waiting is not None:
            self.reactor.network.listeners.pop(self._bound, None)
            for end in self._waiting:
                end.close(abort=True)

    def getsockname(self) -> Address:
        return self._bound if self.end is None else self.end.local

    def getpeername(self) -> Address:
        assert self.end is not None
        return self.end.remote
