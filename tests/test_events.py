"""`/events`: one snapshot a second for all who look, and what 500 transfers cost."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from aprp.config import SourceSettings, SourcesRoute, Url
from aprp.daemon.workers.merging import BRIEF
from aprp.upstream.http.agent import Agent
from aprp.upstream.transfer.shared import SharedResources
from aprp.upstream.transfer.trail import Mark, Trail
from aprp.web.admin.cached_marks import marks_of, received_of
from aprp.web.admin.events import MOST_VIEWERS
from aprp.web.admin.overview import Health, Overview
from aprp.web.admin.picture import LONGEST_BLOCK, Picture
from aprp.web.admin.snapshot import MOST_IN_BRIEF, MOST_IN_FULL, Snapshots
from aprp.web.from_cache import FromCache
from aprp.web.tallies import Tallies
from tests.support.admin_port import admin_site

A = "http://a.example/pub/"
ROUTE = SourcesRoute(path="/films/", sources=(SourceSettings(url=Url.parse(A)),))


class Watching:
    """A request that has not ended, as far as the page shows it."""

    class target:
        path = b"/films/<b>f.mp4"

    transfer = None
    from_cache: FromCache | None = None
    body_length = 0
    upgraded = False
    spliced = False
    route, client_host, method, code, startedWriting = "/films/", "192.0.2.7", b"GET", 206, 1

    def __init__(self, number: int) -> None:
        self.id, self.arrived = f"r-{number}", float(number)
        self.sentLength, self.owed = 250, 750


class Fetched:
    """A transfer of one source, `name`, that has ended and brought [start, stop)."""

    driver = None

    def __init__(self, name: str, start: int, stop: int) -> None:
        self.source_names = [name]
        self.received = {name: stop - start}
        self.trail = Trail()
        self.trail.asked(1, Mark(name, start, stop), ())
        self.trail.came(1, stop)


class EventsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        shared = SharedResources(Agent(self.clock), self.clock, 1_000_000)
        self.requests: list[Any] = []
        self.overview = Overview(
            Health("serving"), Tallies((ROUTE,)), shared, lambda: self.requests, lambda: 0
        )
        self.site = admin_site(self.overview, self.clock)

    def look(self) -> StringTransport:
        transport = StringTransport()
        protocol = self.site.buildProtocol(None)
        protocol.makeConnection(transport)
        protocol.dataReceived(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.addCleanup(protocol.connectionLost, connectionDone)
        return transport


class EventsTests(EventsCase):
    def test_a_snapshot_at_once_and_then_each_second(self) -> None:
        seen = self.look()
        head, _, body = seen.value().partition(b"\r\n\r\n")
        self.assertIn(b"text/event-stream", head)
        self.assertEqual(body.count(b"data: "), 1)
        for _ in range(3):
            self.clock.advance(1.0)
        self.assertEqual(seen.value().count(b"data: "), 4)

    def test_one_snapshot_for_all(self) -> None:
        made: list[int] = []
        make = Snapshots.make

        def counted(snapshots: Snapshots) -> bytes:
            made.append(1)
            return make(snapshots)

        self.patch(Snapshots, "make", counted)
        seen = [self.look() for _ in range(5)]
        self.clock.advance(1.0)
        self.assertEqual(len(made), 2)
        self.assertEqual({each.value().count(b"data: ") for each in seen}, {2})

    def test_none_is_made_while_nobody_looks(self) -> None:
        transport = StringTransport()
        protocol = self.site.buildProtocol(None)
        protocol.makeConnection(transport)
        protocol.dataReceived(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertNotEqual(self.clock.getDelayedCalls(), [])
        protocol.connectionLost(connectionDone)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_viewers_are_bounded(self) -> None:
        for _ in range(MOST_VIEWERS):
            self.look()
        self.assertIn(b" 503 ", self.look().value().split(b"\r\n")[0])

    def test_a_viewer_that_takes_nothing_misses_snapshots(self) -> None:
        seen = self.look()
        assert seen.producer is not None
        seen.producer.pauseProducing()
        for _ in range(9):
            self.clock.advance(1.0)
        self.assertEqual(seen.value().count(b"data: "), 1)
        seen.producer.resumeProducing()
        self.clock.advance(1.0)
        self.assertEqual(seen.value().count(b"data: "), 2)


class SnapshotTests(EventsCase):
    def test_a_configured_source_is_there_before_its_first_request(self) -> None:
        told = json.loads(Snapshots(self.overview).make())
        (route,) = told["routes"]
        (source,) = route["sources"]
        self.assertEqual((source["source"], source["state"]), (A, "unused"))

    def test_a_request_to_an_upstream_has_a_map(self) -> None:
        self.requests = [Watching(1)]
        snapshots = Snapshots(self.overview)
        snapshots.make()
        self.clock.advance(2.0)
        self.requests[0].sentLength, self.requests[0].owed = 500, 500
        (one,) = json.loads(snapshots.make())["running"]
        self.assertEqual((one["bytes_per_second"], one["position"]), (125, 500))
        self.assertEqual(one["whole"]["runs"], [[100, 1, 0], [100, 0, -1]])

    def test_bytes_from_the_cache_are_a_source_of_their_own(self) -> None:
        self.requests = [one := Watching(1)]
        one.sentLength, one.owed = 500, 500
        one.from_cache = taken = FromCache()
        taken.begin(10_000)
        taken.add(10_000, 300)
        (told,) = json.loads(Snapshots(self.overview).make())["running"]
        self.assertEqual((told["sources"], told["received"]), ([A, "cache"], [0, 300]))
        self.assertEqual((told["position"], told["whole"]["start"]), (10_500, 10_000))
        self.assertEqual(told["whole"]["runs"], [[60, 1, 1], [140, 0, -1]])
        self.assertNotIn("near", told)

    def test_what_was_fetched_and_what_was_not_are_in_one_map(self) -> None:
        taken = FromCache()
        taken.begin(0)
        taken.add(0, 3 * LONGEST_BLOCK)
        fetched: Any = Fetched("b", 3 * LONGEST_BLOCK, 4 * LONGEST_BLOCK)
        taken.transfers.append(fetched)
        marks = marks_of(taken)
        self.assertEqual(received_of(taken, ["a"]), {"b": LONGEST_BLOCK, "cache": taken.count})
        picture = Picture(marks, {"b": 0, "cache": 1}, 4 * LONGEST_BLOCK)
        stop = 5 * LONGEST_BLOCK
        shown = [(75, 1, 1), (25, 1, 0)]
        self.assertEqual(picture.whole(0, stop, 125), [*shown, (25, 0, -1)])
        self.assertEqual(picture.near(0, stop, 125), [*shown, (25, 0, -1)])
        self.assertFalse(fetched.trail.marks[0].live)

    def test_500_requests_are_bounded(self) -> None:
        self.requests = [Watching(number) for number in range(500)]
        made = Snapshots(self.overview).make()
        told = json.loads(made)
        self.assertEqual(len(told["running"]), MOST_IN_FULL)
        self.assertEqual(told["running"][0]["id"], "r-0")
        self.assertEqual(len(told["brief"]), MOST_IN_BRIEF)
        self.assertEqual(set(told["brief"][0]), set(BRIEF))  # what several workers show
        self.assertEqual(told["others"], 500 - MOST_IN_FULL - MOST_IN_BRIEF)
        self.assertLess(len(made), 60_000)
