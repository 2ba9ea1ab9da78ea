"""What a client sees of a `sources:` route with a cache, and what the mirrors are asked."""

from __future__ import annotations

import gc
import socket
from itertools import pairwise
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from aprp.cache.cache import Cache
from aprp.config import RouteCacheSettings, Same
from aprp.core.choices import Duplicate
from tests.support.client import reactor
from tests.support.eventually import still
from tests.support.memory_store import MemoryStore
from tests.support.mirrored_case import BYTES, FILM, SIZE, MirroredCase, honest
from tests.support.origin import Origin
from tests.support.replies import File, Pattern, Received, Reply
from tests.support.responses import Response, parts_of

BLOCK = 65536
OTHER = Pattern(SIZE, 7)
FRESH = RouteCacheSettings(valid=3600.0)
ALWAYS = RouteCacheSettings(valid=0.0)


class CachedCase(MirroredCase):
    def setUp(self) -> None:
        super().setUp()
        self.store = MemoryStore(reactor, 0.001)
        self.cache = Cache(self.store, reactor)
        self.addCleanup(self.cache.close)

    def cached(self, origins: Any, **options: Any) -> int:
        return self.in_front_of(origins, **{"cache": FRESH, **options})

    def sent(self, origins: list[Origin]) -> int:
        return sum(origin.bytes_sent for origin in origins)

    def requests(self, origins: list[Origin]) -> int:
        return sum(len(origin.requests) for origin in origins)

    def status(self, got: Response) -> str:
        return str(got.fields["Cache-Status"]).removeprefix("aprp; ").split(";")[0]


