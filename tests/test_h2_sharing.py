"""Which connection carries the next request, and what is learned from bodies that share one."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http2.sharing import carrier
from aprp.core.scheduling import forecast
from aprp.core.scheduling import messages as m
from aprp.core.scheduling.messages import MIB, Source
from aprp.core.scheduling.ratings import Ratings
from aprp.core.scheduling.scheduler import Scheduler
from aprp.core.scheduling.source_state import SourceState
from aprp.core.scheduling.state import TransferState
from tests.support.h2_frames import settings
from tests.support.h2_mirror import H2Mirror
from tests.support.mirrored_case import MirroredCase
from tests.support.replies import File, Pattern, Received, Reply


class CarrierTests(SynchronousTestCase):
    def test_the_table(self) -> None:
        for loads, lanes, found in (
            ((), 1, None),
            ((0,), 1, 0),
            ((5,), 1, 0),
            ((5,), 2, None),
            ((0,), 2, 0),
            ((3, 2), 2, 1),
            ((2, 2), 2, 0),
            ((3, 0), 1, 0),
            ((3, 2, 0), 2, 1),
            ((3, 2), 3, None),
            ((3, 0), 3, 1),
        ):
            self.assertEqual(carrier(loads, lanes), found, (loads, lanes))


class LearningTests(SynchronousTestCase):
    """Two blocks of one source, each at half of its rate."""

    def learned(self, first: object, second: object) -> tuple[int, float]:
        ratings = Ratings()
        source = Source("a", connections=4)
        scheduler = Scheduler([source], 0, 64 * MIB, ratings, length=64 * MIB)
        rating = ratings.of("a")
        rating.answered(0.01, None, shared=first is not None)
        for at in range(1, 40):
            rating.came(40_000, 0.01, 1, at * 0.01)
        scheduler.handle(1.0, m.Started())
        for number, connection in ((1, first), (2, second)):
            actions = scheduler.handle(1.0, m.Granted("a", ready=True))
            fetch = next(each for each in actions if isinstance(each, m.Fetch))
            head = m.HeadCame(number, fetch.start, fetch.stop, 64 * MIB, None, connection)
            scheduler.handle(1.01, head)
        for at in range(1, 30):
            for number in (1, 2):
                scheduler.handle(1.01 + at * 0.01, m.BytesCame(number, 20_000))
        before = scheduler.lanes("a", 2.5)
        return before, rating.rate or 0.0

    def test_one_shared_connection_says_nothing_of_a_second(self) -> None:
        shared = object()
        lanes, rate = self.learned(shared, shared)
        self.assertEqual(lanes, 4, "several connections are still to be tried")
        self.assertApproximates(rate, 4e6, 0.2e6)

    def test_two_connections_that_are_no_faster_are_not_tried_again_soon(self) -> None:
        for first, second in ((object(), object()), (None, None)):
            self.assertEqual(self.learned(first, second)[0], 1)


class SeveralTests(MirroredCase):
    """Real sockets: a source opens as many connections as make it faster."""

    origin_kind = H2Mirror

    async def test_where_each_connection_is_slow(self) -> None:
        film = Pattern(16_000_000)
        (origin,) = await self.mirrors(File(film).reply)
        assert isinstance(origin, H2Mirror)
        origin.each = 1e6
        port, began = self.in_front_of([origin], connections=4), self.seconds()
        got = await self.ask(port, "/f")
        self.assertTrue(got.body == film[0:16_000_000])
        self.assertGreater(16e6 / (self.seconds() - began), 1.5e6)
        self.assertIn(origin.connections, (3, 4))

    async def test_never_more_requests_at_once_than_connections(self) -> None:
        """Nor more connections, though the source takes one request at a time on each."""
        at_once: list[int] = []
        film = Pattern(200_000)

        def answer(received: Received) -> Reply:
            at_once.append(origin.serving)
            return File(film).reply(received)

        (origin,) = await self.mirrors(answer, latency=0.05)
        assert isinstance(origin, H2Mirror)
        origin._frames.begin = settings(max_concurrent_streams=1)
        port = self.in_front_of([origin], connections=2)
        asked = [Deferred.fromCoroutine(self.ask(port, f"/{n}")) for n in range(10)]
        for each in asked:
            self.assertTrue((await each).body == film[0:200_000])
        self.assertEqual((max(at_once), origin.connections), (2, 2))


class SpreadTests(SynchronousTestCase):
    def test_never_more_than_there_may_be(self) -> None:
        table = ((1, 4, 1), (2, 4, 2), (4, 4, 4), (8, 4, 4), (2, 2, 2), (3, 1, 1))
        for lanes, most, spread in table:
            source = SourceState(Source("a", connections=most), Ratings().of("a"), 0)
            source.rating.lanes = lanes
            state = TransferState([source], 0, 64 * MIB)
            self.assertEqual(forecast.spread(state, source, 0.0), spread, (lanes, most))

    def test_no_further_one_is_tried_near_the_end(self) -> None:
        for left, spread in ((64 * MIB, 2), (4 * MIB, 1)):
            source = SourceState(Source("a", connections=4), Ratings().of("a"), 0)
            for at in range(40):
                source.rating.came(40_000, 0.01, 1, at * 0.01)
            state = TransferState([source], 0, left)
            self.assertEqual(forecast.spread(state, source, 1.0), spread, left)
