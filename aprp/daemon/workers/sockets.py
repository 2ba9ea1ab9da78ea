"""Listen on the sockets that the parent passes instead of opening any."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

from twisted.internet.interfaces import IProtocolFactory
from twisted.protocols.tls import TLSMemoryBIOFactory


class PassedSockets:
    """A reactor whose `listenTCP` and `listenSSL` use the sockets that were passed, in order.

    Port and interface are ignored: the parent has bound the sockets.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._passed: deque[tuple[int, int]] = deque()
        self._had: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenTCP(
        self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = ""
    ) -> Any:
        descriptor, family = self._passed.popleft()
        try:
            return self._reactor.adoptStreamPort(descriptor, family, factory)
        finally:
            os.close(descriptor)

    def listenSSL(
        self,
        port: int,
        factory: IProtocolFactory,
        contextFactory: Any,
        backlog: int = 50,
        interface: str = "",
    ) -> Any:
        return self.listenTCP(port, TLSMemoryBIOFactory(contextFactory, False, factory))

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
