"""Connecting to one of several addresses, of which the first that accepts is used (RFC 8305
section 5); or to a Unix socket."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, UNIXClientEndpoint
from twisted.internet.interfaces import (
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.python.failure import Failure

from aprp.core.http.happy_eyeballs import STAGGER, interleaved

NO_TIMEOUT: Any = None
Wrap = Callable[[IStreamClientEndpoint], IStreamClientEndpoint]


def dial(
    reactor: Any,
    addresses: Sequence[str],
    port: int,
    factory: IProtocolFactory,
    wrap: Wrap = lambda endpoint: endpoint,
) -> Deferred[IProtocol]:
    """Connect to one of the addresses, IPv6 and IPv4 in turns.

    The next is tried when one failed, and after a short while beside it; the first connection
    wins, and the other attempts end. Fails as the first of them did when all have failed.
    Cancelling it ends all attempts; there is no deadline here. `wrap` puts TLS around an endpoint.
    """
    return _Race(reactor, interleaved(addresses), port, factory, wrap).begin()


def dial_unix(reactor: Any, path: str, factory: IProtocolFactory) -> Deferred[IProtocol]:
    """Connect to a Unix socket; there is no deadline here either."""
    endpoint = UNIXClientEndpoint(reactor, path, timeout=NO_TIMEOUT)
    connecting: Deferred[IProtocol] = endpoint.connect(factory)
    return connecting


class _Race:
    def __init__(
        self,
        reactor: Any,
        addresses: Sequence[str],
        port: int,
        factory: IProtocolFactory,
        wrap: Wrap,
    ) -> None:
        self._reactor = reactor
        self._left = list(addresses)
        self._port = port
        self._factory = factory
        self._wrap = wrap
        self._attempts: list[Deferred[Any]] = []
        self._timer: IDelayedCall | None = None
        self._failure: Failure | None = None
        self._over = False
        self._done: Deferred[IProtocol] = Deferred(lambda _: self._stop())

    def begin(self) -> Deferred[IProtocol]:
        self._next()
        return self._done

    def _next(self) -> None:
        self._stop_timer()
        address = self._left.pop(0)
        literal = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
        endpoint = self._wrap(literal(self._reactor, address, self._port, timeout=NO_TIMEOUT))
        attempt = endpoint.connect(self._factory)
        self._attempts.append(attempt)
        if self._left:
            self._timer = self._reactor.callLater(STAGGER, self._next)
        attempt.addCallbacks(self._won, self._lost, callbackArgs=(attempt,), errbackArgs=(attempt,))

    def _won(self, protocol: IProtocol, attempt: Deferred[Any]) -> None:
        self._attempts.remove(attempt)
        self._stop()
        self._done.callback(protocol)

    def _lost(self, failure: Failure, attempt: Deferred[Any]) -> None:
        if self._over:
            return
        self._attempts.remove(attempt)
        self._failure = self._failure or failure
        if self._left:
            self._next()
        elif not self._attempts:
            self._stop()
            self._done.errback(self._failure)

    def _stop(self) -> None:
        self._over = True
        self._stop_timer()
        attempts, self._attempts = self._attempts, []
        for attempt in attempts:
            attempt.cancel()

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
