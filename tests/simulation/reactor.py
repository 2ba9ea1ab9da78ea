"""A reactor on the simulated network, with Twisted's own TCP transports on simulated sockets.

What a daemon does with its transports (buffers, producers, half-closes, aborts, failures to
connect) is done by the code that does it in production; only the socket below is another.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from twisted.internet import tcp
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IHalfCloseableDescriptor,
    IHostnameResolver,
    IHostResolution,
    IReactorFDSet,
    IReactorFromThreads,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
)
from twisted.internet.main import CONNECTION_LOST
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.simulation.clock import SimulatedClock
from tests.simulation.network import Network
from tests.simulation.sockets import SimulatedSocket

MOST_DESCRIPTORS = 256


class SimulatedClient(tcp.Client):
    def createInternetSocket(self) -> Any:
        return SimulatedSocket(self.connector.reactor)


class SimulatedConnector(tcp.Connector):
    def _makeTransport(self) -> Any:
        return SimulatedClient(self.host, self.port, self.bindAddress, self, self.reactor)


class SimulatedPort(tcp.Port):
    def createInternetSocket(self) -> Any:
        reactor: Any = self.reactor
        return SimulatedSocket(reactor)


@implementer(IHostResolution)
class _Lookup:
    def __init__(self, name: str) -> None:
        self.name = name
        self.call: Any = None

    def cancel(self) -> None:
        if self.call is not None and self.call.active():
            self.call.cancel()


@implementer(IHostnameResolver)
class SimulatedNames:
    """Every name has the addresses and the delay that `answer` gives it; None: it never answers."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self.answer: Callable[[str], tuple[tuple[str, ...], float | None]] = lambda name: ((), 0.01)

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> _Lookup:
        addresses, delay = self.answer(hostName)
        lookup = _Lookup(hostName)
        resolutionReceiver.resolutionBegan(lookup)

        def told() -> None:
            for address in addresses:
                resolutionReceiver.addressResolved(IPv4Address("TCP", address, portNumber))
            resolutionReceiver.resolutionComplete()

        if delay is not None:
            lookup.call = self._clock.callLater(delay, told)
        return lookup


