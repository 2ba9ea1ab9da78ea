"""What is counted, logged and told of requests, on real sockets."""

from __future__ import annotations

from typing import Any

from twisted.logger import globalLogPublisher

from aprp.upstream.errors import BodyBroken, connect_failed
from aprp.web.problems import ADVICE, Problems
from tests.support.client import get
from tests.support.mirrored_case import SIZE, MirroredCase, honest
from tests.support.proxied_case import HELLO, fixed
from tests.support.replies import Received, Reply, Wait


class LoggedCase(MirroredCase):
    def setUp(self) -> None:
        super().setUp()
        self.events: list[dict[str, Any]] = []
        observer: Any = self.events.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def warnings(self) -> list[dict[str, Any]]:
        return [event for event in self.events if event["log_level"].name == "warn"]


class SourcesTests(LoggedCase):
    async def test_bytes_times_and_sources_of_a_transfer(self) -> None:
        origins = await self.mirrors(honest, honest)
        port = self.in_front_of(origins, path="/films/")
        got = await self.ask(port, "/films/f.mp4", {"Range": "bytes=0-1999999"})
        self.assertEqual(got.status, 206)
        (record,) = self.records
        self.assertEqual((record.ending, record.route), ("--", "/films/"))
        self.assertEqual(sum(n for _, n in record.sources) - record.duplicates, 2_000_000)
        assert record.first_byte is not None and record.longest_gap is not None
        self.assertTrue(0 < record.first_byte <= record.seconds)
        self.assertTrue(0 <= record.longest_gap <= record.seconds)
        tally = self.site.tallies.of("/films/")
        self.assertEqual(tally.sent, 2_000_000)
        for origin in origins:
            source = tally.sources[origin.url + "/"]
            self.assertGreaterEqual(source.received, dict(record.sources).get(source.name, 0))
            self.assertEqual(sum(source.latency.counts), source.requests)
            self.assertEqual(sum(source.errors.values()), 0)

    async def test_a_source_that_cannot_be_connected_to(self) -> None:
        origins = await self.mirrors(honest, honest)
        port = self.in_front_of(origins)
        await origins[1].stop()
        self.assertEqual((await self.ask(port, "/f")).status, 200)
        tally = self.site.tallies.of("/")
        self.assertGreater(tally.sources[origins[1].url + "/"].errors["connect"], 0)
        self.assertEqual(sum(tally.sources[origins[0].url + "/"].errors.values()), 0)
        self.assertEqual(sum(tally.errors.values()), 0)
        (problem,) = self.site.tallies.problems
        self.assertEqual(problem.advice, ADVICE["connection_refused"])
        (record,) = self.records
        lines = [event for event in self.events if event.get("transfer")]
        self.assertEqual({event["transfer"] for event in lines}, {record.id})

    async def test_what_no_source_has_is_no_error_of_theirs(self) -> None:
        missing = fixed(Reply(404))
        port = self.in_front_of(await self.mirrors(missing, missing))
        self.assertEqual((await self.ask(port, "/f")).status, 404)
        tally = self.site.tallies.of("/")
        self.assertEqual(tally.statuses[404], 1)
        self.assertEqual(sum(tally.errors.values()), 0)
        for source in tally.sources.values():
            self.assertEqual(sum(source.errors.values()), 0)
        self.assertEqual((list(self.site.tallies.problems), self.warnings()), ([], []))
        self.assertEqual(self.records[0].ending, "PR")

    async def test_what_one_source_lacks_is_counted(self) -> None:
        origins = await self.mirrors(fixed(Reply(404)), honest)
        self.assertEqual((await self.ask(self.in_front_of(origins), "/f")).status, 200)
        source = self.site.tallies.of("/").sources[origins[0].url + "/"]
        self.assertEqual((source.errors["missing"], source.failures), (1, 0))