class AnswerTests(CachedCase):
    async def test_the_second_answer_asks_nobody(self) -> None:
        origins = await self.mirrors(honest, honest, rates=(50e6, 50e6))
        port = self.cached(origins)
        first = await self.ask(port, "/film.mp4")
        asked = self.requests(origins)
        second = await self.ask(port, "/film.mp4")
        for got in (first, second):
            self.assertEqual((got.status, got.whole, got.body == BYTES), (200, True, True))
        self.assertEqual(self.requests(origins), asked)
        self.assertEqual((self.status(first), self.status(second)), ("fwd=uri-miss", "hit"))
        same = ("ETag", "Last-Modified", "Content-Type", "Content-Length", "Accept-Ranges")
        for name in same:
            self.assertEqual(first.fields.get(name), second.fields.get(name), name)
        self.assertEqual([record.cache for record in self.records], ["miss", "hit"])
        self.assertEqual([record.cached for record in self.records], [0, SIZE])

    async def test_validators_are_those_of_a_route_without_a_cache(self) -> None:
        origins = await self.mirrors(honest, honest)
        cached, plain = self.cached(origins), self.in_front_of(origins, cache="off")
        shown = set()
        for port in (cached, cached, plain):
            got = await self.ask(port, "/f", {"Range": "bytes=0-0"})
            shown.add((got.fields["ETag"], got.fields["Last-Modified"]))
        self.assertEqual(len(shown), 1)

    async def test_ranges_of_every_kind_twice(self) -> None:
        origins = await self.mirrors(honest, honest)
        port = self.cached(origins)
        for _ in range(2):
            for asked, start, stop in (
                ("bytes=0-99", 0, 100),
                ("bytes=1000000-1000000", 1000000, 1000001),
                ("bytes=65530-65545", 65530, 65546),
                (f"bytes={SIZE - 10}-", SIZE - 10, SIZE),
                ("bytes=-500", SIZE - 500, SIZE),
                (f"bytes=5-{SIZE * 2}", 5, SIZE),
            ):
                got = await self.ask(port, "/f", {"Range": asked})
                self.assertEqual((got.status, got.body == BYTES[start:stop]), (206, True), asked)
                self.assertEqual(got.fields["Content-Range"], f"bytes {start}-{stop - 1}/{SIZE}")
            got = await self.ask(port, "/f", {"Range": f"bytes={SIZE}-"})
            self.assertEqual((got.status, got.fields["Content-Range"]), (416, f"bytes */{SIZE}"))

    async def test_the_first_request_is_of_a_suffix(self) -> None:
        origins = await self.mirrors(honest)
        port = self.cached(origins)
        for _ in range(2):
            got = await self.ask(port, "/f", {"Range": "bytes=-500"})
            self.assertEqual((got.status, got.body == BYTES[-500:]), (206, True))
        self.assertEqual([r.method for r in origins[0].requests], [b"GET"])

    async def test_several_that_want_a_suffix_share_one_request(self) -> None:
        origins = await self.mirrors(honest, honest, latency=0.05)
        port = self.cached(origins)
        asked = [self.ask(port, "/f", {"Range": f"bytes=-{n}"}) for n in (500, 500, 500)]
        for got in await gatherResults(map(Deferred.fromCoroutine, asked)):
            self.assertEqual((got.status, got.body == BYTES[-500:]), (206, True))
        self.assertEqual(self.requests(origins), 1)

    async def test_a_stale_suffix_costs_one_request(self) -> None:
        for first in ({"Range": "bytes=-500"}, {"Range": "bytes=0-99"}):
            origins = await self.mirrors(honest)
            port = self.cached(origins, cache=ALWAYS, path=f"/{len(first['Range'])}/")
            for fields in (first, {"Range": "bytes=-500"}):
                path = f"/{len(first['Range'])}/f"
                got = await self.ask(port, path, fields)
            self.assertEqual((got.status, got.body == BYTES[-500:]), (206, True))
            self.assertEqual(self.requests(origins), 2)

    async def test_the_first_request_is_beyond_the_end(self) -> None:
        origins = await self.mirrors(honest)
        port = self.cached(origins)
        for _ in range(2):
            got = await self.ask(port, "/f", {"Range": f"bytes={SIZE + 5}-"})
            self.assertEqual((got.status, got.fields["Content-Range"]), (416, f"bytes */{SIZE}"))

    async def test_several_ranges_twice(self) -> None:
        origins = await self.mirrors(honest, honest)
        port = self.cached(origins)
        for _ in range(2):
            got = await self.ask(port, "/f", {"Range": "bytes=0-9,2000000-2000019,-7"})
            self.assertEqual(
                parts_of(got),
                [
                    (f"bytes 0-9/{SIZE}", BYTES[:10]),
                    (f"bytes 2000000-2000019/{SIZE}", BYTES[2000000:2000020]),
                    (f"bytes {SIZE - 7}-{SIZE - 1}/{SIZE}", BYTES[-7:]),
                ],
            )
        self.assertEqual(self.status(got), "hit")

    async def test_head_and_conditions(self) -> None:
        origins = await self.mirrors(honest)
        port = self.cached(origins)
        head = await self.ask(port, "/f", method="HEAD")
        self.assertEqual((head.status, head.fields["Content-Length"]), (200, str(SIZE)))
        tag = head.fields["ETag"]
        for fields, status in (
            ({"If-None-Match": tag}, 304),
            ({"If-Match": '"other"'}, 412),
            ({"Range": "bytes=1-5", "If-Range": tag}, 206),
            ({"Range": "bytes=1-5", "If-Range": '"other"'}, 200),
        ):
            got = await self.ask(port, "/f", fields)
            self.assertEqual(got.status, status, fields)
        self.assertEqual(origins[0].requests[0].method, b"HEAD")

    async def test_requests_that_want_nothing_but_the_cache(self) -> None:
        origins = await self.mirrors(honest)
        port = self.cached(origins)
        only = {"Cache-Control": "only-if-cached", "Range": "bytes=0-9"}
        self.assertEqual((await self.ask(port, "/f", only)).status, 504)
        self.assertEqual(origins[0].requests, [])
        await self.ask(port, "/f", {"Range": "bytes=0-9"})
        self.assertEqual((await self.ask(port, "/f", only)).body, BYTES[:10])
        count = len(origins[0].requests)
        unstored = {**only, "Cache-Control": "only-if-cached, no-store"}
        self.assertEqual((await self.ask(port, "/f", unstored)).status, 504)
        self.assertEqual(len(origins[0].requests), count)

    async def test_directives_for_caches_like_this_one(self) -> None:
        fields = ((b"Cache-Control", b"max-age=600"), (b"CDN-Cache-Control", b"no-store"))
        origins = await self.mirrors(lambda received: honest(received).having(*fields))
        for names, kept in (((), True), (("CDN-Cache-Control",), False)):
            settings = RouteCacheSettings(targeted=names)
            port = self.cached(origins, cache=settings, path=f"/{len(names)}/")
            for _ in range(2):
                got = await self.ask(port, f"/{len(names)}/f", {"Range": "bytes=0-9"})
            self.assertEqual((got.body, got.fields["CDN-Cache-Control"]), (BYTES[:10], "no-store"))
            self.assertEqual("hit" in got.fields.get("Cache-Status"), kept)

    async def test_an_empty_file(self) -> None:
        origins = await self.mirrors(File(b"").reply)
        port = self.cached(origins)
        for _ in range(2):
            got = await self.ask(port, "/f")
            self.assertEqual((got.status, got.body), (200, b""))

    async def test_a_route_without_its_cache(self) -> None:
        origins = await self.mirrors(honest)
        port = self.cached(origins, cache="off")
        for _ in range(2):
            got = await self.ask(port, "/f")
            self.assertNotIn("Cache-Status", got.fields)
        self.assertEqual(self.store.calls, [])


