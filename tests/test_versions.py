"""One version in one body: files that change while they are read, over real sockets.

Each request to a `Changing` source finds another version of the file, so that a body made of two
responses can't be one version.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from aprp.config import PathRanges
from tests.support.mirrored_case import BYTES, SIZE, MirroredCase, honest
from tests.support.origin import Origin, Responder
from tests.support.replies import (
    Close,
    End,
    File,
    Pairs,
    Pattern,
    Received,
    Reply,
    Reset,
    Stall,
    status,
)
from tests.support.responses import Response, parts_of

DATE = b"Fri, 02 Jan 2026 00:00:00 GMT"
WITHOUT_STRONG: tuple[dict[str, Any], ...] = (
    {"etag": None, "last_modified": None},
    {"etag": None, "last_modified": DATE, "date": DATE},
    {"etag": b'W/"v1"', "last_modified": None},
    {"etag": b'W/"v1"', "last_modified": DATE, "date": DATE},
)
"""Validators of which none is strong."""


def version(number: int, size: int = SIZE) -> Pattern:
    return Pattern(size, seed=number)


class Changing:
    """A file that is another one at each GET; the same validators stand for all of them."""

    def __init__(self, **validators: Any) -> None:
        self._validators = validators
        self.number = 0

    def __call__(self, received: Received) -> Reply:
        self.number += received.method == b"GET"
        fields = tuple(pair for pair in received.fields if pair[0].lower() != b"if-range")
        file = File(version(max(1, self.number)), **self._validators)
        return file.reply(replace(received, fields=fields))

    def broken_by(self, end: End) -> Responder:
        """The same, every body of which ends early."""
        return lambda received: self(received).broken(1_500_000, end)


class OneVersionTests(MirroredCase):
    def whose(self, changing: Sequence[Changing], body: bytes, start: int, stop: int) -> None:
        """The body has to be those bytes of one version."""
        most = max(each.number for each in changing)
        known = [version(number)[start:stop] for number in range(1, most + 1)]
        self.assertIn(body, known, f"no version of {most}")

    async def changing(self, count: int, **validators: Any) -> tuple[list[Changing], list[Origin]]:
        answers = [Changing(**validators) for _ in range(count)]
        return answers, await self.mirrors(*answers)

    async def test_a_whole_file_is_of_one_version(self) -> None:
        for validators in WITHOUT_STRONG:
            for count in (1, 2):
                files, origins = await self.changing(count, **validators)
                got = await self.ask(self.in_front_of(origins), "/f")
                self.assertEqual((got.status, got.whole, len(got.body)), (200, True, SIZE))
                self.whose(files, got.body, 0, SIZE)

    async def test_a_range_is_of_one_version(self) -> None:
        for validators in WITHOUT_STRONG:
            files, origins = await self.changing(1, **validators)
            port = self.in_front_of(origins)
            for text, start, stop in (
                ("bytes=0-99", 0, 100),
                ("bytes=1000-2999999", 1000, 3_000_000),
                ("bytes=500000-", 500_000, SIZE),
                ("bytes=-700000", SIZE - 700_000, SIZE),
            ):
                got = await self.ask(port, "/f", {"Range": text})
                self.assertEqual((got.status, got.whole), (206, True), text)
                self.assertEqual(
                    got.fields["Content-Range"], f"bytes {start}-{stop - 1}/{SIZE}", text
                )
                self.whose(files, got.body, start, stop)

    async def test_several_ranges_are_of_one_version(self) -> None:
        for ranges in (True, False):
            for validators in WITHOUT_STRONG:
                files, origins = await self.changing(1, ranges=ranges, **validators)
                asked = {"Range": "bytes=2000000-2000099,5-9,1000000-1500000"}
                got = await self.ask(self.in_front_of(origins), "/f", asked)
                self.assertEqual((got.status, got.whole), (206, True))
                parts = parts_of(got)
                known = [version(n) for n in range(1, files[0].number + 1)]
                spans = ((5, 10), (1_000_000, 1_500_001), (2_000_000, 2_000_100))
                right = [[each[a:b] for a, b in spans] for each in known]
                self.assertIn([data for _, data in parts], right)

    async def test_a_question_for_freshness_leads_to_one_version(self) -> None:
        for validators in WITHOUT_STRONG:
            files, origins = await self.changing(1, **validators)
            port = self.in_front_of(origins)
            got = await self.ask(port, "/f", {"If-None-Match": '"other"'})
            self.assertEqual((got.status, got.whole), (200, True))
            self.whose(files, got.body, 0, SIZE)

    async def test_a_short_file_takes_one_request(self) -> None:
        file = File(b"short", etag=None, last_modified=None)
        origins = await self.mirrors(file.reply)
        got = await self.ask(self.in_front_of(origins), "/f")
        self.assertEqual((got.status, got.body, got.fields["Content-Length"]), (200, b"short", "5"))
        self.assertEqual(len(origins[0].requests), 1)

    async def test_a_range_in_front_takes_one_request(self) -> None:
        file = File(Pattern(SIZE), etag=None, last_modified=None)
        origins = await self.mirrors(file.reply)
        got = await self.ask(self.in_front_of(origins), "/f", {"Range": "bytes=70-99"})
        self.assertEqual((got.status, got.body), (206, BYTES[70:100]))
        self.assertEqual(len(origins[0].requests), 1)

    async def test_where_it_breaks_the_client_is_cut(self) -> None:
        for by in (Close(), Reset(), Stall()):
            for validators in WITHOUT_STRONG:
                changing = Changing(**validators)
                origins = await self.mirrors(changing.broken_by(by))
                port = self.in_front_of(origins, between_bytes_timeout=0.3, resume_for=0.5)
                got = await self.ask(port, "/f")
                self.assertEqual((got.status, got.whole), (200, False))
                self.whose([changing], got.body, 0, len(got.body))

    async def test_a_source_that_can_be_combined_goes_before_one_that_cannot(self) -> None:
        origins = await self.mirrors(Changing(**WITHOUT_STRONG[0]), honest)
        got = await self.ask(self.in_front_of(origins), "/f")
        self.assertEqual((got.whole, got.body == BYTES), (True, True))

    async def test_it_does_not_wait_for_a_dead_one(self) -> None:
        files, origins = await self.changing(1, **WITHOUT_STRONG[0])
        silent = await self.mirrors(honest, lambda _: [Stall()])
        began = self.seconds()
        got = await self.ask(self.in_front_of([*origins, silent[1]]), "/f")
        self.whose(files, got.body, 0, SIZE)
        self.assertLess(self.seconds() - began, 5.0)

    async def test_the_operator_may_say_that_the_length_is_enough(self) -> None:
        file = File(Pattern(SIZE), etag=None, last_modified=None)
        origins = await self.mirrors(file.reply, file.reply, rates=(20e6, 20e6))
        got = await self.ask(self.in_front_of(origins, same="length"), "/f")
        self.assertEqual((got.whole, got.body == BYTES), (True, True))
        self.assertTrue(all(origin.requests for origin in origins))

    async def test_a_shared_strong_tag_combines(self) -> None:
        file = File(Pattern(SIZE), etag=b'"v1"', last_modified=None)
        origins = await self.mirrors(file.reply, file.reply, rates=(5e6, 5e6))
        got = await self.ask(self.in_front_of(origins), "/f")
        self.assertEqual((got.whole, got.body == BYTES), (True, True))
        sent = sum(origin.bytes_sent for origin in origins)
        self.assertLess(sent, 1.2 * SIZE)
        self.assertTrue(all(len(origin.requests) > 0 for origin in origins))


class IfRangeTests(MirroredCase):
    async def test_a_tag_joins_no_two_versions(self) -> None:
        """What a client was shown of the old file gets it the whole of the new one."""
        rows: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
            *((validators, {}) for validators in WITHOUT_STRONG),
            ({"etag": None, "last_modified": None}, {"same": "length"}),
            ({"etag": None}, {"same": "length"}),
        )
        for validators, options in rows:
            for count in (1, 2):
                await self.replaced_after_a_part(count, validators, options)

    async def replaced_after_a_part(
        self, count: int, validators: dict[str, Any], options: dict[str, Any]
    ) -> None:
        now = [1]
        answers = [lambda r: File(version(now[0]), **validators).reply(r)] * count
        port = self.in_front_of(await self.mirrors(*answers), **options)
        first = await self.ask(port, "/f", {"Range": "bytes=0-99"})
        self.assertEqual(first.status, 206)
        now[0] = 2
        for name in ("ETag", "Last-Modified"):
            if known := first.fields.get(name):
                got = await self.ask(port, "/f", {"Range": "bytes=100-", "If-Range": known})
                self.assertEqual(got.status, 200, (validators, options, known))
                self.assertEqual(got.body, version(2)[0:SIZE])

    async def test_a_digest_s_tag_does_not_depend_on_who_answers_first(self) -> None:
        def with_digests(text: bytes) -> Callable[[Received], Reply]:
            return lambda received: honest(received).having((b"Repr-Digest", text))

        answers = [with_digests(b"sha-512=:b=:, sha-256=:a=:"), with_digests(b"sha-256=:a=:")]
        origins = await self.mirrors(*answers)
        tags = set()
        for order in (origins, origins[::-1]):
            got = await self.ask(self.in_front_of(order, same="digest"), "/f", method="HEAD")
            tags.add(got.fields["ETag"])
        self.assertEqual(len(tags), 1)
        self.assertRegex(tags.pop(), '^"')


class ContinuationTests(MirroredCase):
    async def test_a_part_that_does_not_show_what_it_was_asked_by_is_not_used(self) -> None:
        """The only source breaks off, and then ignores If-Range."""
        tagged: dict[str, Any] = {"last_modified": None}
        dated: dict[str, Any] = {"etag": None}
        rows: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
            (tagged, {"etag": None}),
            (tagged, {"etag": b'"v2"'}),
            (dated, {"last_modified": None}),
            (dated, {"etag": b'"v2"', "last_modified": None}),
            ({}, {"etag": None, "last_modified": None}),
            ({}, {"etag": b'"v2"'}),
        )
        for first, shown in rows:
            old = File(version(1), **first)
            new = File(version(2), **{**first, **shown})

            def answer(received: Received, old: File = old, new: File = new) -> Reply:
                if received.number == 1:
                    return old.reply(received).broken(70_000, Close())
                kept = tuple(pair for pair in received.fields if pair[0].lower() != b"if-range")
                return new.reply(replace(received, fields=kept))

            origins = await self.mirrors(answer)
            port = self.in_front_of(origins, resume_for=0.5, connections=1)
            got = await self.ask(port, "/f")
            self.assertEqual((got.status, got.whole), (200, False), (first, shown))
            self.assertEqual(got.body, version(1)[0 : len(got.body)])


class MovedTests(MirroredCase):
    def moving(self, code: int, *fields: tuple[bytes, bytes]) -> tuple[list[bytes], Any]:
        places = [b"/v1"]
        versions = {b"/v1": File(version(1)), b"/v2": File(version(2), etag=b'"v2"')}

        def answer(received: Received) -> Reply:
            if received.target == b"/f":
                return status(code, (b"Location", places[-1]), *fields)
            return versions[received.target].reply(received)

        return places, answer

    async def after_a_move(
        self, code: int, *fields: tuple[bytes, bytes]
    ) -> tuple[Response, Origin]:
        places, answer = self.moving(code, *fields)
        (origin,) = await self.mirrors(answer)
        port = self.in_front_of([origin])
        got = await self.ask(port, "/f")
        self.assertEqual((got.whole, got.body == version(1)[0:SIZE]), (True, True))
        places.append(b"/v2")
        return await self.ask(port, "/f", {"Range": "bytes=5-99"}), origin

    async def test_a_temporary_redirect_holds_for_one_transfer(self) -> None:
        for code in (302, 303, 307):
            got, origin = await self.after_a_move(code)
            self.assertEqual(got.body, version(2)[5:100], code)
            targets = [received.target for received in origin.requests]
            self.assertLessEqual(targets.count(b"/f"), 3, "once in a transfer, or at its start")

    async def test_what_may_outlive_a_transfer(self) -> None:
        no_store = (b"Cache-Control", b"no-store")
        fresh = (b"Cache-Control", b"max-age=600")
        for code, fields, number in (
            (301, (), 1),
            (308, (), 1),
            (302, (fresh,), 1),
            (307, (fresh,), 1),
            (301, (no_store,), 2),
            (308, ((b"Cache-Control", b"max-age=0"),), 2),
            (303, (fresh,), 2),
            (302, (fresh, (b"Age", b"600")), 2),
        ):
            got, _ = await self.after_a_move(code, *fields)
            self.assertEqual(got.body, version(number)[5:100], (code, fields))

    async def test_two_nodes_lend_each_other_no_validators(self) -> None:
        """Requests that are redirected to two nodes at once: each is judged by its own node's."""
        nodes = await self.mirrors(honest, honest, honest)
        base, files = nodes[0], (File(version(1), b'"v1"'), File(version(2), b'"v2"'))
        turns = [0]

        def redirecting(received: Received) -> Reply:
            if received.target == b"/f":
                turns[0] += 1
                return status(302, (b"Location", b"/node%d" % (turns[0] % 2)))
            node = files[received.target == b"/node1"]
            kept = tuple(pair for pair in received.fields if pair[0].lower() != b"if-range")
            return node.reply(replace(received, fields=kept))

        base.answer = redirecting
        for _ in range(4):
            got = await self.ask(self.in_front_of([base], resume_for=1.0), "/f")
            self.assertEqual(got.status, 200)
            whole = (version(1)[0:SIZE], version(2)[0:SIZE])
            self.assertTrue(any(each.startswith(got.body) for each in whole))
            self.assertTrue(got.whole)


