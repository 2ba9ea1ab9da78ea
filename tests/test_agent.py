"""Connections that are opened ahead of their first request, over a reactor without sockets."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import IPushProducer, ISSLTransport
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides

from aprp.core.http.fields import Fields
from aprp.upstream.errors import ConnectFailed, NoAnswer
from aprp.upstream.exchange import Exchange, Origin, SourceRequest, Timeouts
from aprp.upstream.http.agent import Agent
from aprp.upstream.http.connections import IDLE_SECONDS
from aprp.upstream.http.wire import FRESH, PLENTY, READ_MOST, READ_SIZE
from aprp.upstream.transfer.collector import Collector
from tests.support.names import FakeNames

PLAIN = Origin("http", "127.0.0.1", 80)
SECURE = Origin("https", "127.0.0.1", 443)
TIMEOUTS = Timeouts(5.0, 10.0, 10.0)
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Wire(StringTransport):
    """The far side of one connection, which is the test's."""

    protocol: Any
    bufferSize = READ_SIZE
    aborted = False
    negotiatedProtocol = None
    transport: Any

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing is held up here."""

    def abortConnection(self) -> None:
        self.aborted = True
        self.end()

    def loseConnection(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        if self.connected:
            self.connected = False
            self.protocol.connectionLost(Failure(ConnectionDone()))


class Pausing(Collector):
    """A receiver that is full once it has `most` bytes."""

    producer: Any
    got = 0

    def __init__(self, most: int | None) -> None:
        super().__init__()
        self.most = most

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.producer = producer

    def write(self, data: bytes) -> None:
        self.got += len(data)
        if self.most is not None and self.got >= self.most:
            self.producer.pauseProducing()


class AgentCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor: Any = MemoryReactorClock()
        self.agent = Agent(self.reactor)

    def connecting(self, origin: Origin = PLAIN) -> Deferred[float | None]:
        return Deferred.fromCoroutine(self.agent.connect(origin, TIMEOUTS.connect))

    def asking(self, origin: Origin = PLAIN, gather: float = 0.0) -> Deferred[Exchange]:
        request = SourceRequest(b"GET", origin, b"/f", Fields(), TIMEOUTS, gather=gather)
        return Deferred.fromCoroutine(self.agent.open(request))

    def accept(self, after: float = 0.0, tls: bool = False) -> Wire:
        """The connection asked for last is there, so many seconds later."""
        self.reactor.advance(after)
        wire = Wire()
        if tls:
            directlyProvides(wire, ISSLTransport)
            wire.transport = StringTransport()
        wire.protocol = self.reactor.tcpClients[-1][2].buildProtocol(None)
        wire.protocol.makeConnection(wire)
        return wire


class ConnectTests(AgentCase):
    def test_it_waits_for_the_request(self) -> None:
        connecting = self.connecting()
        self.assertNoResult(connecting)
        wire = self.accept(after=0.2)
        self.assertAlmostEqual(self.successResultOf(connecting) or 0.0, 0.2)
        self.assertEqual(wire.value(), b"")
        asking = self.asking()
        self.assertEqual(wire.value(), b"GET /f HTTP/1.1\r\n\r\n")
        wire.protocol.dataReceived(EMPTY)
        self.assertTrue(self.successResultOf(asking).reused)
        self.assertEqual(len(self.reactor.tcpClients), 1)

    def test_one_that_is_idle_will_do(self) -> None:
        self.asking()
        wire = self.accept()
        connecting = self.connecting()
        self.assertNoResult(connecting)
        wire.protocol.dataReceived(EMPTY)
        self.assertIsNone(self.successResultOf(self.connecting()))
        self.assertEqual(len(self.reactor.tcpClients), 2)
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)

    def test_whoever_asks_first_takes_it(self) -> None:
        self.connecting()
        first = self.accept()
        self.asking()
        self.assertIn(b"GET", first.value())
        other = self.asking()
        second = self.accept()
        second.protocol.dataReceived(EMPTY)
        self.assertFalse(self.successResultOf(other).reused)

    def test_it_is_closed_when_nothing_comes_of_it(self) -> None:
        self.connecting()
        wire = self.accept()
        self.reactor.advance(IDLE_SECONDS)
        self.assertTrue(wire.aborted)
        self.assertEqual(self.agent.connections, 0)
        self.assertNoResult(self.connecting())

    def test_a_source_that_hangs_up_on_a_new_one_is_not_asked_again(self) -> None:
        self.connecting()
        wire = self.accept()
        asking = self.asking()
        wire.end()
        self.failureResultOf(asking, NoAnswer)
        self.assertEqual(len(self.reactor.tcpClients), 1)

    def test_one_that_waited_may_have_been_closed_meanwhile(self) -> None:
        self.connecting()
        wire = self.accept()
        self.reactor.advance(FRESH)
        asking = self.asking()
        wire.end()
        self.accept().protocol.dataReceived(EMPTY)
        self.assertFalse(self.successResultOf(asking).reused)

    def test_left_before_it_is_there(self) -> None:
        connecting = self.connecting()
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        self.assertEqual(self.agent.connections, 0)
        self.assertTrue(self.reactor.connectors[0].stoppedConnecting)

    def test_why_there_is_none(self) -> None:
        connecting = self.connecting()
        self.reactor.tcpClients[0][2].clientConnectionFailed(
            None, Failure(ConnectionRefusedError())
        )
        failed = self.failureResultOf(connecting, ConnectFailed).value
        self.assertEqual(failed.kind, "connection_refused")
        self.assertEqual(str(failed), "127.0.0.1:80 refused the connection")


class NamedTests(AgentCase):
    """An origin with a name: finding its addresses is a part of connecting."""

    NAMED = Origin("https", "a.example", 443)

    def setUp(self) -> None:
        super().setUp()
        self.names = FakeNames()
        self.agent = Agent(self.reactor, self.names)

    def test_one_deadline_for_the_name_for_tcp_and_for_tls(self) -> None:
        for begin in (self.connecting, self.asking):
            opening = begin(self.NAMED)
            host, seconds, asker, _ = self.names.lookups[-1]
            self.assertEqual((host, seconds, asker), ("a.example", TIMEOUTS.connect, None))
            self.reactor.advance(2.0)
            self.names.answer("1.1.1.1")
            self.accept(after=2.0)
            self.reactor.advance(0.9)
            self.assertNoResult(opening)
            self.reactor.advance(0.1)
            failed = self.failureResultOf(opening, ConnectFailed).value
            self.assertIn("did not finish the TLS handshake in time", str(failed))
            self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_nobody_accepts_in_what_the_name_left(self) -> None:
        opening = self.connecting(self.NAMED)
        self.reactor.advance(4.0)
        self.names.answer("1.1.1.1", "1.1.1.2")
        self.reactor.advance(0.25)
        self.reactor.advance(0.65)
        self.assertNoResult(opening)
        self.reactor.advance(0.1)
        failed = self.failureResultOf(opening, ConnectFailed).value
        self.assertEqual(str(failed), "a.example:443 did not accept in time")
        self.assertEqual((failed.kind, failed.timed_out), ("connection_timeout", True))
        self.assertEqual([each.stoppedConnecting for each in self.reactor.connectors], [True] * 2)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_left_while_the_name_is_looked_up(self) -> None:
        opening = self.connecting(self.NAMED)
        opening.cancel()
        self.failureResultOf(opening, CancelledError)
        self.assertEqual(self.names.left, ["a.example"])

    def test_a_name_with_an_underscore(self) -> None:
        opening = self.connecting(Origin("http", "a_b.lan", 80))
        self.names.answer("10.0.0.1")
        self.accept()
        self.successResultOf(opening)

    def test_addresses_and_pinned_names_are_not_looked_up(self) -> None:
        self.connecting(Origin("http", "::1", 80))
        self.connecting(Origin("http", "a.example", 80, None, ("1.1.1.1",)))
        self.assertEqual([each[0] for each in self.reactor.tcpClients], ["::1", "1.1.1.1"])
        self.assertEqual(self.names.lookups, [])


class GatheringTests(AgentCase):
    """A body that comes in small pieces is read now and then, not piece by piece."""

    SIZE = 5 * PLENTY

    def begun(self, gather: float, tls: bool = False) -> tuple[Wire, Exchange, Collector]:
        """A body of which the first byte came, on its way into a collector."""
        asking, wire, taken = (
            self.asking(gather=gather),
            self.accept(tls=tls),
            Collector(self.SIZE),
        )
        if tls:
            wire.protocol.handshakeCompleted()
        wire.protocol.dataReceived(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % self.SIZE)
        exchange = self.successResultOf(asking)
        exchange.pump(taken).addErrback(lambda _: None)
        self.reactor.advance(1.0)
        wire.protocol.dataReceived(b"x")
        return wire, exchange, taken

    def test_a_small_piece_is_followed_by_a_rest(self) -> None:
        wire, _, taken = self.begun(0.004)
        self.assertEqual((taken.data, wire.producerState), (b"x", "paused"))
        self.reactor.advance(0.004)
        self.assertEqual(wire.producerState, "producing")

    def test_a_quick_source_rests_no_longer_than_plenty_takes(self) -> None:
        """More than that might not have room on the way, and would hold it up."""
        wire, _, _ = self.begun(0.004)
        self.reactor.advance(0.004)
        wire.protocol.dataReceived(bytes(PLENTY))
        self.reactor.advance(0.0005)
        wire.protocol.dataReceived(bytes(PLENTY // 4))
        self.reactor.advance(0.0019)
        self.assertEqual(wire.producerState, "paused")
        self.reactor.advance(0.0002)
        self.assertEqual(wire.producerState, "producing")

    def test_a_very_quick_one_never_rests(self) -> None:
        wire, _, _ = self.begun(0.004)
        self.reactor.advance(0.004)
        wire.protocol.dataReceived(bytes(PLENTY))
        self.reactor.advance(0.0001)
        wire.protocol.dataReceived(bytes(PLENTY // 4))
        self.assertEqual(wire.producerState, "producing")

    def test_a_large_one_is_not(self) -> None:
        wire, _, _ = self.begun(0.004)
        self.reactor.advance(0.004)
        wire.protocol.dataReceived(bytes(PLENTY))
        self.assertEqual(wire.producerState, "producing")

    def test_nor_is_what_comes_near_the_end(self) -> None:
        wire, _, taken = self.begun(0.004)
        self.reactor.advance(0.004)
        wire.protocol.dataReceived(bytes(4 * PLENTY))
        self.reactor.advance(1.0)
        wire.protocol.dataReceived(b"x")
        self.assertEqual(wire.producerState, "producing")
        wire.protocol.dataReceived(bytes(self.SIZE - 2 - 4 * PLENTY))
        self.assertEqual(len(taken.data), self.SIZE)
        self.assertIsNone(self.successResultOf(self.connecting()))

    def test_only_where_it_was_asked_for(self) -> None:
        wire, _, _ = self.begun(0.0)
        self.assertEqual(wire.producerState, "producing")

    def test_not_over_tls(self) -> None:
        """Each record is a piece, of which many may come with one read."""
        wire, _, _ = self.begun(0.004, tls=True)
        self.assertEqual(wire.producerState, "producing")

    def test_a_pause_of_the_consumer_is_longer(self) -> None:
        wire, exchange, _ = self.begun(0.004)
        producer = cast(IPushProducer, exchange)
        producer.pauseProducing()
        self.reactor.advance(0.004)
        self.assertEqual(wire.producerState, "paused")
        producer.resumeProducing()
        self.assertEqual(wire.producerState, "producing")

    def test_it_ends_at_once(self) -> None:
        wire, exchange, _ = self.begun(0.004)
        exchange.abort()
        self.assertTrue(wire.aborted)
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class ReadSizeTests(AgentCase):
    """How much is read at once depends on whether what was read is taken."""

    def begun(self, most: int | None = None) -> Wire:
        """A body on its way to a receiver that pauses once it has so many bytes."""
        asking, wire = self.asking(), self.accept()
        wire.protocol.dataReceived(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 30))
        self.successResultOf(asking).pump(Pausing(most)).addErrback(lambda _: None)
        return wire

    def test_a_full_read_is_followed_by_larger_ones(self) -> None:
        wire = self.begun()
        wire.protocol.dataReceived(bytes(READ_SIZE - 1))
        self.assertEqual(wire.bufferSize, READ_SIZE)
        wire.protocol.dataReceived(bytes(READ_SIZE))
        self.assertEqual(wire.bufferSize, READ_MOST)

    def test_less_is_read_at_once_for_a_receiver_that_pauses(self) -> None:
        wire = self.begun(READ_SIZE + 1)
        wire.protocol.dataReceived(bytes(READ_SIZE))
        self.assertEqual(wire.bufferSize, READ_MOST)
        wire.protocol.dataReceived(b"x")
        self.assertEqual((wire.producerState, wire.bufferSize), ("paused", READ_SIZE))

    def test_one_that_pauses_at_the_full_read_gets_no_larger_ones(self) -> None:
        wire = self.begun(READ_SIZE)
        wire.protocol.dataReceived(bytes(READ_SIZE))
        self.assertEqual((wire.producerState, wire.bufferSize), ("paused", READ_SIZE))


class HandshakeTests(AgentCase):
    """The same where the other side accepts, and says nothing of TLS."""

    def test_it_takes_no_longer_than_connecting_may(self) -> None:
        """TCP and TLS together, whether or not a request waits for them."""
        for begin in (self.connecting, self.asking):
            opening = begin(SECURE)
            wire = self.accept(after=1.0)
            self.reactor.advance(TIMEOUTS.connect - 1.1)
            self.assertNoResult(opening)
            self.reactor.advance(0.1)
            failed = self.failureResultOf(opening, ConnectFailed).value
            self.assertEqual((failed.kind, failed.timed_out), ("connection_timeout", True))
            self.assertTrue(wire.aborted)
            self.assertEqual(self.agent.connections, 0)
            self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_left_in_the_middle(self) -> None:
        connecting = self.connecting(SECURE)
        wire = self.accept()
        self.assertNotEqual(wire.value(), b"")
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        self.assertTrue(wire.aborted)
        self.assertEqual(self.agent.connections, 0)

    def test_something_else_than_tls(self) -> None:
        connecting = self.connecting(SECURE)
        self.accept().protocol.dataReceived(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        failed = self.failureResultOf(connecting, ConnectFailed).value
        self.assertEqual(failed.kind, "tls_protocol_error")

    def test_closed_in_the_middle(self) -> None:
        connecting = self.connecting(SECURE)
        self.accept().end()
        self.failureResultOf(connecting, NoAnswer)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