class SendingTests(CachedCase):
    async def test_hits_leave_by_sendfile(self) -> None:
        port = self.cached(await self.mirrors(honest))
        await self.ask(port, "/f")
        got = await self.ask(port, "/f", {"Range": "bytes=100-"})
        self.assertTrue(got.body == BYTES[100:])
        self.assertGreater(self.records[-1].spliced, SIZE // 2)

    async def test_a_limited_route_copies_and_keeps_its_rate(self) -> None:
        origins = await self.mirrors(honest)
        await self.ask(self.cached(origins), "/f")
        limited = self.cached(origins, limit_rate=4_000_000)
        began = self.seconds()
        got = await self.ask(limited, "/f")
        self.assertTrue(got.body == BYTES)
        self.assertGreater(self.seconds() - began, 0.8 * SIZE / 4e6)
        self.assertEqual((self.records[-1].cache, self.records[-1].spliced), ("hit", 0))

    async def test_two_hits_on_one_connection(self) -> None:
        port = self.cached(await self.mirrors(honest))
        await self.ask(port, "/f")
        client = await self.client(port)
        await client.send(b"GET /f HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
        for got in await client.answers([b"GET", b"GET"]):
            self.assertEqual((got.status, got.body == BYTES), (200, True))

    async def test_a_client_that_leaves_in_mid_hit(self) -> None:
        port = self.cached(await self.mirrors(honest))
        await self.ask(port, "/f")
        client = await self.client(port)
        await client.send(b"GET /f HTTP/1.1\r\nHost: x\r\n\r\n")
        await self.soon(lambda: len(client.data) > 100000)
        await self.end(client)
        await self.recorded(2)
        files = [file for files in self.store.files.values() for file in files]
        await self.soon(lambda: all(each.released for file in files for each in file.given))


class DeadMirrorsTests(CachedCase):
    async def test_a_stale_response_stands_in_if_all_of_it_is_stored(self) -> None:
        origins = await self.mirrors(honest)
        port = self.cached(origins, cache=ALWAYS)
        await self.ask(port, "/f", {"Range": "bytes=0-99999"})
        await origins[0].stop()
        for asked, status in (
            ("bytes=100-199", 206),
            ("bytes=0-9,20-29", 206),
            ("bytes=2000000-2000099", 502),
            ("bytes=100-", 502),
            ("bytes=-500", 502),
        ):
            got = await self.ask(port, "/f", {"Range": asked})
            self.assertEqual((got.status, got.whole), (status, True), asked)
            self.assertEqual(b"refused the connection" in got.body, status == 502)
        self.assertEqual((await self.ask(port, "/f", method="HEAD")).status, 200)


class SharingTests(CachedCase):
    async def test_ten_viewers_cost_one_film(self) -> None:
        origins = await self.mirrors(honest, honest, rates=(10e6, 10e6))
        port = self.cached(origins, duplicate=Duplicate.OFF)
        asking = [Deferred.fromCoroutine(self.ask(port, "/f")) for _ in range(10)]
        for got in await gatherResults(asking):
            self.assertEqual((got.status, got.body == BYTES), (200, True))
        self.assertLess(self.sent(origins), SIZE * 1.1)

    async def test_a_seek_ahead_of_another_viewer_costs_no_byte_twice(self) -> None:
        origins = await self.mirrors(honest, honest, rates=(2e6, 2e6))
        port = self.cached(origins, duplicate=Duplicate.OFF)
        first = Deferred.fromCoroutine(self.ask(port, "/f"))
        await self.soon(lambda: self.sent(origins) > 200000)
        asked = {"Range": f"bytes={2 << 20}-"}
        second = Deferred.fromCoroutine(self.ask(port, "/f", asked))
        self.assertTrue((await second).body == BYTES[2 << 20 :])
        self.assertTrue((await first).body == BYTES)
        self.assertLess(self.sent(origins), SIZE * 1.2)

    async def test_requests_for_an_unknown_file_wait_for_one(self) -> None:
        origins = await self.mirrors(honest)
        origins[0].latency = 0.1
        port = self.cached(origins)
        asking = [
            Deferred.fromCoroutine(self.ask(port, "/f", {"Range": "bytes=0-99"})) for _ in range(10)
        ]
        for got in await gatherResults(asking):
            self.assertEqual(got.body, BYTES[:100])
        self.assertEqual(self.requests(origins), 1)

    async def test_each_is_answered_when_the_file_is_missing(self) -> None:
        origins = await self.mirrors(lambda _: Reply(404))
        origins[0].latency = 0.1
        port = self.cached(origins)
        asking = [Deferred.fromCoroutine(self.ask(port, "/f")) for _ in range(5)]
        for got in await gatherResults(asking):
            self.assertEqual(got.status, 404)
        self.assertLessEqual(self.requests(origins), 2)

    async def test_the_first_of_them_leaves(self) -> None:
        origins = await self.mirrors(honest)
        origins[0].latency = 0.2
        port = self.cached(origins)
        client = await self.client(port)
        await client.send(b"GET /f HTTP/1.1\r\nHost: x\r\n\r\n")
        await self.soon(lambda: self.requests(origins))
        waiting = Deferred.fromCoroutine(self.ask(port, "/f"))
        await self.wait(0.05)
        await self.end(client)
        got = await waiting
        self.assertEqual((got.status, got.body == BYTES), (200, True))


class LittleViewedTests(CachedCase):
    """Viewers of a long film who see little of it; the mirror counts what it has sent."""

    LENGTH = 32 << 20

    async def begun(self) -> tuple[list[Origin], int]:
        self.viewers: list[socket.socket] = []
        film = File(Pattern(self.LENGTH))
        origins = await self.mirrors(film.reply)
        port = self.cached(origins)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.all_leave()))
        return origins, port

    async def all_leave(self) -> None:
        for viewer in self.viewers:
            viewer.close()
        await self.recorded(len(self.viewers))
        self.cache.close()
        await self.wait(0.1)

    async def viewer(self, port: int, start: int = 0) -> socket.socket:
        """A viewer who has requested the film from `start` on, and has read nothing."""
        client = socket.socket()
        self.viewers.append(client)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BLOCK)
        client.connect(("127.0.0.1", port))
        client.setblocking(False)
        client.sendall(b"GET /f HTTP/1.1\r\nHost: x\r\nRange: bytes=%d-\r\n\r\n" % start)
        return client

    async def take(self, count: int, *clients: socket.socket) -> None:
        """Have viewers read so many bytes each."""
        for client in clients:
            left = count
            while left:
                try:
                    left -= len(client.recv(left))
                except BlockingIOError:
                    await self.wait(0.001)

    async def at_rest(self, origins: list[Origin]) -> int:
        """Return what was sent, once nothing is."""
        return await still(lambda: self.sent(origins))

    def assert_nothing_twice(self, origins: list[Origin]) -> None:
        asked = sorted(each.range or (0, None) for each in origins[0].requests)
        self.assertGreater(len(asked), 1)
        for one, other in pairwise(asked):
            self.assertEqual(one[1], other[0])

    async def test_the_kernel_holds_little_for_one_who_stops(self) -> None:
        origins, port = await self.begun()
        await self.take(BLOCK, await self.viewer(port))
        self.assertLess(await self.at_rest(origins), 2 << 20)

    async def test_little_is_fetched_ahead_of_one_who_watches(self) -> None:
        origins, port = await self.begun()
        viewer, piece = await self.viewer(port), BLOCK // 4
        for _ in range(60):
            await self.take(piece, viewer)
            await self.wait(0.02)
        received = BLOCK * 2  # in the viewer's own socket
        ahead = await self.at_rest(origins) - 60 * piece - received
        self.assertLess(ahead, 4 * BLOCK)

    async def test_two_at_one_place_cost_what_one_costs(self) -> None:
        origins, port = await self.begun()
        viewers = [await self.viewer(port), await self.viewer(port)]
        for _ in range(16):
            await self.take(BLOCK, *viewers)
        await self.at_rest(origins)
        self.assert_nothing_twice(origins)

    async def test_nothing_is_sent_twice_to_those_who_seek_and_leave(self) -> None:
        origins, port = await self.begun()
        first, second = await self.viewer(port), await self.viewer(port)
        await self.take(1 << 20, first, second)
        second.close()
        third = await self.viewer(port, 512 << 10)
        await self.take(1 << 20, third)
        first.close()
        third.close()
        await self.take(1 << 20, await self.viewer(port, 256 << 10))
        await self.at_rest(origins)
        self.assert_nothing_twice(origins)


