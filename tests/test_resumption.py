"""A body that breaks is gone on with, or the client is cut: the rule, and over real sockets."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http.answer_plan import ResponseSummary
from aprp.core.http.ranges import ContentRange, Range
from aprp.core.http.validators import ETag, Validators, format_date
from aprp.core.recovery.pauses import PAUSES, Pauses
from aprp.core.recovery.resumption import (
    Changed,
    FileVersion,
    continuation,
)
from aprp.web.access_log import as_json
from tests.support.client import get
from tests.support.origin import Origin
from tests.support.proxied_case import ProxyCase
from tests.support.replies import Close, End, File, Pattern, Received, Reply, Reset, Stall, status
from tests.support.responses import Response

SIZE = 300_000
CONTENT = Pattern(SIZE)
ALL = CONTENT[0:SIZE]
BREAKS: tuple[End, ...] = (Close(), Reset(), Stall())
OLD, NOW = 1_000_000, 1_000_100


class PausesTest(SynchronousTestCase):
    def test_at_once_then_growing_up_to_a_bound_until_the_time_is_over(self) -> None:
        pauses, now, seen = Pauses(30.0), 0.0, []
        while (pause := pauses.broke(now)) is not None:
            seen.append(pause)
            now += pause
        self.assertEqual(seen[: len(PAUSES)], list(PAUSES))
        self.assertEqual(max(seen), PAUSES[-1])
        self.assertEqual(sorted(seen[:-1]), seen[:-1])
        self.assertEqual(now, 30.0)

    def test_progress_begins_anew(self) -> None:
        pauses = Pauses(1.0)
        self.assertEqual((pauses.broke(0.0), pauses.broke(0.5)), (0.0, PAUSES[1]))
        pauses.progressed()
        self.assertEqual((pauses.broke(5.0), pauses.broke(5.5), pauses.broke(6.0)), (0, 0.25, None))


class ContinuationTest(SynchronousTestCase):
    TAG = ETag(b"v1")
    TAGGED = FileVersion(Validators(TAG, OLD, NOW), 100)
    DATED = FileVersion(Validators(None, OLD, NOW), 100)
    MISSING = Range(40, 100)

    def answer(
        self, code: int, validators: Validators, said: ContentRange | None = None, length: int = 60
    ) -> ResponseSummary:
        return ResponseSummary(code, length, validators, said)

    def part(self, validators: Validators, start: int = 40, stop: int = 100) -> ResponseSummary:
        said = ContentRange(Range(start, stop), 100)
        return self.answer(206, validators, said, stop - start)

    def test_what_is_gone_on_with(self) -> None:
        tagged, dated = self.TAGGED.validators, self.DATED.validators
        for version, answer, held in (
            (self.TAGGED, self.part(tagged), Range(40, 100)),
            (self.TAGGED, self.part(Validators(self.TAG)), Range(40, 100)),
            (self.TAGGED, self.part(tagged, 40, 70), Range(40, 70)),
            (self.TAGGED, self.answer(200, tagged, None, 100), Range(0, 100)),
            (self.DATED, self.part(dated), Range(40, 100)),
            (self.DATED, self.answer(200, dated, None, 100), Range(0, 100)),
            (self.TAGGED, self.answer(503, Validators()), None),
            (self.TAGGED, self.answer(508, Validators()), None),
            (self.TAGGED, self.answer(429, Validators()), None),
        ):
            self.assertEqual(continuation(version, self.MISSING, answer), held, answer)

    def test_what_is_another_version_or_no_answer(self) -> None:
        tagged, dated = self.TAGGED.validators, self.DATED.validators
        other, later = Validators(ETag(b"v2"), OLD, NOW), Validators(None, OLD + 1, NOW)
        for version, answer in (
            (self.TAGGED, self.part(other)),
            (self.TAGGED, self.part(Validators())),
            (self.TAGGED, self.part(Validators(ETag(b"v1", weak=True)))),
            (self.TAGGED, self.part(tagged, 41, 100)),
            (self.TAGGED, self.part(tagged, 39, 100)),
            (self.TAGGED, self.answer(206, tagged, None)),
            (self.TAGGED, self.answer(206, tagged, ContentRange(Range(40, 100), 101))),
            (self.TAGGED, self.answer(206, tagged, ContentRange(Range(40, 100), None))),
            (self.TAGGED, self.answer(206, tagged, ContentRange(Range(40, 100), 100), 59)),
            (self.TAGGED, self.answer(200, other, None, 100)),
            (self.TAGGED, self.answer(200, Validators(), None, 100)),
            (self.TAGGED, self.answer(200, tagged, None, 101)),
            (self.DATED, self.part(later)),
            (self.DATED, self.part(Validators())),
            (self.DATED, self.part(Validators(ETag(b"v2")))),
            (self.DATED, self.part(Validators(ETag(b"v2"), OLD, NOW))),
            (self.DATED, self.answer(200, later, None, 100)),
            (self.DATED, self.answer(200, Validators(), None, 100)),
            (self.DATED, self.answer(200, dated, None, 99)),
            (self.TAGGED, self.answer(404, Validators())),
            (self.TAGGED, self.answer(416, Validators())),
            (self.TAGGED, self.answer(302, Validators())),
            (self.TAGGED, self.answer(304, tagged)),
        ):
            with self.assertRaises(Changed, msg=repr(answer)):
                continuation(version, self.MISSING, answer)

    def test_which_versions_can_be_asked_for(self) -> None:
        for validators, resumable in (
            (Validators(self.TAG), True),
            (Validators(None, OLD, NOW), True),
            (Validators(ETag(b"v1", weak=True)), False),
            (Validators(ETag(b"v1", weak=True), OLD, NOW), False),
            (Validators(None, NOW, NOW), False),
            (Validators(None, OLD, None), False),
            (Validators(), False),
        ):
            self.assertEqual(FileVersion(validators, 100).resumable, resumable, validators)


class Script:
    """Answers with `file`; the n-th request (from 1) in `faults` by its fault instead."""

    def __init__(self, file: File, **faults: Any) -> None:
        self.file = file
        self.faults: dict[int, Callable[[Reply], Reply]] = {
            int(name[1:]): fault for name, fault in faults.items()
        }

    def __call__(self, received: Received) -> Reply:
        reply = self.file.reply(received)
        fault = self.faults.get(received.number)
        return reply if fault is None else fault(reply)


def broken(at: int, by: End) -> Callable[[Reply], Reply]:
    return lambda reply: reply.broken(at, by)


def instead(of_it: Reply, _: Reply) -> Reply:
    """Another reply in place of the one that belongs to the request."""
    return of_it


class ResumeTest(ProxyCase):
    async def film(self, script: Script, **route: Any) -> tuple[Origin, int]:
        settings: dict[str, Any] = {"between_bytes_timeout": 0.5, "resume_for": 4.0, **route}
        return await self.serve(script, **settings)

    def same(self, seen: Response, code: int = 200, body: bytes = ALL) -> None:
        self.assertEqual((seen.status, len(seen.body), seen.whole), (code, len(body), True))
        self.assertEqual(seen.body, body)

    def cut(self, seen: Response, most: int, body: bytes = ALL) -> None:
        self.assertFalse(seen.whole)
        self.assertLessEqual(len(seen.body), most)
        self.assertTrue(body.startswith(seen.body))

    async def test_a_whole_file_broken_at_any_byte(self) -> None:
        for by in BREAKS:
            for at in (0, 1, 16383, 65536, 200_000, SIZE - 1):
                origin, port = await self.film(Script(File(CONTENT), _1=broken(at, by)))
                self.same(await self.answer_to(port, get()))
                second = origin.requests[1]
                self.assertEqual(second.get(b"range"), b"bytes=%d-%d" % (at, SIZE - 1))
                self.assertEqual(second.get(b"if-range"), b'"v1"')
                self.assertEqual([each.resumes for each in self.records], [1])

    async def test_a_range_of_it(self) -> None:
        for by in BREAKS:
            origin, port = await self.film(Script(File(CONTENT), _1=broken(5000, by)))
            seen = await self.answer_to(port, get(b"/file", b"Range: bytes=1000-99999"))
            self.same(seen, 206, ALL[1000:100000])
            self.assertEqual(origin.requests[1].get(b"range"), b"bytes=6000-99999")

    async def test_several_ranges(self) -> None:
        fields = (b"Range: bytes=0-49999,100000-149999,299000-",)
        _, port = await self.film(Script(File(CONTENT)))
        good = await self.answer_to(port, get(b"/file", *fields))
        for number in range(1, 5):
            script = Script(File(CONTENT), **{f"_{number}": broken(700, Reset())})
            _, port = await self.film(script)
            seen = await self.answer_to(port, get(b"/file", *fields))
            self.assertEqual((seen.status, seen.whole), (206, True))
            self.assertEqual(parts_of(seen), parts_of(good))
            self.assertEqual([each.resumes for each in self.records], [number < 4])

    async def test_for_http_1_0(self) -> None:
        for file in (File(CONTENT), File(CONTENT, framing="chunked")):
            _, port = await self.film(Script(file, _1=broken(5000, Close())))
            seen = await self.answer_to(port, b"GET /file HTTP/1.0\r\n\r\n")
            if file.framing == "length":
                self.same(seen)
            else:
                self.cut(seen, 5000)

    async def test_a_part_in_chunks(self) -> None:
        for at in (0, 5000, 98998, 98999):
            for by in BREAKS:
                script = Script(File(CONTENT, framing="chunked"), _1=broken(at, by))
                _, port = await self.film(script)
                seen = await self.answer_to(port, get(b"/file", b"Range: bytes=1000-99999"))
                self.same(seen, 206, ALL[1000:100000])

    async def test_chunks_that_end_early_in_order(self) -> None:
        def short(reply: Reply) -> Reply:
            return Reply(reply.status, reply.fields, (ALL[1000:5000],), "chunked")

        _, port = await self.film(Script(File(CONTENT), _1=short))
        seen = await self.answer_to(port, get(b"/file", b"Range: bytes=1000-99999"))
        self.same(seen, 206, ALL[1000:100000])

    async def test_it_breaks_many_times(self) -> None:
        faults = {f"_{n}": broken(20_000, BREAKS[n % 2]) for n in range(1, 15)}
        _, port = await self.film(Script(File(CONTENT), **faults))
        self.same(await self.answer_to(port, get()))
        self.assertEqual([each.resumes for each in self.records], [14])

    async def test_an_upstream_that_ignores_ranges(self) -> None:
        script = Script(File(CONTENT, ranges=False), _1=broken(5000, Close()))
        _, port = await self.film(script)
        self.same(await self.answer_to(port, get()))
        script = Script(File(CONTENT, ranges=False), _1=broken(5000, Close()))
        _, port = await self.film(script)
        seen = await self.answer_to(port, get(b"/file", b"Range: bytes=1000-99999"))
        self.same(seen, 206, ALL[1000:100000])

    async def test_by_last_modified(self) -> None:
        for date in (File(CONTENT).date, None):  # None: it is dated by its receipt
            file = File(CONTENT, etag=None, date=date)
            origin, port = await self.film(Script(file, _1=broken(5000, Close())))
            self.same(await self.answer_to(port, get()))
            self.assertEqual(origin.requests[1].get(b"if-range"), file.last_modified)

    async def test_without_a_strong_validator_the_client_is_cut(self) -> None:
        for file in (
            File(CONTENT, etag=None, last_modified=None),
            File(CONTENT, etag=b'W/"v1"'),
            File(CONTENT, etag=None, last_modified=b"yesterday"),
            File(CONTENT, etag=None, date=File(CONTENT).last_modified),
            File(CONTENT, etag=None, last_modified=format_date(int(self.seconds()) - 5), date=None),
            File(CONTENT, framing="chunked"),
            File(CONTENT, etag=b"v1", last_modified=None),
        ):
            for by in BREAKS:
                origin, port = await self.film(Script(file, _1=broken(5000, by)))
                self.cut(await self.answer_to(port, get()), 5000)
                self.assertEqual(len(origin.requests), 1)
                await self.soon(lambda: len(self.records) == 1)
                record = self.records[0]
                self.assertEqual((record.ended, record.resumes, record.status), ("cut", 0, 200))

    async def test_what_was_received_reaches_the_client_before_the_cut(self) -> None:
        _, port = await self.film(Script(File(CONTENT, etag=b'W/"v1"'), _1=broken(5000, Close())))
        seen = await self.answer_to(port, get())
        self.assertEqual((seen.status, len(seen.body), seen.whole), (200, 5000, False))

    async def test_a_file_that_changed_is_cut(self) -> None:
        other = Pattern(SIZE, seed=2)
        for changed in (
            File(other, etag=b'"v2"'),
            File(Pattern(SIZE + 1, seed=2), etag=b'"v1"'),
            File(other, etag=None, last_modified=b"Thu, 01 Jan 2026 00:00:01 GMT"),
            File(other, etag=b'W/"v1"'),
            File(other, etag=b'"v2"', ranges=False),
        ):
            script = Script(File(CONTENT), _1=broken(5000, Close()))
            origin, port = await self.film(script)
            file, script.file = script.file, changed
            script.faults[1] = partial(instead, file.reply(PLAIN_GET).broken(5000, Close()))
            self.cut(await self.answer_to(port, get()), 5000)
            self.assertEqual(len(origin.requests), 2)

    async def test_a_part_that_does_not_show_what_it_was_asked_by_is_cut(self) -> None:
        """An upstream that ignores If-Range sends a part of whatever it has by now."""
        tagged, untagged = File(CONTENT), File(CONTENT, etag=None)
        other = Pattern(SIZE, seed=2)
        for first, shown in (
            (tagged, {"etag": None, "last_modified": None}),
            (tagged, {"etag": None}),
            (tagged, {"etag": b'"v2"'}),
            (untagged, {"etag": None, "last_modified": None}),
            (untagged, {"etag": b'"v2"', "last_modified": None}),
            (untagged, {"etag": b'"v2"'}),
        ):
            later = replace(first, content=other, **shown)

            def answer(received: Received, first: File = first, later: File = later) -> Reply:
                if received.number == 1:
                    return first.reply(received).broken(5000, Close())
                return later.reply(without_if_range(received))

            origin, port = await self.serve(answer, resume_for=2.0)
            self.cut(await self.answer_to(port, get()), 5000)
            self.assertEqual(len(origin.requests), 2)

    async def test_other_answers_to_the_second_request(self) -> None:
        for reply in (
            status(404),
            status(416),
            status(302, (b"Location", b"/other")),
            status(304, (b"ETag", b'"v1"')),
        ):
            script = Script(File(CONTENT), _1=broken(5000, Close()), _2=lambda _, r=reply: r)
            _, port = await self.film(script)
            self.cut(await self.answer_to(port, get()), 5000)

    async def test_a_shifted_part_is_not_taken(self) -> None:
        def shifted(reply: Reply) -> Reply:
            said = (b"Content-Range", b"bytes 4999-%d/%d" % (SIZE - 2, SIZE))
            return reply.having(said)

        _, port = await self.film(Script(File(CONTENT), _1=broken(5000, Close()), _2=shifted))
        self.cut(await self.answer_to(port, get()), 5000)

    async def test_an_upstream_that_answers_503_for_a_while(self) -> None:
        def busy(_: Reply) -> Reply:
            return status(503, (b"Retry-After", b"1"), body=b"busy")

        script = Script(File(CONTENT), _1=broken(5000, Close()), _2=busy, _3=busy, _4=busy)
        _, port = await self.film(script)
        self.same(await self.answer_to(port, get()))
        self.assertEqual([each.resumes for each in self.records], [1])

    async def test_an_upstream_that_restarts(self) -> None:
        origin, port = await self.film(Script(File(CONTENT)))
        origin.rate = 500_000
        client = await self.client(port)
        await client.send(get())
        await client.until(lambda: len(client.data) > 50_000)
        await origin.stop()
        await self.wait(0.4)
        await origin.start()
        self.same((await client.answers([b"GET"]))[0])
        self.assertEqual([each.resumes for each in self.records], [1])

    async def test_an_upstream_that_does_not_come_back(self) -> None:
        origin, port = await self.film(Script(File(CONTENT)), resume_for=0.5)
        origin.rate = 500_000
        client = await self.client(port)
        await client.send(get())
        await client.until(lambda: len(client.data) > 50_000)
        began = self.seconds()
        await origin.stop()
        seen = (await client.answers([b"GET"]))[0]
        self.assertGreater(self.seconds() - began, 0.45)
        self.cut(seen, SIZE - 1)
        await self.soon(lambda: len(self.records) == 1)
        self.assertEqual((self.records[0].ended, self.records[0].resumes), ("cut", 0))
        self.assertEqual(self.records[0].error, "connection_refused")

    async def test_a_client_that_leaves_ends_the_tries(self) -> None:
        origin, port = await self.film(Script(File(CONTENT)))
        origin.rate = 500_000
        client = await self.client(port)
        await client.send(get())
        await client.until(lambda: len(client.data) > 50_000)
        await origin.stop()
        await self.end(client)
        await self.soon(lambda: len(self.records) == 1)
        self.assertEqual(self.records[0].ended, "client left")
        self.assertEqual(self.agent.connections, 0)

    async def test_the_json_log_counts_resumes(self) -> None:
        _, port = await self.film(Script(File(CONTENT), _1=broken(5000, Close())))
        await self.answer_to(port, get())
        self.assertEqual(json.loads(as_json(self.records[0]))["resumes"], 1)


def without_if_range(received: Received) -> Received:
    """What an upstream sees that doesn't know If-Range."""
    kept = tuple(pair for pair in received.fields if pair[0].lower() != b"if-range")
    return replace(received, fields=kept)


PLAIN_GET = Received(b"GET", b"/file", b"HTTP/1.1", (), b"", b"", 1, 1)


def parts_of(seen: Response) -> list[bytes]:
    """What stands between the boundaries."""
    kind = seen.get(b"content-type") or b""
    boundary = kind.partition(b"boundary=")[2]
    assert boundary, kind
    return seen.body.split(b"--" + boundary)
