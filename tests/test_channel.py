"""A client's connection at its end: nobody who takes nothing is waited for."""

from __future__ import annotations

from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase

from aprp.config import Settings, UpstreamRoute
from aprp.core.url import Url
from aprp.upstream.agent import Agent
from aprp.web.record import AccessRecord
from aprp.web.rules import Limits
from aprp.web.site import make_site

LIMITS = Limits(idle_seconds=20.0, linger_seconds=3.0)
CLOSING = b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Stuck(StringTransport):
    """A connection whose other side takes nothing, so that it never finishes closing."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class EndTest(SynchronousTestCase):
    def connected(self) -> Stuck:
        self.clock = MemoryReactorClock()
        self.records: list[AccessRecord] = []
        route = UpstreamRoute(path="/", upstream=Url.parse("http://192.0.2.9"))
        configured = Settings(listen=("tcp:0",), routes=(route,))
        site = make_site(configured, Agent(self.clock), self.records.append, self.clock, LIMITS)
        self.channel = site.buildProtocol(None)
        transport = Stuck()
        self.channel.makeConnection(transport)
        return transport

    def test_the_last_answer(self) -> None:
        transport = self.connected()
        self.channel.dataReceived(CLOSING)
        self.assertIn(b"204", transport.value())
        self.assertTrue(transport.disconnecting)
        self.clock.advance(19.0)
        self.assertFalse(transport.aborted)
        self.clock.advance(2.0)
        self.assertTrue(transport.aborted)

    def test_a_refusal(self) -> None:
        transport = self.connected()
        self.channel.dataReceived(b"nonsense\r\n")
        self.assertIn(b"400", transport.value())
        self.assertTrue(transport.disconnecting)
        self.clock.advance(2.0)
        self.assertFalse(transport.aborted)
        self.clock.advance(2.0)
        self.assertTrue(transport.aborted)

    def test_what_comes_behind_a_last_request_is_dropped(self) -> None:
        transport = self.connected()
        self.channel.dataReceived(CLOSING * 3)
        self.channel.dataReceived(CLOSING)
        self.assertEqual(transport.value().count(b"HTTP/1.1 204"), 1)
        self.assertEqual(len(self.records), 1)

    def test_records_stand_in_the_order_of_the_answers(self) -> None:
        self.connected()
        options = CLOSING.replace(b"Connection: close\r\n", b"")
        self.channel.dataReceived(options + b"GET /\x00 HTTP/1.1\r\n\r\n")
        self.assertEqual([each.status for each in self.records], [204, 400])