class UpstreamTests(LoggedCase):
    async def test_a_failure_is_logged_once_a_minute(self) -> None:
        origin, port = await self.serve(fixed(HELLO), path="/up/")
        await origin.stop()
        for _ in range(3):
            self.assertEqual((await self.ask(port, "/up/f")).status, 502)
        (event,) = self.warnings()
        self.assertEqual(event["transfer"], self.records[0].id)
        self.assertEqual((event["route"], event["status"]), ("/up/", 502))
        self.assertIn("refused the connection", event["reason"])
        self.assertEqual(self.records[0].ending, "SH")

    async def test_bytes_of_an_upstream(self) -> None:
        origin, port = await self.serve(honest)
        self.assertEqual((await self.ask(port, "/f")).status, 200)
        (record,) = self.records
        self.assertEqual(record.sources, ((origin.url + "/", SIZE),))
        self.assertEqual(record.ending, "--")

    async def test_statuses_of_clients_are_no_errors(self) -> None:
        _, port = await self.serve(fixed(Reply(404, (), (b"no",))))
        self.assertEqual((await self.ask(port, "/f")).status, 404)
        await self.answer_to(port, b"GET /f HTTP/1.1\r\n\r\n")
        self.assertEqual(self.records[1].ending, "PR")
        self.assertEqual(self.warnings(), [])

    async def test_the_gap_in_which_an_upstream_is_silent(self) -> None:
        def slowly(received: Received) -> Reply:
            return Reply(200, (), (b"hello", Wait(0.3), b"world"))

        _, port = await self.serve(slowly)
        self.assertEqual((await self.ask(port, "/f")).body, b"helloworld")
        self.assertGreater(self.records[0].longest_gap or 0, 0.25)
        self.assertLess(self.records[0].first_byte or 9, 0.25)


class ProblemTests(LoggedCase):
    def test_an_untrusted_certificate_is_a_warning_once(self) -> None:
        problems = Problems(lambda: 7.0)
        for _ in range(3):
            problems.note("/f/", "https://a/", "tls_certificate_error", "a:443: isn't trusted")
        (problem,) = problems
        self.assertEqual((problem.count, problem.at), (3, 7.0))
        (event,) = self.warnings()
        self.assertIn("tls: {ca: FILE}", event["advice"])

    def test_the_last_ones_are_kept(self) -> None:
        problems = Problems()
        for number in range(200):
            problems.note("/f/", f"http://{number}/", "dns_error", "no address")
        self.assertEqual(len(list(problems)), 50)
        self.assertEqual(list(problems)[-1].source, "http://199/")

    def test_errors_of_every_kind_have_advice(self) -> None:
        for error in (BodyBroken("x", "closed the connection"), connect_failed("h:1", OSError())):
            self.assertIn(error.kind, ADVICE)


class EndingsTests(LoggedCase):
    async def test_what_the_proxy_stops_itself_is_no_error_of_the_source(self) -> None:
        origins = await self.mirrors(honest, honest, rates=(400_000.0, 400_000.0))
        port = self.in_front_of(origins)
        client = await self.client(port)
        await client.send(get(b"/f"))
        await client.until(lambda: client.received > 100_000)
        await self.end(client)
        await self.soon(lambda: bool(self.records))
        await self.soon(lambda: self.agent.connections == self.agent.idle)
        self.assertEqual(self.records[0].ending, "CD")
        for source in self.site.tallies.of("/").sources.values():
            self.assertEqual(sum(source.errors.values()), 0, source.error)

    async def test_an_answer_has_the_id_of_its_request_if_asked(self) -> None:
        (origin,) = await self.mirrors(honest)
        port = self.in_front_of([origin])
        got = await self.ask(port, "/f", {"Range": "bytes=0-9"})
        self.assertNotIn("X-Request-ID", got.fields)
        self.site.id_field = b"X-Request-ID"
        got = await self.ask(port, "/f", {"Range": "bytes=0-9"})
        self.assertEqual(got.fields["X-Request-ID"], self.records[1].id)
        self.assertNotEqual(self.records[0].id, self.records[1].id)
