"""What borrowed transports rely on in Twisted, without its documentation saying so."""

from __future__ import annotations

from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.tcp import Connection
from twisted.trial.unittest import TestCase

from aprp.upstream.splice.borrowed import Borrowed, splice_socket
from tests.support.client import reactor
from tests.support.eventually import eventually


class Side(Protocol):
    """One end of a connection."""

    def __init__(self) -> None:
        self.data = b""
        self.lost: Deferred[None] = Deferred()

    @property
    def wire(self) -> Any:
        """The transport."""
        return self.transport

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Any = None) -> None:
        self.lost.callback(None)


class BorrowedTests(TestCase):
    timeout = 20

    async def pair(self) -> tuple[Side, Side]:
        """Both ends of a connection, which end with the test."""
        accepted: list[Side] = []

        def build() -> Side:
            accepted.append(Side())
            return accepted[-1]

        port = reactor.listenTCP(0, Factory.forProtocol(build), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        endpoint = HostnameEndpoint(reactor, "127.0.0.1", port.getHost().port)
        one: Any = await endpoint.connect(Factory.forProtocol(Side))
        await eventually(lambda: accepted)
        for side in (one, accepted[0]):
            self.addCleanup(self.end, side)
        return one, accepted[0]

    async def end(self, side: Side) -> None:
        if side.transport is not None and not side.lost.called:
            side.wire.abortConnection()
            await side.lost

    def borrow(self, side: Side) -> tuple[Any, Borrowed]:
        handle = splice_socket(side.transport)
        assert handle is not None
        return side.transport, Borrowed(side.transport, handle)

    async def test_the_reactor_asks_the_transport_to_read(self) -> None:
        one, other = await self.pair()
        transport, borrowed = self.borrow(one)
        reads: list[bytes] = []

        def read() -> None:
            reads.append(transport.socket.recv(10))

        borrowed.replace_read(read)
        other.wire.write(b"borrowed")
        await eventually(lambda: reads)
        self.assertEqual((reads, one.data), ([b"borrowed"], b""))
        borrowed.give_back()
        other.wire.write(b"own")
        await eventually(lambda: one.data)
        self.assertEqual(one.data, b"own")

    async def test_the_reactor_asks_the_transport_to_write(self) -> None:
        one, _ = await self.pair()
        transport, borrowed = self.borrow(one)
        writes: list[bool] = []

        def write() -> None:
            writes.append(borrowed.unsent)
            transport.stopWriting()

        borrowed.replace_write(write)
        transport.startWriting()
        await eventually(lambda: writes)
        self.assertEqual(writes, [False])
        borrowed.give_back()

    async def test_what_the_transport_has_not_sent_shows_and_can_be_sent(self) -> None:
        one, other = await self.pair()
        transport, borrowed = self.borrow(one)
        self.assertFalse(borrowed.unsent)
        transport.write(b"head")
        self.assertTrue(borrowed.unsent)
        self.assertIsNone(borrowed.default_write())
        self.assertFalse(borrowed.unsent)
        await eventually(lambda: other.data)
        self.assertEqual(other.data, b"head")

    async def test_an_aborted_transport_stays_aborted(self) -> None:
        one, _ = await self.pair()
        transport, borrowed = self.borrow(one)
        borrowed.replace_read(lambda: None)
        borrowed.replace_write(lambda: None)
        transport.abortConnection()
        aborted = (transport.doRead, transport.doWrite)
        borrowed.give_back()
        self.assertEqual((transport.doRead, transport.doWrite), aborted)
        await one.lost
        self.assertEqual(borrowed.fileno(), -1)

    def test_the_names(self) -> None:
        for name in ("doRead", "doWrite", "TLS", "getHandle"):
            self.assertTrue(hasattr(Connection, name), name)
        descriptor = FileDescriptor()
        self.assertEqual((descriptor.dataBuffer, descriptor._tempDataBuffer), (b"", []))
