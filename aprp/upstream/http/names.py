"""Names and their addresses: a reactor's resolver asked once, or answered for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IHostnameResolver,
    IHostResolution,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
)
from zope.interface import implementer


def lookup(reactor: Any, host: str, port: int) -> Deferred[list[str]]:
    """All addresses of a name, as texts, none of them twice; empty where it has none."""
    done: Deferred[list[str]] = Deferred()
    found: list[str] = []

    @implementer(IResolutionReceiver)
    class Receiver:
        def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
            """There is nothing to set up."""

        def addressResolved(self, address: Any) -> None:
            found.append(address.host)

        def resolutionComplete(self) -> None:
            if not done.called:
                done.callback(list(dict.fromkeys(found)))

    reactor.nameResolver.resolveHostName(Receiver(), host, port)
    return done


@implementer(IHostResolution)
class _Known:
    """A resolution that is over as soon as it begins."""

    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        """There is nothing to stop."""


@implementer(IHostnameResolver, IReactorPluggableNameResolver)
class PinnedNames:
    """A reactor to connect with, for which every name has just these addresses."""

    def __init__(self, reactor: Any, addresses: Sequence[str]) -> None:
        self._reactor = reactor
        self._addresses = addresses
        self.nameResolver = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        raise NotImplementedError("the names are pinned")

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        receiver: Any = resolutionReceiver
        resolution = _Known(hostName)
        receiver.resolutionBegan(resolution)
        for text in self._addresses:
            kind = IPv6Address if ":" in text else IPv4Address
            receiver.addressResolved(kind("TCP", text, portNumber))
        receiver.resolutionComplete()
        return resolution