class UnknownLengthTests(MirroredCase):
    FILE = File(Pattern(SIZE), ranges=False, framing="chunked")

    async def test_it_is_relayed_from_one_source(self) -> None:
        for framing in ("chunked", "close"):
            file = replace(self.FILE, framing=framing)
            for count in (1, 2):
                origins = await self.mirrors(*[file.reply] * count)
                got = await self.ask(self.in_front_of(origins), "/f")
                self.assertEqual((got.status, got.whole), (200, True))
                self.assertEqual(got.body, BYTES)
                self.assertEqual(got.fields["Content-Length"], None)
                self.assertEqual(got.fields["Content-Type"], "video/mp4")

    async def test_a_short_range_is_cut_out(self) -> None:
        origins = await self.mirrors(self.FILE.reply)
        port = self.in_front_of(origins, path_ranges=PathRanges.END)
        for path, fields, start, stop in (
            ("/f", {"Range": "bytes=2000000-2000099"}, 2_000_000, 2_000_100),
            ("/f", {"Range": "bytes=0-0"}, 0, 1),
            ("/f/5/9", {}, 5, 10),
        ):
            got = await self.ask(port, path, fields)
            self.assertEqual((got.status, got.body), (206, BYTES[start:stop]))
            self.assertEqual(got.fields["Content-Range"], f"bytes {start}-{stop - 1}/*")
        got = await self.ask(port, "/f", {"Range": f"bytes={SIZE - 5}-{SIZE + 5}"})
        self.assertEqual((got.status, got.body), (206, BYTES[-5:]))
        self.assertEqual(got.fields["Content-Range"], f"bytes {SIZE - 5}-{SIZE - 1}/{SIZE}")
        got = await self.ask(port, "/f", {"Range": f"bytes={SIZE + 5}-{SIZE + 9}"})
        self.assertEqual((got.status, got.fields["Content-Range"]), (416, f"bytes */{SIZE}"))

    async def test_other_ranges_get_the_whole_or_nothing(self) -> None:
        origins = await self.mirrors(self.FILE.reply)
        port = self.in_front_of(origins, path_ranges=PathRanges.END)
        for text in ("bytes=5-", "bytes=-5", "bytes=0-1,5-6", "bytes=0-2999999"):
            got = await self.ask(port, "/f", {"Range": text})
            self.assertEqual((got.status, got.whole, got.body == BYTES), (200, True, True), text)
        got = await self.ask(port, "/f/5/")
        self.assertEqual(got.status, 502)

    async def test_head(self) -> None:
        origins = await self.mirrors(self.FILE.reply)
        got = await self.ask(self.in_front_of(origins), "/f", method="HEAD")
        self.assertEqual((got.status, got.fields["Content-Length"]), (200, None))

    async def test_where_it_breaks_the_client_is_cut(self) -> None:
        origins = await self.mirrors(lambda r: self.FILE.reply(r).broken(1_000_000, Close()))
        got = await self.ask(self.in_front_of(origins), "/f")
        self.assertEqual((got.status, got.whole), (200, False))
        self.assertEqual(got.body, BYTES[: len(got.body)])


