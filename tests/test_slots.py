"""Slots and the connections that are opened for them: told when they are open, or given back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.reasons import Reason
from aprp.core.scheduling import messages as m
from aprp.upstream.errors import ConnectFailed, SourceError
from aprp.upstream.http.guard import AddressRefused
from aprp.upstream.transfer.shared import SharedResources
from aprp.upstream.transfer.slots import Slots
from aprp.upstream.transfer.source import TransferSource
from tests.test_remainders import Dropped

REFUSED = ConnectFailed("a:80", "refused the connection", kind="connection_refused")


class FakeAgent:
    """What slots need to know of the agent: how many connections there may be."""

    descriptors = SimpleNamespace(least_for_sources=64)


class FakeSource:
    """A source that opens connections when the test says so."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.transfer_id = ""
        self.spec = m.Source(name, connections=1)
        self.error: SourceError | None = None
        self.left = 0
        self.connecting: list[Deferred[float | None]] = []

    async def connect(self) -> float | None:
        opening: Deferred[float | None] = Deferred(lambda _: self._leave())
        self.connecting.append(opening)
        return await opening

    def _leave(self) -> None:
        self.left += 1


class Holder:
    """A transfer, as far as slots go."""

    def __init__(self, shared: SharedResources, *places: FakeSource) -> None:
        self.told: list[m.Event] = []
        self.failed: list[tuple[str, Reason]] = []
        remotes = {place.name: cast(TransferSource, place) for place in places}
        self.slots = Slots(shared, cast(Any, self), remotes, self.told.append, self._failed)
        shared.join(cast(Any, self), 1)

    held = 0

    def granted(self, source: str) -> None:
        self.slots.granted(source)

    def wanted(self) -> int:
        return 0

    def used(self) -> int:
        return 0

    def take_out(self, sources: frozenset[str]) -> None:
        pass

    def limit_window(self, window: int | None) -> None:
        """It holds nothing."""

    def _failed(self, remote: TransferSource, reason: Reason) -> None:
        self.failed.append((remote.name, reason))


class SlotsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.shared = SharedResources(cast(Any, FakeAgent()), Clock())
        self.place = FakeSource("a")
        self.one, self.other = Holder(self.shared, self.place), Holder(self.shared, self.place)
        self.one.slots.want("a", m.Urgency.HEAD)
        self.other.slots.want("a", m.Urgency.AHEAD)

    def test_a_slot_is_told_of_when_its_connection_is_open(self) -> None:
        self.assertEqual(self.one.told, [])
        self.place.connecting[0].callback(0.25)
        self.assertEqual(self.one.told, [m.Granted("a", ready=True, connect=0.25)])
        self.one.slots.release("a")
        self.place.connecting[1].callback(None)
        self.assertEqual(self.other.told, [m.Granted("a", ready=True)])

    def test_the_rest_of_a_dropped_response_makes_room_for_a_connection(self) -> None:
        self.place.connecting[0].callback(0.25)
        body = Dropped()
        self.shared.remainders.add(self.place.spec, cast(Any, body))
        self.assertFalse(body.was_cut)
        self.one.slots.release("a")
        self.assertTrue(body.was_cut)
        self.assertEqual(len(self.place.connecting), 2)

    def test_one_that_is_no_longer_wanted_goes_to_the_next(self) -> None:
        self.one.slots.withdraw("a")
        self.assertEqual(len(self.place.connecting), 1)
        self.place.connecting[0].callback(0.25)
        self.assertEqual(self.one.told, [])
        self.place.connecting[1].callback(None)
        self.assertEqual(self.other.told, [m.Granted("a", ready=True)])

    def test_wanted_again_while_it_is_being_opened(self) -> None:
        self.one.slots.withdraw("a")
        self.one.slots.want("a", m.Urgency.AHEAD)
        self.place.connecting[0].callback(0.25)
        self.assertEqual(self.one.told, [m.Granted("a", ready=True, connect=0.25)])
        self.assertEqual(len(self.place.connecting), 1)

    def test_a_change_of_mind_is_forgotten_with_its_slot(self) -> None:
        self.one.slots.withdraw("a")
        self.place.connecting[0].callback(0.25)
        self.other.slots.close()
        self.one.slots.want("a", m.Urgency.AHEAD)
        self.place.connecting[2].callback(None)
        self.assertEqual(self.one.told, [m.Granted("a", ready=True)])

    def test_what_cannot_be_connected_to(self) -> None:
        self.place.connecting[0].errback(REFUSED)
        self.assertEqual(self.one.told, [m.ConnectFailed("a", REFUSED.reason)])
        self.assertEqual(self.one.failed, [("a", REFUSED.reason)])
        self.assertIs(self.place.error, REFUSED)
        self.assertEqual(len(self.place.connecting), 2)

    def test_it_is_told_even_if_it_is_no_longer_wanted(self) -> None:
        self.one.slots.withdraw("a")
        self.place.connecting[0].errback(REFUSED)
        self.assertEqual(self.one.told, [m.ConnectFailed("a", REFUSED.reason)])

    def test_what_may_not_be_reached_is_told_by_the_request(self) -> None:
        """It isn't a failure to connect: what it means for the source is the attempt's to say."""
        self.place.connecting[0].errback(AddressRefused("a", "is private"))
        self.assertEqual(self.one.told, [m.Granted("a")])
        self.assertEqual(self.one.failed, [])

    def test_a_fault_of_our_own_gives_the_slot_back(self) -> None:
        self.place.connecting[0].errback(ZeroDivisionError())
        self.assertIsInstance(self.one.told[0], m.ConnectFailed)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(self.place.connecting), 2)

    def test_the_end_leaves_what_is_being_opened(self) -> None:
        self.one.slots.close()
        self.assertEqual(self.place.left, 1)
        self.one.slots.granted("a")
        self.assertEqual((self.one.told, self.one.failed), ([], []))
        self.place.connecting[1].callback(None)
        self.assertEqual(self.other.told, [m.Granted("a", ready=True)])
