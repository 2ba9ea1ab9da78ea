"""Sockets that the parent opens, passes to all workers, and closes without disturbing them."""

from __future__ import annotations

import os
import socket
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

from twisted.internet.abstract import isIPv6Address
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IProtocolFactory
from twisted.protocols.tls import TLSMemoryBIOFactory


class _Sockets:
    """A reactor that listens on TCP sockets in a way of its own."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenTCP(
        self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = ""
    ) -> Any:
        raise NotImplementedError

    def listenSSL(
        self,
        port: int,
        factory: IProtocolFactory,
        contextFactory: Any,
        backlog: int = 50,
        interface: str = "",
    ) -> Any:
        return self.listenTCP(
            port, TLSMemoryBIOFactory(contextFactory, False, factory), backlog, interface
        )

    def _adopt(self, descriptor: int, family: int, factory: IProtocolFactory) -> Any:
        try:
            return self._reactor.adoptStreamPort(descriptor, family, factory)
        finally:
            os.close(descriptor)


class SharedSockets(_Sockets):
    """A reactor whose ports can be closed while other processes listen on their sockets.

    A port of Twisted shuts down the socket that it has opened, for every process that shares it,
    but only closes one that it has adopted. So the sockets are opened here, and adopted.
    """

    def listenTCP(
        self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = ""
    ) -> Any:
        family = socket.AF_INET6 if isIPv6Address(interface) else socket.AF_INET
        try:
            opened = _open(family, interface, port, backlog)
        except OSError as error:
            raise CannotListenError(interface, port, error) from error
        return self._adopt(opened.detach(), family, factory)


def _open(family: int, interface: str, port: int, backlog: int) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((interface, port))
        opened.listen(backlog)
    except OSError:
        opened.close()
        raise
    return opened


class PassedSockets(_Sockets):
    """A reactor whose ports use the sockets that were passed, in order.

    Port and interface are ignored: the parent has bound the sockets.
    """

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor)
        self._passed: deque[tuple[int, int]] = deque()
        self._had: Counter[str] = Counter()

    def listenTCP(
        self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = ""
    ) -> Any:
        descriptor, family = self._passed.popleft()
        return self._adopt(descriptor, family, factory)

    def offer(
        self, where: Sequence[str], descriptors: Sequence[int], families: Sequence[int]
    ) -> None:
        """Take the sockets of these endpoint strings; close those that are already listened on."""
        had = self._had.copy()
        for each, descriptor, family in zip(where, descriptors, families, strict=True):
            if had[each]:
                had[each] -= 1
                os.close(descriptor)
            else:
                self._passed.append((descriptor, family))

    def settle(self, where: Sequence[str]) -> None:
        """Close the sockets that aren't listened on."""
        self._had = Counter(where)
        while self._passed:
            os.close(self._passed.popleft()[0])