def saying(file: File, fields: Pairs, received: Received) -> Reply:
    return file.reply(received).having(*fields)


class DescribingTests(MirroredCase):
    async def test_what_the_first_good_answer_says_of_the_file_goes_to_the_client(self) -> None:
        said = (
            (b"Cache-Control", b"max-age=60"),
            (b"Content-Disposition", b'attachment; filename="a, b.mp4"'),
            (b"Content-Language", b"de, en"),
            (b"Expires", b"Fri, 02 Jan 2026 01:00:00 GMT"),
            (b"Access-Control-Allow-Origin", b"*"),
            (b"Access-Control-Expose-Headers", b"Content-Length"),
            (b"Vary", b"Origin"),
        )
        unsaid = ((b"Set-Cookie", b"a=b"), (b"Server", b"x"), (b"X-Inner", b"10.0.0.1"))
        for file in (File(Pattern(SIZE)), UnknownLengthTests.FILE):
            origins = await self.mirrors(partial(saying, file, (*said, *unsaid)))
            port = self.in_front_of(origins)
            for fields, method in (({}, "GET"), ({"Range": "bytes=0-9"}, "GET"), ({}, "HEAD")):
                got = await self.ask(port, "/f", fields, method=method)
                for name, value in said:
                    self.assertEqual(got.fields[name.decode()], value.decode())
                for name, _ in unsaid:
                    self.assertEqual(got.fields[name.decode()], None)