class VersionTests(CachedCase):
    def versions(self) -> tuple[File, File]:
        old = File(FILM, b'"old"', b"Thu, 01 Jan 2026 00:00:00 GMT")
        new = File(Pattern(SIZE, 7), b'"new"', b"Fri, 02 Jan 2026 00:00:00 GMT")
        return old, new

    async def test_a_stale_file_is_revalidated_with_its_first_bytes_stored(self) -> None:
        origins = await self.mirrors(honest)
        port = self.cached(origins, cache=ALWAYS)
        await self.ask(port, "/f")
        sent = self.sent(origins)
        got = await self.ask(port, "/f")
        self.assertTrue(got.body == BYTES)
        self.assertEqual([r.method for r in origins[0].requests][-1], b"HEAD")
        self.assertLess(self.sent(origins), sent + 1000)
        self.assertEqual(self.records[-1].cache, "revalidated")

    async def test_a_new_version_replaces_the_old_one(self) -> None:
        old, new = self.versions()
        shown = [old]
        origins = await self.mirrors(lambda received: shown[0].reply(received))
        for same in Same:
            if same is Same.DIGEST:
                continue
            port = self.cached(origins, cache=ALWAYS, same=same)
            shown[0] = old
            got = await self.ask(port, f"/{same}")
            self.assertTrue(got.body == BYTES)
            shown[0] = new
            for _ in range(2):
                got = await self.ask(port, f"/{same}")
                self.assertTrue(got.body == new.content[0:SIZE], same)

    async def test_a_version_that_changes_in_mid_read_is_cut_and_found_by_the_next(self) -> None:
        old, new = self.versions()
        shown = [old]
        origins = await self.mirrors(lambda received: shown[0].reply(received))
        port = self.cached(origins)
        got = await self.ask(port, "/f", {"Range": f"bytes=0-{BLOCK - 1}"})
        self.assertTrue(got.body == BYTES[:BLOCK])
        shown[0] = new
        got = await self.ask(port, "/f")
        self.assertEqual((got.status, got.whole), (200, False))
        self.assertTrue(BYTES.startswith(got.body))
        got = await self.ask(port, "/f")
        self.assertEqual(
            (got.status, got.whole, got.body == new.content[0:SIZE]), (200, True, True)
        )

    async def test_a_file_without_a_length_is_found_while_a_stale_one_is_sent(self) -> None:
        stale = (b"Cache-Control", b"max-age=0, stale-while-revalidate=60")
        origins = await self.mirrors(lambda received: honest(received).having(stale))
        port = self.cached(origins)
        await self.ask(port, "/f")
        asked = self.requests(origins)
        origins[0].answer = lambda _: Reply(200, (stale,), (b"other",), "chunked")
        got = await self.ask(port, "/f", {"Range": "bytes=0-9"})
        self.assertEqual((got.status, got.body), (206, BYTES[:10]))
        await self.soon(lambda: self.requests(origins) > asked)
        await self.soon(lambda: origins[0].serving == 0)
        gc.collect()

    async def test_what_may_not_be_kept_is_not(self) -> None:
        weak = File(FILM, b'W/"a"', None)

        def private(received: Received) -> Reply:
            return honest(received).having((b"Cache-Control", b"private"))

        for answer in (weak.reply, private):
            origins = await self.mirrors(answer)
            port = self.cached(origins)
            for _ in range(2):
                got = await self.ask(port, "/f")
                self.assertEqual((got.status, got.body == BYTES), (200, True))
                self.assertEqual(self.records[-1].cache, "bypass")
            self.assertEqual(self.store.files, {})

    async def test_the_mirrors_are_gone(self) -> None:
        origins = await self.mirrors(honest)
        port = self.cached(origins, cache=ALWAYS, resume_for=0.0)
        await self.ask(port, "/f")
        await origins[0].stop()
        got = await self.ask(port, "/f")
        self.assertEqual((got.status, got.body == BYTES), (200, True))
        self.assertEqual(self.records[-1].cache, "stale")

    async def test_no_mirror_is_in_service(self) -> None:
        origins = await self.mirrors(honest)
        port = self.cached(origins, cache=ALWAYS)
        await self.ask(port, "/f", {"Range": f"bytes=0-{BLOCK - 1}"})
        asked = self.requests(origins)
        tree: Any = self.site.resource
        tree._in_service.drain(*tree.find(b"", b"/").sources)
        for asking, status in (
            ({"Range": "bytes=5-9"}, 206),
            ({"Range": f"bytes={BLOCK - 1}-{BLOCK}"}, 503),
            ({}, 503),
        ):
            got = await self.ask(port, "/f", asking)
            self.assertEqual(got.status, status, asking)
        self.assertEqual((await self.ask(port, "/g")).status, 503)
        self.assertEqual(self.requests(origins), asked)

    async def test_a_mirror_dies_in_mid_film(self) -> None:
        origins = await self.mirrors(honest, honest, rates=(3e6, 3e6))
        port = self.cached(origins)
        asking = Deferred.fromCoroutine(self.ask(port, "/f"))
        await self.soon(lambda: origins[0].bytes_sent > 200000)
        await origins[0].stop()
        got = await asking
        self.assertEqual((got.status, got.whole, got.body == BYTES), (200, True, True))
        again = await self.ask(port, "/f")
        self.assertTrue(again.body == BYTES)


