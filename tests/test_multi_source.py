"""What a client sees of a `sources:` route whose mirrors behave."""

from __future__ import annotations

from aprp.config import PathRanges, Same
from tests.support.mirrored_case import BYTES, SIZE, MirroredCase, honest
from tests.support.replies import File, Pattern, Received, Reply
from tests.support.responses import parts_of

MODIFIED = b"Thu, 01 Jan 2026 00:00:00 GMT"


class AnswerTests(MirroredCase):
    async def test_a_whole_file_from_three_mirrors(self) -> None:
        origins = await self.mirrors(honest, honest, honest, rates=(20e6, 20e6, 20e6))
        got = await self.ask(self.in_front_of(origins), "/film.mp4")
        self.assertEqual((got.status, got.whole, got.body == BYTES), (200, True, True))
        self.assertEqual(got.fields["Content-Length"], str(SIZE))
        self.assertEqual(got.fields["Content-Type"], "video/mp4")
        self.assertEqual(got.fields["Accept-Ranges"], "bytes")
        self.assertTrue(all(origin.requests for origin in origins))
        self.assertEqual({r.target for o in origins for r in o.requests}, {b"/film.mp4"})

    async def test_ranges_of_every_kind(self) -> None:
        port = self.in_front_of(await self.mirrors(honest, honest))
        for asked, start, stop in (
            ("bytes=0-99", 0, 100),
            ("bytes=1000000-1000000", 1000000, 1000001),
            (f"bytes={SIZE - 10}-", SIZE - 10, SIZE),
            ("bytes=-500", SIZE - 500, SIZE),
            (f"bytes=5-{SIZE * 2}", 5, SIZE),
        ):
            got = await self.ask(port, "/f", {"Range": asked})
            self.assertEqual((got.status, got.body == BYTES[start:stop]), (206, True), asked)
            self.assertEqual(got.fields["Content-Range"], f"bytes {start}-{stop - 1}/{SIZE}")

    async def test_several_ranges(self) -> None:
        port = self.in_front_of(await self.mirrors(honest, honest))
        got = await self.ask(port, "/f", {"Range": "bytes=0-9,2000000-2000019,-7"})
        self.assertEqual(got.status, 206)
        self.assertEqual(
            parts_of(got),
            [
                (f"bytes 0-9/{SIZE}", BYTES[:10]),
                (f"bytes 2000000-2000019/{SIZE}", BYTES[2000000:2000020]),
                (f"bytes {SIZE - 7}-{SIZE - 1}/{SIZE}", BYTES[-7:]),
            ],
        )

    async def test_a_range_beyond_the_end(self) -> None:
        port = self.in_front_of(await self.mirrors(honest, honest))
        for asked in (f"bytes={SIZE}-", "bytes=-0"):
            got = await self.ask(port, "/f", {"Range": asked})
            self.assertEqual(got.status, 416, asked)
            self.assertEqual(got.fields["Content-Range"], f"bytes */{SIZE}")

    async def test_one_of_two_ranges_is_beyond_the_end(self) -> None:
        port = self.in_front_of(await self.mirrors(honest))
        got = await self.ask(port, "/f", {"Range": f"bytes={SIZE + 5}-,3-4"})
        self.assertEqual((got.status, got.body), (206, BYTES[3:5]))

    async def test_a_range_in_the_path(self) -> None:
        origins = await self.mirrors(honest)
        port = self.in_front_of(origins, path_ranges=PathRanges.END)
        got = await self.ask(port, "/f.mp4/10/19")
        self.assertEqual((got.status, got.body), (206, BYTES[10:20]))
        head = await self.ask(port, "/f.mp4/10/19", method="HEAD")
        self.assertEqual((head.status, head.fields["Content-Length"]), (206, "10"))
        self.assertEqual({r.target for r in origins[0].requests}, {b"/f.mp4"})

    async def test_a_body_that_nothing_uses(self) -> None:
        """A small one is dropped, and the connection goes on; a large one isn't taken at all."""
        port = self.in_front_of(await self.mirrors(honest))
        client = await self.client(port)
        ask = b"GET /f HTTP/1.1\r\nHost: x\r\nRange: bytes=0-4\r\nContent-Length: %d\r\n\r\n"
        await client.send(ask % 1000 + bytes(1000) + ask % (40 << 20))
        first, second = await client.answers([b"GET", b"GET"])
        self.assertEqual((first.status, first.body), (206, BYTES[:5]))
        self.assertEqual((second.status, second.get(b"connection")), (413, b"close"))

    async def test_an_empty_file(self) -> None:
        file = File(b"")
        port = self.in_front_of(await self.mirrors(file.reply, file.reply))
        got = await self.ask(port, "/f")
        self.assertEqual((got.status, got.body, got.fields["Content-Length"]), (200, b"", "0"))

    async def test_head_asks_one_source_once(self) -> None:
        origins = await self.mirrors(honest, honest, honest)
        got = await self.ask(self.in_front_of(origins), "/f", method="HEAD")
        self.assertEqual((got.status, got.fields["Content-Length"]), (200, str(SIZE)))
        self.assertEqual([r.method for o in origins for r in o.requests], [b"HEAD"])

    async def test_other_methods_are_refused(self) -> None:
        origins = await self.mirrors(honest)
        port = self.in_front_of(origins)
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            for body in (b"", b"some"):
                got = await self.ask(port, "/f", method=method, body=body)
                self.assertEqual((got.status, got.fields["Allow"]), (405, "GET, HEAD"))
        self.assertEqual(origins[0].requests, [])

    async def test_a_small_range_fetches_little_more_than_itself(self) -> None:
        origins = await self.mirrors(honest, honest, honest)
        got = await self.ask(self.in_front_of(origins), "/f", {"Range": "bytes=0-65535"})
        self.assertEqual(got.body, BYTES[:65536])
        self.assertLessEqual(sum(origin.connections for origin in origins), 3)
        self.assertLess(sum(origin.bytes_sent for origin in origins), 3 * 65536 + 3000)

    async def test_a_single_file_is_named_by_its_url(self) -> None:
        origins = await self.mirrors(honest, honest)
        port = self.in_front_of(origins, base="/deep/film.mp4")
        for path in ("/", "/film.mp4"):
            got = await self.ask(port, path, {"Range": "bytes=7-9"})
            self.assertEqual(got.body, BYTES[7:10])
        targets = {r.target for origin in origins for r in origin.requests}
        self.assertEqual(targets, {b"/deep/film.mp4"})

    async def test_path_and_query_go_on_byte_for_byte(self) -> None:
        origins = await self.mirrors(honest)
        port = self.in_front_of(origins, path="/films", base="/a%2Fb/")
        await self.ask(port, "/films/x%2fy%7E~/%C3%A9?a=%20b&&c", {"Range": "bytes=0-1"})
        targets = {received.target for received in origins[0].requests}
        self.assertEqual(targets, {b"/a%2Fb/x%2fy%7E~/%C3%A9?a=%20b&&c"})

    async def test_what_is_asked_of_sources(self) -> None:
        origins = await self.mirrors(honest)
        port = self.in_front_of(origins, headers=(("X-Token", "abc"),), host="films.example")
        await self.ask(port, "/f", {"Cookie": "a=b", "Range": "bytes=0-1", "X-Mine": "no"})
        asked = origins[0].requests[0]
        self.assertEqual(asked.get(b"accept-encoding"), b"identity")
        self.assertEqual(asked.get(b"x-token"), b"abc")
        self.assertEqual(asked.get(b"host"), b"films.example")
        self.assertEqual(asked.all(b"cookie") + asked.all(b"x-mine"), [])
        self.assertEqual(origins[0].malformed, [])

    async def test_the_record_names_those_that_served(self) -> None:
        origins = await self.mirrors(honest, honest, rates=(10e6, 10e6))
        await self.ask(self.in_front_of(origins), "/f")
        record = self.records[0]
        self.assertEqual(record.upstream, ",".join(f"{origin.url}/" for origin in origins))
        self.assertEqual((record.status, record.ended, record.resumes), (200, "complete", 0))

    async def test_connections_are_kept_and_capped(self) -> None:
        origins = await self.mirrors(honest)
        port = self.in_front_of(origins, connections=2)
        for _ in range(5):
            await self.ask(port, "/f", {"Range": "bytes=100-199"})
        self.assertLessEqual(origins[0].connections, 2)
        got = await self.ask(port, "/f")
        self.assertEqual(got.body, BYTES)
        self.assertLessEqual(origins[0].most_open, 2)


