"""`upstream:` routes with a cache, on real sockets: what is asked of the upstream, and what clients
get.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from aprp.cache.cache import Cache
from aprp.config import RouteCacheSettings
from tests.support.client import reactor
from tests.support.memory_store import MemoryStore
from tests.support.origin import Origin
from tests.support.proxied_case import ProxyCase
from tests.support.replies import File, Pattern, Received, Reply, Reset, Wait
from tests.support.responses import Response

SIZE = 3_000_000
FILM = Pattern(SIZE)
BYTES = FILM[:]
BLOCK = 65536
FRESH = (b"Cache-Control", b"max-age=600")
ETAG = (b"ETag", b'"one"')


def small(*fields: tuple[bytes, bytes], body: bytes = b"hello", status: int = 200) -> Reply:
    """Return a small response that is fresh."""
    return Reply(status, (FRESH, *fields), (body,))


def fresh(content: Pattern, etag: bytes = b'"one"') -> Callable[[Received], Reply]:
    """Serve a file that is fresh."""
    file = File(content, etag, last_modified=None, date=None)

    def answer(received: Received) -> Reply:
        return file.reply(received).having(FRESH)

    return answer


def careless(answer: Callable[[Received], Reply]) -> Callable[[Received], Reply]:
    """Serve the same, but ignore If-Range."""

    def ignoring(received: Received) -> Reply:
        fields = tuple(each for each in received.fields if each[0].lower() != b"if-range")
        return answer(replace(received, fields=fields))

    return ignoring


def always(reply: Reply) -> Callable[[Received], Reply]:
    return lambda _: reply


class CachedCase(ProxyCase):
    """A proxy with a cache in memory, in front of `answer`."""

    def setUp(self) -> None:
        super().setUp()
        self.store = MemoryStore(reactor, 0.001)
        self.stored = Cache(self.store, reactor)
        self.addCleanup(self.stored.close)

    async def cached(self, answer: Any, **settings: Any) -> tuple[Origin, int]:
        """Return the upstream, and the port of the proxy."""
        return await self.serve(answer, cache=RouteCacheSettings(**settings))

    def status(self, got: Response) -> str:
        """Return how the cache handled a request: a hit, or why it was forwarded."""
        said = got.fields["Cache-Status"]
        assert said is not None and said.startswith("aprp; "), said
        return str(said).split("; ")[1]

    def seen(self, origin: Origin) -> list[tuple[bytes, bytes | None]]:
        """Return the methods and ranges that the upstream saw."""
        return [(each.method, each.get(b"range")) for each in origin.requests]

    async def asked(self, origin: Origin, count: int) -> None:
        """Wait until the upstream has seen so many requests."""
        await self.soon(lambda: len(origin.requests) == count)

    async def together(self, *asking: Any) -> list[Response]:
        """Return the answers to requests that are made at the same time."""
        return list(await gatherResults([Deferred.fromCoroutine(each) for each in asking]))


class FilmTests(CachedCase):
    """A film with a strong validator: stored in parts, fetched once."""

    async def film(self, **settings: Any) -> tuple[Origin, int]:
        return await self.cached(fresh(FILM), **settings)

    async def test_the_second_viewer_costs_nothing(self) -> None:
        origin, port = await self.film()
        first = await self.ask(port, "/film")
        second = await self.ask(port, "/film")
        for got in (first, second):
            self.assertEqual((got.status, got.whole, got.body == BYTES), (200, True, True))
        self.assertEqual(len(origin.requests), 1)
        self.assertEqual((self.status(first), self.status(second)), ("fwd=uri-miss", "hit"))
        self.assertEqual(second.fields["Age"], "0")
        self.assertNotIn("Age", first.fields)

    async def test_viewers_at_the_same_time_share_one_fetch(self) -> None:
        origin, port = await self.film()
        origin.latency, origin.rate = 0.1, 20e6
        answers = await self.together(*(self.ask(port, "/film") for _ in range(10)))
        self.assertEqual({(each.status, each.body == BYTES) for each in answers}, {(200, True)})
        self.assertEqual(len(origin.requests), 1)
        self.assertLess(origin.bytes_sent, SIZE * 1.01)

    async def test_ranges_are_fetched_in_whole_blocks_and_kept(self) -> None:
        origin, port = await self.film()
        for start, stop in ((100, 200), (BLOCK + 5, BLOCK + 10), (150, 160), (0, BLOCK)):
            asked = {"Range": f"bytes={start}-{stop - 1}"}
            got = await self.ask(port, "/film", asked)
            self.assertEqual((got.status, got.body), (206, BYTES[start:stop]))
            self.assertEqual(got.fields["Content-Range"], f"bytes {start}-{stop - 1}/{SIZE}")
        self.assertEqual(
            self.seen(origin), [(b"GET", b"bytes=0-65535"), (b"GET", b"bytes=65536-131071")]
        )

    async def test_a_suffix_is_fetched_by_one_request_and_kept(self) -> None:
        origin, port = await self.film()
        for length in (500, 20, 500):
            got = await self.ask(port, "/film", {"Range": f"bytes=-{length}"})
            self.assertEqual((got.status, got.body == BYTES[-length:]), (206, True))
            said = f"bytes {SIZE - length}-{SIZE - 1}/{SIZE}"
            self.assertEqual(got.fields["Content-Range"], said)
        self.assertEqual(self.seen(origin), [(b"GET", b"bytes=-%d" % (500 + BLOCK - 1))])
        got = await self.ask(port, "/film", {"Range": f"bytes=-{SIZE + 5}"})
        self.assertEqual((got.status, got.body == BYTES), (206, True))

    async def test_short_ranges_of_what_was_read_lately(self) -> None:
        origin, port = await self.film()
        await self.ask(port, "/film")
        await self.wait()
        for start, stop in (
            (5, 10),
            (5, 10),
            (BLOCK - 5, BLOCK + 5),
            (BLOCK - 5, BLOCK),
            (0, BLOCK),
        ):
            got = await self.ask(port, "/film", {"Range": f"bytes={start}-{stop - 1}"})
            self.assertEqual((got.status, got.body), (206, BYTES[start:stop]))
        reads = self.store.reads
        got = await self.ask(port, "/film", {"Range": "bytes=7-8"})
        self.assertEqual((got.body, self.store.reads), (BYTES[7:9], reads))
        self.assertEqual(got.fields["Content-Range"], f"bytes 7-8/{SIZE}")
        self.assertEqual(len(origin.requests), 1)

    async def test_a_hole_is_asked_for_under_the_stored_validator(self) -> None:
        origin, port = await self.film()
        await self.ask(port, "/film", {"Range": "bytes=1000000-1000001"})
        got = await self.ask(port, "/film", {"If-None-Match": '"other"', "Cookie": "a=b"})
        self.assertEqual((got.status, got.body == BYTES), (200, True))
        self.assertEqual(self.status(got), "fwd=partial")
        self.assertEqual(origin.requests[1].get(b"if-range"), b'"one"')
        self.assertIsNone(origin.requests[1].get(b"if-none-match"))
        self.assertLess(origin.bytes_sent, SIZE + 2 * BLOCK)

    async def test_a_new_version_takes_the_place_of_the_old_one(self) -> None:
        origin, port = await self.film()
        await self.ask(port, "/film", {"Range": "bytes=0-9"})
        other = Pattern(SIZE, seed=2)
        origin.answer = fresh(other, b'"two"')
        got = await self.ask(port, "/film", {"Range": "bytes=2000000-2000009"})
        self.assertEqual((got.status, got.body), (206, other[2000000:2000010]))
        self.assertEqual(got.fields["ETag"], '"two"')
        got = await self.ask(port, "/film")
        self.assertEqual((got.body == other[:], got.fields["ETag"]), (True, '"two"'))

    async def test_an_upstream_that_ignores_if_range_has_a_new_version(self) -> None:
        for other in (Pattern(SIZE, seed=2), Pattern(500, seed=2), Pattern(0)):
            for asked in ({}, {"Range": "bytes=0-, 1-2"}):
                origin, port = await self.film()
                await self.ask(port, "/film", {"Range": "bytes=1000000-1000001"})
                origin.answer = careless(fresh(other, b'"two"'))
                got = await self.ask(port, "/film", asked if len(other) else {})
                self.assertEqual((got.status, got.whole), (200, True))
                self.assertEqual((got.fields["ETag"], got.body == other[:]), ('"two"', True))

    async def test_an_upstream_that_hides_the_length_sends_a_part(self) -> None:
        def hiding(received: Received) -> Reply:
            reply = fresh(FILM)(received)
            size = b"/%d" % SIZE
            fields = tuple((name, value.replace(size, b"/*")) for name, value in reply.fields)
            return replace(reply, fields=fields)

        origin, port = await self.serve(hiding, cache=RouteCacheSettings(), path_ranges="end")
        for path, fields in (("/film/10/19", {}), ("/other", {"Range": "bytes=10-19"})):
            got = await self.ask(port, path, fields)
            self.assertEqual((got.status, got.body), (206, BYTES[10:20]))
            self.assertEqual(got.fields["Content-Range"], "bytes 10-19/*")
        self.assertLess(origin.bytes_sent, SIZE)

    async def test_several_ranges_and_a_range_in_the_path(self) -> None:
        origin, port = await self.serve(fresh(FILM), cache=RouteCacheSettings(), path_ranges="end")
        got = await self.ask(port, "/film/10/19")
        self.assertEqual((got.status, got.body), (206, BYTES[10:20]))
        got = await self.ask(port, "/film", {"Range": "bytes=5-6, 50000-50001"})
        self.assertEqual(got.status, 206)
        self.assertIn(BYTES[50000:50002], got.body)
        self.assertEqual(len(origin.requests), 1)

    async def test_head_and_conditions_are_answered_from_what_is_stored(self) -> None:
        origin, port = await self.film()
        await self.ask(port, "/film", {"Range": "bytes=0-9"})
        head = await self.ask(port, "/film", method="HEAD")
        self.assertEqual((head.status, head.fields["Content-Length"]), (200, str(SIZE)))
        matched = await self.ask(port, "/film", {"If-None-Match": '"one"'})
        self.assertEqual((matched.status, matched.fields["ETag"]), (304, '"one"'))
        beyond = await self.ask(port, "/film", {"Range": f"bytes={SIZE}-"})
        self.assertEqual(beyond.fields["Content-Range"], f"bytes */{SIZE}")
        self.assertEqual(len(origin.requests), 1)

    async def test_a_source_that_breaks_is_resumed_and_shared(self) -> None:
        film = fresh(FILM)

        def breaking(received: Received) -> Reply:
            reply = film(received)
            return reply.broken(500_000, Reset()) if received.number == 1 else reply

        origin, port = await self.cached(breaking)
        answers = await self.together(*(self.ask(port, "/film") for _ in range(3)))
        self.assertEqual({each.body == BYTES for each in answers}, {True})
        self.assertEqual(len(origin.requests), 2)

    async def test_without_a_disk_nothing_is_lost(self) -> None:
        _, port = await self.film()
        self.store.fails = lambda call: True
        for _ in range(2):
            got = await self.ask(port, "/film")
            self.assertEqual((got.status, got.body == BYTES), (200, True))
        self.store.fails = lambda call: False


class LeavingTests(CachedCase):
    """No request leaves anything in use behind."""

    async def test_files_are_left(self) -> None:
        origin, port = await self.cached(lambda _: small())
        await self.ask(port, "/a")
        origin.answer = lambda _: Reply(200, ((b"Cache-Control", b"no-store"),), (b"other",))
        for fields in ({}, {"Cache-Control": "no-cache"}, {"If-None-Match": '"x"'}):
            await self.ask(port, "/a", fields)
        files = self.stored.at_hand(next(iter(self.store.files))) or []
        self.assertEqual(len(files), 1)
        await self.soon(lambda: not any(file.in_use for file in files))


class WholeTests(CachedCase):
    """Small responses, of any status, with and without a length."""

    async def test_a_small_response_is_stored_whole(self) -> None:
        origin, port = await self.cached(lambda _: small((b"X-Kept", b"yes")))
        first, second = [await self.ask(port, "/a") for _ in range(2)]
        self.assertEqual((first.body, second.body), (b"hello", b"hello"))
        self.assertEqual(second.fields["X-Kept"], "yes")
        self.assertEqual(len(origin.requests), 1)
        got = await self.ask(port, "/a", {"Range": "bytes=1-2"})
        self.assertEqual((got.status, got.body), (206, b"el"))
        self.assertEqual(len(origin.requests), 1)

    async def test_responses_of_unknown_length_are_stored_at_their_end(self) -> None:
        reply = Reply(200, (FRESH,), (b"hel", Wait(0.02), b"lo"), framing="chunked")
        origin, port = await self.cached(lambda _: reply)
        for _ in range(2):
            got = await self.ask(port, "/a")
            self.assertEqual((got.status, got.body, got.whole), (200, b"hello", True))
        self.assertEqual(len(origin.requests), 1)

    async def test_a_body_that_ends_with_its_connection_is_not_stored(self) -> None:
        origin, port = await self.cached(lambda _: Reply(200, (FRESH,), (b"hello",), "close"))
        for _ in range(2):
            self.assertEqual((await self.ask(port, "/a")).body, b"hello")
        self.assertEqual(len(origin.requests), 2)

    async def test_broken_bodies_are_not_stored(self) -> None:
        for framing in ("length", "chunked"):
            broken = Reply(200, (FRESH,), (b"hello",), framing).broken(3, Reset())
            origin, port = await self.cached(lambda _, broken=broken: broken)
            self.assertFalse((await self.ask(port, "/a")).whole)
            origin.answer = lambda _: small()
            got = await self.ask(port, "/a")
            self.assertEqual(
                (got.body, got.whole, self.status(got)), (b"hello", True, "fwd=uri-miss")
            )

    async def test_a_bad_block_of_what_cannot_be_fetched_again(self) -> None:
        origin, port = await self.cached(lambda each: small(body=b"%d" % each.number))
        await self.ask(port, "/a")
        await self.wait()
        self.store.fails = lambda call: call == "read"
        got = await self.ask(port, "/a")
        self.store.fails = lambda call: False
        self.assertEqual((got.status, got.body, got.whole), (200, b"2", True))
        self.assertEqual(len(origin.requests), 2)

    async def test_other_statuses(self) -> None:
        for status in (204, 301, 404, 410):
            fields = ((b"Location", b"/b"),) if status == 301 else ()
            body = b"" if status == 204 else b"gone"
            origin, port = await self.cached(
                lambda _, s=status, f=fields, b=body: small(*f, body=b, status=s)
            )
            for _ in range(2):
                got = await self.ask(port, "/a", {"Range": "bytes=0-1"})
                self.assertEqual((got.status, got.body, got.whole), (status, body, True))
            self.assertEqual(len(origin.requests), 1, status)

    async def test_variants_and_codings(self) -> None:
        def coded(received: Received) -> Reply:
            coding = received.get(b"accept-encoding") or b"identity"
            field = () if coding == b"identity" else ((b"Content-Encoding", coding),)
            return small(*field, body=b"in " + coding)

        origin, port = await self.cached(coded)
        for coding in ("gzip", "br", "gzip", "br"):
            got = await self.ask(port, "/a", {"Accept-Encoding": coding})
            self.assertEqual(got.body, b"in " + coding.encode())
        got = await self.ask(port, "/a")
        self.assertEqual((got.body, got.fields["Content-Encoding"]), (b"in identity", None))
        self.assertEqual(len(origin.requests), 3)

    async def test_requests_wait_for_one_that_is_under_way(self) -> None:
        origin, port = await self.cached(lambda _: small())
        origin.latency = 0.1
        answers = await self.together(*(self.ask(port, "/a") for _ in range(5)))
        self.assertEqual({each.body for each in answers}, {b"hello"})
        self.assertEqual(len(origin.requests), 1)

    async def test_no_request_waits_for_what_is_not_stored(self) -> None:
        origin, port = await self.cached(lambda _: Reply(200, ((b"Cache-Control", b"no-store"),)))
        await self.ask(port, "/a")
        origin.ready = lambda: len(origin.requests) == 6
        answers = await self.together(*(self.ask(port, "/a") for _ in range(5)))
        self.assertEqual({each.status for each in answers}, {200})

    async def test_valid_is_for_upstreams_that_say_nothing(self) -> None:
        origin, port = await self.cached(lambda _: Reply(200, (), (b"hello",)), valid=60.0)
        for _ in range(2):
            await self.ask(port, "/a")
        self.assertEqual(len(origin.requests), 1)


class RevalidationTests(CachedCase):
    """Stale responses: confirmed, replaced, sent in place of errors."""

    async def test_a_304_makes_it_fresh_again(self) -> None:
        stale = (b"Cache-Control", b"max-age=0")

        def answer(received: Received) -> Reply:
            if received.get(b"if-none-match") == b'"one"':
                return Reply(304, (FRESH, ETAG, (b"X-New", b"1")), framing="none")
            return Reply(200, (stale, ETAG, (b"X-Old", b"1")), (b"hello",))

        origin, port = await self.cached(answer)
        for forwarded in ("fwd=uri-miss", "fwd=stale", "hit"):
            got = await self.ask(port, "/a")
            self.assertEqual((got.status, got.body, self.status(got)), (200, b"hello", forwarded))
        self.assertEqual((got.fields["X-New"], got.fields["X-Old"]), ("1", "1"))
        self.assertEqual(len(origin.requests), 2)

    async def test_what_a_304_calls_private_is_sent_and_forgotten(self) -> None:
        said = [(b"Cache-Control", b"max-age=0")]
        film = File(FILM, b'"one"', last_modified=None, date=None)

        def answer(received: Received) -> Reply:
            if received.get(b"if-none-match"):
                return Reply(304, (*said, ETAG), framing="none")
            return film.reply(received).having(*said)

        _, port = await self.cached(answer)
        for path, asked in (("/a", {}), ("/b", {"Range": "bytes=0-99"})):
            for control in (b"no-store", b"private, max-age=9", b"max-age=600"):
                said[:] = [(b"Cache-Control", b"max-age=0")]
                first = await self.ask(port, path, asked)
                said[:] = [(b"Cache-Control", control)]
                got = await self.ask(port, path, asked)
                self.assertEqual(self.status(got), "fwd=stale")
                self.assertEqual((got.status, got.body), (first.status, first.body), path)
                self.assertEqual(" stored" in str(got.fields["Cache-Status"]), b"600" in control)
                status = "hit" if b"600" in control else "fwd=uri-miss"
                self.assertEqual(self.status(await self.ask(port, path, asked)), status, control)

    async def test_a_304_for_one_client_updates_nothing(self) -> None:
        said = [(b"Cache-Control", b"public, max-age=0"), ETAG]

        def answer(received: Received) -> Reply:
            if received.get(b"if-none-match"):
                return Reply(304, (FRESH, ETAG, (b"X-For", b"one")), framing="none")
            return Reply(200, tuple(said), (b"hello",))

        _, port = await self.cached(answer)
        await self.ask(port, "/a")
        got = await self.ask(port, "/a", {"Authorization": "Basic eDp5"})
        self.assertEqual((got.fields["X-For"], self.status(got)), ("one", "fwd=stale"))
        self.assertEqual(self.status(await self.ask(port, "/a")), "fwd=stale")

    async def test_what_a_head_or_a_background_304_calls_private_is_forgotten(self) -> None:
        stale, private = b"max-age=0, stale-while-revalidate=60", b"private, max-age=60"
        said = [(b"Cache-Control", stale), ETAG]

        def answer(received: Received) -> Reply:
            if received.get(b"if-none-match"):
                return Reply(304, tuple(said), framing="none")
            return Reply(200, tuple(said), (b"hello",), head_only=received.method == b"HEAD")

        origin, port = await self.cached(answer)
        for method, asked in (("GET", {}), ("HEAD", {"Cache-Control": "no-cache"})):
            said[0] = (b"Cache-Control", stale)
            await self.ask(port, "/a")
            said[0] = (b"Cache-Control", private)
            seen = len(origin.requests)
            await self.ask(port, "/a", asked, method=method)
            await self.asked(origin, seen + 1)
            await self.wait(0.05)
            self.assertEqual(self.status(await self.ask(port, "/a")), "fwd=uri-miss", method)

    async def test_a_304_about_something_else_is_not_believed(self) -> None:
        def answer(received: Received) -> Reply:
            if received.get(b"if-none-match"):
                return Reply(304, ((b"ETag", b'"two"'),), framing="none")
            etag = (b"ETag", b'"%d"' % received.number)
            fields = ((b"Cache-Control", b"no-cache"), etag)
            return Reply(200, fields, (b"%d" % received.number,))

        _, port = await self.cached(answer)
        for body in (b"1", b"3"):
            self.assertEqual((await self.ask(port, "/a")).body, body)

    async def test_a_response_that_is_not_stored_shows_that_the_stored_one_is_wrong(self) -> None:
        stale, private = (b"Cache-Control", b"max-age=0"), (b"Cache-Control", b"private")
        for status, left in ((200, None), (404, None), (403, b"hello"), (429, b"hello")):
            origin, port = await self.cached(always(Reply(200, (stale, ETAG), (b"hello",))))
            await self.ask(port, "/a")
            origin.answer = always(Reply(status, (private,), (b"other",)))
            self.assertEqual((await self.ask(port, "/a")).body, b"other")
            origin.answer = always(Reply(503, (), (b"sorry",)))
            got = await self.ask(port, "/a")
            self.assertEqual(got.body, left or b"sorry", status)

    async def test_a_dead_upstream_and_its_errors(self) -> None:
        reply = Reply(200, ((b"Cache-Control", b"max-age=0"), ETAG), (b"hello",))
        origin, port = await self.cached(lambda _: reply)
        await self.ask(port, "/a")
        origin.answer = lambda _: Reply(503, (), (b"sorry",))
        got = await self.ask(port, "/a")
        self.assertEqual((got.status, got.body), (200, b"hello"))
        await origin.stop()
        got = await self.ask(port, "/a")
        self.assertEqual((got.status, got.body), (200, b"hello"))
        self.assertIn("detail=stale-if-error", got.fields["Cache-Status"])

    async def test_what_is_stored_needs_no_upstream_in_service(self) -> None:
        def answer(received: Received) -> Reply:
            stale = (b"Cache-Control", b"max-age=0")
            return small() if received.target == b"/fresh" else Reply(200, (stale, ETAG), (b"old",))

        origin, port = await self.cached(answer)
        for path in ("/fresh", "/stale"):
            await self.ask(port, path)
        tree: Any = self.proxy_site.resource
        tree._in_service.drain(*tree.find(b"", b"/").sources)
        self.assertEqual((await self.ask(port, "/fresh")).body, b"hello")
        self.assertEqual((await self.ask(port, "/stale")).body, b"old")
        self.assertEqual((await self.ask(port, "/fresh", method="HEAD")).status, 200)
        for path, method in (("/new", "GET"), ("/new", "HEAD"), ("/fresh", "POST")):
            self.assertEqual((await self.ask(port, path, method=method)).status, 503)
        self.assertEqual((await self.ask(port, "/fresh", {"X-Original-URL": "/x"})).status, 503)
        self.assertEqual(len(origin.requests), 2)

    async def test_what_must_be_revalidated_is_never_sent_stale(self) -> None:
        fields = ((b"Cache-Control", b"max-age=0, must-revalidate"), ETAG)
        origin, port = await self.cached(lambda _: Reply(200, fields, (b"hello",)))
        await self.ask(port, "/a")
        await origin.stop()
        self.assertEqual((await self.ask(port, "/a")).status, 502)

    async def test_stale_while_revalidate(self) -> None:
        fields = (b"Cache-Control", b"max-age=0, stale-while-revalidate=60")
        origin, port = await self.cached(lambda each: Reply(200, (fields,), (b"%d" % each.number,)))
        bodies = []
        for count in (1, 2, 3):
            bodies.append((await self.ask(port, "/a")).body)
            await self.asked(origin, count)
            await self.wait(0.05)
        self.assertEqual(bodies, [b"1", b"1", b"2"])

    async def test_a_background_response_to_a_route_that_signs_in_is_kept(self) -> None:
        fields = (b"Cache-Control", b"max-age=0, stale-while-revalidate=60")
        origin, port = await self.serve(
            lambda each: Reply(200, (fields,), (b"%d" % each.number,)),
            cache=RouteCacheSettings(),
            headers=(("Authorization", "Basic eDp5"),),
        )
        bodies = []
        for count in (1, 2):
            bodies.append((await self.ask(port, "/a")).body)
            await self.asked(origin, count)
            await self.wait(0.05)
        self.assertEqual(bodies, [b"1", b"1"])
        self.assertEqual(self.status(await self.ask(port, "/a")), "hit")

    async def test_a_head_for_a_stale_response_leaves_its_body(self) -> None:
        stale = (b"Cache-Control", b"max-age=0, stale-while-revalidate=60")

        def answer(received: Received) -> Reply:
            body = b"%d" % received.number
            head = received.method == b"HEAD"
            return Reply(200, (stale, (b"ETag", b'"%b"' % body)), (body,), head_only=head)

        origin, port = await self.cached(answer)
        self.assertEqual((await self.ask(port, "/a")).body, b"1")
        self.assertEqual((await self.ask(port, "/a", method="HEAD")).status, 200)
        await self.asked(origin, 2)
        await self.wait(0.05)
        got = await self.ask(port, "/a")
        self.assertEqual((got.status, got.body), (200, b"2"))
        self.assertEqual({each.method for each in origin.requests}, {b"GET"})

    async def test_head_updates_or_forgets(self) -> None:
        stale = (b"Cache-Control", b"max-age=0")
        origin, port = await self.cached(lambda _: Reply(200, (stale, ETAG), (b"hello",)))
        await self.ask(port, "/a")
        origin.answer = lambda _: Reply(200, (FRESH, ETAG), (b"hello",), head_only=True)
        await self.ask(port, "/a", method="HEAD")
        got = await self.ask(port, "/a")
        self.assertEqual((self.status(got), got.body), ("hit", b"hello"))

    async def test_a_head_of_the_same_length_shows_nothing(self) -> None:
        stale = (b"Cache-Control", b"max-age=0, stale-while-revalidate=60")
        for proof in ((), (ETAG,)):
            origin, port = await self.cached(always(Reply(200, (stale, *proof), (b"hello",))))
            await self.ask(port, "/a")
            origin.answer = always(Reply(200, (FRESH,), (b"world",), head_only=True))
            await self.ask(port, "/a", {"Cache-Control": "no-cache"}, method="HEAD")
            origin.answer = always(Reply(200, (FRESH,), (b"world",)))
            self.assertEqual((await self.ask(port, "/a")).body, b"world")

    async def test_head_names_another_field_that_selects(self) -> None:
        german, vary = {"Accept-Language": "de"}, (b"Vary", b"Accept-Language")
        for path, proof, status in (("/a", (ETAG,), "hit"), ("/b", (), "fwd=stale")):
            said = (FRESH, *proof)
            origin, port = await self.cached(always(Reply(200, said, (b"hallo",))))
            await self.ask(port, path, german)
            told = (FRESH, vary, *proof)
            origin.answer = always(Reply(200, told, (b"hallo",), head_only=True))
            reloading = {**german, "Cache-Control": "no-cache"}
            await self.ask(port, path, reloading, method="HEAD")
            origin.answer = always(Reply(200, told, (b"hello",)))
            self.assertEqual(self.status(await self.ask(port, path, german)), status)
            got = await self.ask(port, path)
            self.assertEqual((self.status(got)[:4], got.body), ("fwd=", b"hello"))

    async def test_unsafe_methods_invalidate(self) -> None:
        def answer(received: Received) -> Reply:
            if received.method == b"POST":
                return Reply(201, ((b"Location", b"/b"),))
            return small(body=b"%d" % received.number)

        _, port = await self.cached(answer)
        for path, body in (("/a", b"1"), ("/b", b"2"), ("/c", b"3")):
            self.assertEqual((await self.ask(port, path)).body, body)
        await self.ask(port, "/a", method="POST", body=b"x")
        for path, body in (("/a", b"5"), ("/b", b"6"), ("/c", b"3")):
            self.assertEqual((await self.ask(port, path)).body, body)

    async def test_what_was_requested_before_an_unsafe_request_is_not_kept(self) -> None:
        def answer(received: Received) -> Any:
            if received.method == b"POST":
                return Reply(204)
            reply = small(body=b"%d" % received.number)
            return reply if received.number > 1 else [Wait(0.3), *reply.steps()]

        origin, port = await self.cached(answer)
        asking = Deferred.fromCoroutine(self.ask(port, "/a"))
        await self.asked(origin, 1)
        await self.ask(port, "/a", method="POST", body=b"x")
        self.assertEqual((await asking).body, b"1")
        self.assertEqual((await self.ask(port, "/a")).body, b"3")

    async def test_interim_responses_are_relayed_and_not_stored(self) -> None:
        hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
        reply = small((b"X-Kept", b"yes"))
        origin, port = await self.cached(lambda _: [hints, *reply.steps()])
        request = b"GET /a HTTP/1.1\r\nHost: proxy.example\r\n\r\n"
        for interim in (1, 0):
            client = await self.client(port)
            await client.send(request)
            await client.answers([b"GET"])
            self.assertEqual(client.data.count(b"103 Early Hints"), interim)
            self.assertEqual(client.data.count(b"Link:"), interim)
            await self.end(client)
        self.assertEqual(len(origin.requests), 1)

    async def test_only_if_cached(self) -> None:
        origin, port = await self.cached(lambda _: small())
        only = {"Cache-Control": "only-if-cached"}
        self.assertEqual((await self.ask(port, "/a", only)).status, 504)
        await self.ask(port, "/a")
        self.assertEqual((await self.ask(port, "/a", only)).body, b"hello")
        for more in ({"Cache-Control": "only-if-cached, no-store"}, {"X-Host": "b.example"}):
            self.assertEqual((await self.ask(port, "/a", {**only, **more})).status, 504)
        self.assertEqual(len(origin.requests), 1)