class ChangedSourcesTests(CachedCase):
    """A route whose `sources:` are others now, with the same cache."""

    async def changed(self, same: Same) -> list[Response]:
        """Store the beginning of a film, and ask other sources twice for another of that length."""
        port = self.cached(await self.mirrors(honest), same=same)
        await self.ask(port, "/f", {"Range": "bytes=0-99"})
        later = b"Mon, 05 Jan 2026 00:00:00 GMT"
        others = await self.mirrors(
            File(OTHER, b'"v2"', later, b"Tue, 06 Jan 2026 00:00:00 GMT").reply
        )
        port = self.cached(others, same=same)
        return [await self.ask(port, "/f") for _ in range(2)]

    async def test_files_that_are_the_same_by_length_alone_are_those_of_the_sources(self) -> None:
        for got in await self.changed(Same.LENGTH):
            self.assertEqual((got.status, got.body == OTHER[0:SIZE]), (200, True))

    async def test_files_that_are_dated_are_cut_and_replaced(self) -> None:
        first, second = await self.changed(Same.MODIFIED)
        self.assertTrue(BYTES.startswith(first.body))
        self.assertEqual((first.whole, second.body == OTHER[0:SIZE]), (False, True))


class HoleTests(CachedCase):
    async def test_only_holes_are_fetched(self) -> None:
        origins = await self.mirrors(honest)
        port = self.cached(origins)
        for start in (0, 1 << 20, 2 << 20):
            await self.ask(port, "/f", {"Range": f"bytes={start}-{start + BLOCK - 1}"})
        before = self.sent(origins)
        got = await self.ask(port, "/f")
        self.assertTrue(got.body == BYTES)
        self.assertLess(self.sent(origins) - before, SIZE - 2 * BLOCK)
        self.assertEqual(self.records[-1].cache, "partial")
        self.assertEqual(self.records[-1].cached, 3 * BLOCK)
