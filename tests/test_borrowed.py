"""What borrowed transports rely on in Twisted, without its documentation saying so."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import SSL4ClientEndpoint, TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions, DefaultOpenSSLContextFactory
from twisted.internet.tcp import Connection
from twisted.protocols.tls import BufferingTLSTransport
from twisted.trial.unittest import TestCase

from aprp.upstream.splice.borrowed import Borrowed, DirectWriter, splice_socket
from tests.support.client import reactor
from tests.support.eventually import eventually
from tests.support.patience import HANG
from tests.test_reverse_tls import LOOPBACK, Authority


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


class BorrowedCase(TestCase):
    """Two ends of a connection of Twisted's."""

    timeout = HANG

    async def pair(self) -> tuple[Side, Side]:
        """Both ends of a connection, which end with the test."""
        return await self._ends(
            partial(reactor.listenTCP, 0), partial(TCP4ClientEndpoint, reactor, "127.0.0.1")
        )

    async def tls_pair(self) -> tuple[Side, Side]:
        """The same over TLS, behind the handshake."""
        folder = Path(self.mktemp())
        folder.mkdir()
        Authority("ours").write_server(folder, LOOPBACK)
        context = DefaultOpenSSLContextFactory(
            str(folder / "server.key"), str(folder / "server.pem")
        )
        one, other = await self._ends(
            lambda factory, **where: reactor.listenSSL(0, factory, context, **where),
            lambda port: SSL4ClientEndpoint(reactor, "127.0.0.1", port, CertificateOptions()),
        )
        other.wire.write(b"hello")
        await eventually(lambda: one.data)
        return one, other

    async def _ends(
        self, listen: Callable[..., Any], towards: Callable[[int], Any]
    ) -> tuple[Side, Side]:
        accepted: list[Side] = []

        def build() -> Side:
            accepted.append(Side())
            return accepted[-1]

        port = listen(Factory.forProtocol(build), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        one: Any = await towards(port.getHost().port).connect(Factory.forProtocol(Side))
        await eventually(lambda: accepted)
        for side in (one, accepted[0]):
            self.addCleanup(self.end, side)
        return one, accepted[0]

    async def end(self, side: Side) -> None:
        if side.transport is not None and not side.lost.called:
            side.wire.abortConnection()
            await side.lost


class BorrowedTests(BorrowedCase):
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

    async def test_bytes_are_sent_at_once(self) -> None:
        one, other = await self.pair()
        DirectWriter(one.wire).write(b"at once")
        self.assertFalse(self.borrow(one)[1].unsent)
        await eventually(lambda: other.data)
        self.assertEqual(other.data, b"at once")

    async def test_bytes_wait_behind_others(self) -> None:
        one, other = await self.pair()
        writer = DirectWriter(one.wire)
        one.wire.write(b"first,")
        writer.write(b"second")
        self.assertEqual(b"".join(one.wire._tempDataBuffer), b"first,second")
        await eventually(lambda: len(other.data) == 12)
        self.assertEqual(other.data, b"first,second")

    async def test_what_the_socket_does_not_take_is_sent_later(self) -> None:
        one, other = await self.pair()
        other.wire.pauseProducing()
        data = bytes(range(256)) * 65536
        DirectWriter(one.wire).write(data)
        self.assertTrue(self.borrow(one)[1].unsent)
        other.wire.resumeProducing()
        await eventually(lambda: len(other.data) == len(data))
        self.assertEqual(other.data, data)

    async def test_pieces_are_sent_in_order(self) -> None:
        one, other = await self.pair()
        other.wire.pauseProducing()
        writer = DirectWriter(one.wire)
        pieces = [memoryview(bytes((number % 256,)) * 1000) for number in range(20_000)]
        writer.write_pieces(pieces[:100])
        self.assertFalse(self.borrow(one)[1].unsent)
        writer.write_pieces(pieces[100:110])
        self.assertTrue(self.borrow(one)[1].unsent, "few bytes wait for more")
        writer.write_pieces(pieces[110:])
        other.wire.resumeProducing()
        await eventually(lambda: len(other.data) == 20_000_000)
        self.assertEqual(other.data, b"".join(pieces))

    async def test_pieces_that_the_socket_takes_a_part_of(self) -> None:
        one, other = await self.pair()
        other.wire.pauseProducing()
        pieces = [bytes((number,)) * 65536 for number in range(200)]
        DirectWriter(one.wire).write_pieces(pieces)
        self.assertTrue(self.borrow(one)[1].unsent)
        other.wire.resumeProducing()
        await eventually(lambda: len(other.data) == 200 * 65536)
        self.assertEqual(other.data, b"".join(pieces))

    async def test_pieces_over_tls(self) -> None:
        one, other = await self.tls_pair()
        writer = DirectWriter(one.wire)
        one.wire.write(b"first,")
        writer.write_pieces([b"few,"])
        pieces = [bytes((number % 256,)) * 16_393 for number in range(400)]
        for at in range(0, 400, 20):
            writer.write_pieces(pieces[at : at + 20])
        one.wire.write(b",last")
        expected = b"first,few," + b"".join(pieces) + b",last"
        await eventually(lambda: len(other.data) == len(expected))
        self.assertEqual(other.data, expected)

    async def test_tls_that_is_ending(self) -> None:
        one, other = await self.tls_pair()
        one.wire.write(b"last")
        one.wire.loseConnection()
        DirectWriter(one.wire).write_pieces([b"x" * 100_000])
        await other.lost
        self.assertEqual(other.data, b"last")

    async def test_after_the_end_was_asked_for_the_transport_decides(self) -> None:
        for end in ("loseConnection", "loseWriteConnection"):
            one, other = await self.pair()
            one.wire.write(b"last")
            getattr(one.wire, end)()
            written: list[bytes] = []
            one.wire.write = written.append
            DirectWriter(one.wire).write(b"late")
            self.assertEqual(written, [b"late"], end)
            await eventually(partial(getattr, other, "data"))
            self.assertEqual(other.data, b"last")

    async def test_nothing_is_sent_on_an_aborted_or_borrowed_transport(self) -> None:
        one, other = await self.pair()
        transport, borrowed = self.borrow(one)
        borrowed.replace_write(lambda: None)
        DirectWriter(transport).write(b"behind the pipe")
        self.assertTrue(borrowed.unsent)
        transport.abortConnection()
        DirectWriter(transport).write(b"late")
        await other.lost
        self.assertEqual(other.data, b"")

    def test_the_names(self) -> None:
        for name in ("_handshakeDone", "_lostTLSConnection", "_aborted", "disconnecting", "_write"):
            self.assertTrue(hasattr(BufferingTLSTransport, name), name)
        for name in ("doRead", "doWrite", "TLS", "getHandle", "_writeDisconnecting"):
            self.assertTrue(hasattr(Connection, name), name)
        descriptor = FileDescriptor()
        self.assertEqual((descriptor.dataBuffer, descriptor._tempDataBuffer), (b"", []))