class ValidatorTests(MirroredCase):
    def named(self, etag: bytes | None, modified: bytes | None = MODIFIED) -> File:
        return File(Pattern(SIZE), etag, modified)

    async def test_one_strong_tag_whoever_answers_and_after_a_restart(self) -> None:
        origins = await self.mirrors(self.named(b'"a"').reply, self.named(b'W/"b"').reply)
        tags = set()
        for order in (origins, origins[::-1]):
            for method in ("GET", "HEAD"):
                got = await self.ask(self.in_front_of(order), "/f", method=method)
                tags.add((got.fields["ETag"], got.fields["Last-Modified"]))
        self.assertEqual(len(tags), 1)
        tag, modified = tags.pop()
        self.assertRegex(tag, r'^"[0-9a-f]+"$')
        self.assertEqual(modified, MODIFIED.decode())
        other = await self.ask(self.in_front_of(origins), "/g", method="HEAD")
        self.assertNotEqual(other.fields["ETag"], tag)
        for alone, own in zip(origins, ('"a"', 'W/"b"'), strict=True):
            got = await self.ask(self.in_front_of([alone]), "/f", method="HEAD")
            self.assertEqual(got.fields["ETag"], own)

    async def test_if_range_goes_on_across_a_restart(self) -> None:
        origins = await self.mirrors(self.named(b'"a"').reply, self.named(b'"b"').reply)
        first = await self.ask(self.in_front_of(origins), "/f", {"Range": "bytes=0-9"})
        again = self.in_front_of(origins[::-1])
        for known in (first.fields["ETag"], first.fields["Last-Modified"]):
            got = await self.ask(again, "/f", {"Range": "bytes=10-", "If-Range": known})
            self.assertEqual((got.status, got.body == BYTES[10:]), (206, True))
        changed = await self.ask(again, "/f", {"Range": "bytes=10-", "If-Range": '"other"'})
        self.assertEqual((changed.status, changed.body == BYTES), (200, True))

    async def test_a_fresh_copy(self) -> None:
        origins = await self.mirrors(self.named(b'"a"').reply)
        port = self.in_front_of(origins)
        tag = (await self.ask(port, "/f", method="HEAD")).fields["ETag"]
        for fields in ({"If-None-Match": tag}, {"If-Modified-Since": MODIFIED.decode()}):
            got = await self.ask(port, "/f", fields)
            self.assertEqual((got.status, got.body, got.fields["ETag"]), (304, b"", tag))
        self.assertEqual({received.method for received in origins[0].requests}, {b"HEAD"})
        got = await self.ask(port, "/f", {"If-Match": '"other"'})
        self.assertEqual(got.status, 412)

    async def test_on_length_alone_no_copy_is_called_fresh(self) -> None:
        bare = self.named(None, None)
        for same in (Same.MODIFIED, Same.LENGTH):
            port = self.in_front_of(await self.mirrors(bare.reply), same=same)
            got = await self.ask(port, "/f", method="HEAD")
            self.assertEqual((got.fields["ETag"], got.fields["Last-Modified"]), (None, None))
            got = await self.ask(port, "/f", {"If-None-Match": "*", "Range": "bytes=0-1"})
            self.assertEqual((got.status, got.body), (206, BYTES[:2]))
            got = await self.ask(port, "/f", {"If-Range": '"a"', "Range": "bytes=5-6"})
            self.assertEqual((got.status, got.body == BYTES), (200, True))

    async def test_same_length_shows_no_date_of_one_source(self) -> None:
        origins = await self.mirrors(
            self.named(b'"a"').reply,
            self.named(b'"b"', b"Fri, 02 Jan 2026 00:00:00 GMT").reply,
            rates=(20e6, 20e6),
        )
        got = await self.ask(self.in_front_of(origins, same="length"), "/f")
        self.assertEqual((got.body == BYTES, got.fields["Last-Modified"]), (True, None))
        self.assertTrue(all(origin.requests for origin in origins))

    async def test_same_digest(self) -> None:
        def with_digest(value: bytes) -> Reply:
            def answer(received: Received) -> Reply:
                name = b'"%s"' % value[:3]
                reply = self.named(name).reply(received)
                return reply.having((b"Repr-Digest", b"sha-256=:%s:" % value))

            return answer  # type: ignore[return-value]

        answers = [with_digest(b"abc="), with_digest(b"abc="), self.named(b'"c"').reply]
        origins = await self.mirrors(*answers, rates=(20e6, 20e6, 20e6))  # type: ignore[arg-type]
        got = await self.ask(self.in_front_of(origins, same="digest"), "/f")
        self.assertEqual(got.body, BYTES)
        self.assertNotIn(origins[2].url, self.records[0].upstream or "")
