"""Attempts at several addresses over a reactor without sockets."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectionRefusedError
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from aprp.upstream.http.dialing import dial


class DialTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor: Any = MemoryReactorClock()

    def dial(self, *addresses: str) -> Deferred[IProtocol]:
        return dial(self.reactor, addresses, 80, Factory.forProtocol(Protocol))

    @property
    def tried(self) -> list[str]:
        return [host for host, *_ in self.reactor.tcpClients]

    def refuse(self, number: int, error: Exception | None = None) -> None:
        failure = Failure(error or ConnectionRefusedError())
        self.reactor.tcpClients[number][2].clientConnectionFailed(None, failure)

    def accept(self, number: int) -> None:
        protocol = self.reactor.tcpClients[number][2].buildProtocol(None)
        protocol.makeConnection(StringTransport())

    def ended(self) -> list[bool]:
        return [connector.stoppedConnecting for connector in self.reactor.connectors]

    def test_the_next_after_a_moment(self) -> None:
        self.dial("::1", "::2", "1.1.1.1")
        self.assertEqual(self.tried, ["::1"])
        self.reactor.advance(0.24)
        self.assertEqual(self.tried, ["::1"])
        self.reactor.advance(0.01)
        self.assertEqual(self.tried, ["::1", "1.1.1.1"])
        self.reactor.advance(0.25)
        self.assertEqual(self.tried, ["::1", "1.1.1.1", "::2"])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_the_next_at_once_where_one_fails(self) -> None:
        dialling = self.dial("::1", "1.1.1.1", "1.1.1.2")
        self.refuse(0)
        self.assertEqual(self.tried, ["::1", "1.1.1.1"])
        self.reactor.advance(0.2)
        self.refuse(1)
        self.assertEqual(self.tried, ["::1", "1.1.1.1", "1.1.1.2"])
        self.assertNoResult(dialling)

    def test_the_first_that_accepts_ends_the_others(self) -> None:
        dialling = self.dial("::1", "1.1.1.1", "1.1.1.2")
        self.reactor.advance(0.25)
        self.accept(1)
        self.successResultOf(dialling)
        self.assertEqual(self.ended(), [True, False])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_all_have_failed(self) -> None:
        """The address that the system prefers says why."""
        dialling = self.dial("1.1.1.1", "::1")
        self.refuse(0)
        self.refuse(1, ConnectError())
        self.failureResultOf(dialling, ConnectionRefusedError)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_left(self) -> None:
        dialling = self.dial("::1", "1.1.1.1", "1.1.1.2")
        self.reactor.advance(0.25)
        dialling.cancel()
        self.failureResultOf(dialling, CancelledError)
        self.assertEqual(self.ended(), [True, True])
        self.assertEqual(self.reactor.getDelayedCalls(), [])
