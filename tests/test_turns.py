"""How many requests begin in one turn of the reactor."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.address import IPv4Address
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from aprp.config import Settings, UpstreamRoute
from aprp.core.http.urls import Url
from aprp.upstream.http.agent import Agent
from aprp.web.access_record import AccessRecord
from aprp.web.site import make_site
from aprp.web.turns import MOST, Turns


class FakeReactor:
    """As a reactor's clock; what is called later is called in the next turn."""

    def __init__(self) -> None:
        self.later: list[Callable[[], None]] = []

    def callLater(self, seconds: float, call: Callable[[], None]) -> None:
        self.later.append(call)

    def turn(self) -> None:
        later, self.later = self.later, []
        for call in later:
            call()


class TurnsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.turns = Turns(self.reactor)
        self.begun: list[int] = []

    def take(self, numbers: range) -> None:
        for number in numbers:
            self.turns.take(lambda number=number: self.begun.append(number))  # type: ignore[misc]

    def test_few_begin_at_once(self) -> None:
        self.take(range(MOST - 1))
        self.assertEqual(len(self.begun), MOST - 1)
        self.assertEqual(self.reactor.later, [])

    def test_a_herd_begins_over_several_turns_and_in_order(self) -> None:
        self.take(range(2 * MOST + 1))
        counts = [len(self.begun)]
        self.take(range(2 * MOST + 1, 3 * MOST))
        for _ in range(3):
            self.reactor.turn()
            counts.append(len(self.begun))
        self.assertEqual(counts, [MOST, 2 * MOST, 3 * MOST, 3 * MOST])
        self.assertEqual(self.begun, sorted(self.begun))
        self.take(range(MOST))
        self.assertEqual(len(self.begun), 4 * MOST)

    def test_one_that_leads_to_another(self) -> None:
        """As with an answer that is there at once, before the next request on its connection."""
        left = 3 * MOST

        def begin() -> None:
            nonlocal left
            left -= 1
            if left:
                self.turns.take(begin)

        self.turns.take(begin)
        self.assertEqual(left, 2 * MOST)
        for _ in range(2):
            self.reactor.turn()
        self.assertEqual(left, 0)


class HerdTests(SynchronousTestCase):
    def test_requests_of_a_site(self) -> None:
        """A client that leaves before its turn is logged, and nothing is requested for it."""
        reactor = MemoryReactorClock()
        route = UpstreamRoute(path="/", upstream=Url.parse("http://192.0.2.9"))
        records: list[AccessRecord] = []
        settings = Settings(listen=("tcp:0",), routes=(route,))
        site = make_site(settings, Agent(reactor), records.append, reactor)
        channels = []
        for _ in range(MOST + 2):
            channel = site.buildProtocol(IPv4Address("TCP", "192.0.2.1", 1))
            channel.makeConnection(StringTransport())
            channel.dataReceived(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
            channels.append(channel)
        self.assertEqual(len(reactor.tcpClients), MOST)
        self.assertEqual(len(site.in_flight), MOST + 2)
        channels[-1].connectionLost(Failure(ConnectionError()))
        self.assertEqual([record.ended for record in records], ["client left"])
        reactor.advance(0)
        self.assertEqual(len(reactor.tcpClients), MOST + 1)
        for channel in channels[:-1]:
            channel.connectionLost(Failure(ConnectionError()))