@implementer(
    IReactorTime,
    IReactorTCP,
    IReactorFDSet,
    IReactorFromThreads,
    IReactorPluggableNameResolver,
)
class SimulatedReactor:
    """One process at one host of the network. `most_descriptors` is the peak so far."""

    running = True

    def __init__(self, network: Network, host: str) -> None:
        self.network = network
        self.clock = network.clock
        self.host = host
        self.nameResolver: Any = SimulatedNames(network.clock)
        self.descriptors: dict[int, SimulatedSocket] = {}
        self.most_descriptors = 0
        self.starved = 0
        self._next_descriptor = 10
        self._readers: dict[Any, None] = {}
        self._writers: dict[Any, None] = {}
        self._looking: set[Any] = set()
        self._triggers: dict[str, list[tuple[Any, ...]]] = {}

    # Time

    def seconds(self) -> float:
        return self.clock.rightNow

    def callLater(self, delay: float, callable: Any, *args: Any, **kw: Any) -> Any:
        return self.clock.callLater(delay, callable, *args, **kw)

    def getDelayedCalls(self) -> Any:
        return self.clock.getDelayedCalls()

    def callFromThread(self, callable: Any, *args: Any, **kw: Any) -> None:
        self.clock.callLater(0, callable, *args, **kw)

    def getThreadPool(self) -> None:
        """There are no threads: see `tests.simulation.machine`."""

    def callWhenRunning(self, callable: Any, *args: Any, **kw: Any) -> None:
        callable(*args, **kw)

    # Life

    def addSystemEventTrigger(
        self, phase: str, event: str, callable: Any, *args: Any, **kw: Any
    ) -> Any:
        trigger = (callable, args, kw)
        self._triggers.setdefault(f"{phase} {event}", []).append(trigger)
        return trigger

    def removeSystemEventTrigger(self, trigger: Any) -> None:
        for triggers in self._triggers.values():
            if trigger in triggers:
                triggers.remove(trigger)

    def triggers(self, name: str) -> list[tuple[Any, ...]]:
        return list(self._triggers.get(name, ()))

    def stop(self) -> None:
        """The world ends processes itself."""

    def resolve(self, name: str, timeout: Any = None) -> Deferred[str]:
        return succeed(name)

    def installNameResolver(self, resolver: Any) -> Any:
        before, self.nameResolver = self.nameResolver, resolver
        return before

    def end_process(self) -> None:
        """What the kernel does for a process that exits: every descriptor is closed."""
        for descriptor in self.selectables():
            skt = getattr(descriptor, "socket", None)
            if skt is not None:
                skt.descriptor = None
                skt.close()
        self._readers.clear()
        self._writers.clear()

    def disconnect_all(self) -> None:
        """What Twisted does as its reactor stops."""
        for descriptor in self.selectables():
            self.removeReader(descriptor)
            self.removeWriter(descriptor)
            descriptor.connectionLost(Failure(CONNECTION_LOST))

    def selectables(self) -> list[Any]:
        return list(dict.fromkeys([*self._readers, *self._writers]))

    # Descriptors

    def take_descriptor(self, skt: SimulatedSocket) -> int:
        if len(self.descriptors) >= MOST_DESCRIPTORS:
            self.starved += 1
            raise OSError(errno.EMFILE, "Too many open files")
        self._next_descriptor += 1
        self.descriptors[self._next_descriptor] = skt
        self.most_descriptors = max(self.most_descriptors, len(self.descriptors))
        return self._next_descriptor

    def give_back(self, number: int) -> None:
        self.descriptors.pop(number, None)

    def addReader(self, reader: Any) -> None:
        self._readers[reader] = None
        self.look_at(reader)

    def addWriter(self, writer: Any) -> None:
        self._writers[writer] = None
        self.look_at(writer)

    def removeReader(self, reader: Any) -> None:
        self._readers.pop(reader, None)

    def removeWriter(self, writer: Any) -> None:
        self._writers.pop(writer, None)

    def removeAll(self) -> list[Any]:
        found = self.selectables()
        self._readers.clear()
        self._writers.clear()
        return found

    def getReaders(self) -> list[Any]:
        return list(self._readers)

    def getWriters(self) -> list[Any]:
        return list(self._writers)

    def look_at(self, descriptor: Any) -> None:
        """The descriptor may be ready: it is looked at in the next turn."""
        skt = getattr(descriptor, "socket", None)
        if skt is None:
            return
        skt.descriptor = descriptor
        if descriptor not in self._looking and self._ready(descriptor, skt):
            self._looking.add(descriptor)
            self.clock.callLater(0, self._turn, descriptor)

    def _ready(self, descriptor: Any, skt: SimulatedSocket) -> bool:
        return (descriptor in self._readers and skt.readable) or (
            descriptor in self._writers and skt.writable
        )

    def _turn(self, descriptor: Any) -> None:
        self._looking.discard(descriptor)
        skt = getattr(descriptor, "socket", None)
        why, is_read = None, False
        if skt is not None and descriptor in self._readers and skt.readable:
            why, is_read = descriptor.doRead(), True
        skt = getattr(descriptor, "socket", None)
        if why is None and skt is not None and descriptor in self._writers and skt.writable:
            why, is_read = descriptor.doWrite(), False
        if why is not None:
            self._lost(descriptor, why, is_read)
        self.look_at(descriptor)

    def _lost(self, descriptor: Any, why: BaseException, is_read: bool) -> None:
        self.removeReader(descriptor)
        done = isinstance(why, ConnectionDone)
        if is_read and done and IHalfCloseableDescriptor.providedBy(descriptor):
            descriptor.readConnectionLost(Failure(why))
            return
        self.removeWriter(descriptor)
        reason = why if isinstance(why, ConnectionDone | ConnectionLost) else ConnectionLost()
        descriptor.connectionLost(Failure(reason))

    # TCP

    def connectTCP(
        self, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: Any = None
    ) -> Any:
        connector = SimulatedConnector(host, port, factory, timeout, bindAddress, self)
        connector.connect()
        return connector

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        made = SimulatedPort(port, factory, backlog, interface or self.host, self)
        made.startListening()
        return made
