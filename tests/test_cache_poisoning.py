"""What one client must not do to the responses of others, and what an upstream must not put into
the cache: `upstream:` routes on real sockets.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aprp.config import RouteCacheSettings
from tests.support.origin import Origin
from tests.support.replies import File, Pattern, Received, Reply, Section
from tests.support.responses import Response
from tests.test_cached_upstream import BLOCK, ETAG, FRESH, CachedCase, fresh, small

VALID = RouteCacheSettings(valid=600.0)


def echo(name: bytes, *fields: tuple[bytes, bytes]) -> Any:
    """Respond with the value of a request field."""
    return lambda received: small(*fields, body=b", ".join(received.all(name)) or b"none")


class UnkeyedInputs(CachedCase):
    """What changes a response without being in Vary is in the key, or passes by the cache."""

    async def test_the_host_that_the_upstream_is_told(self) -> None:
        _, port = await self.cached(echo(b"x-forwarded-host"))
        for host in ("evil.example", "good.example", "GOOD.example"):
            got = await self.ask(port, "/a", {"Host": host})
            self.assertEqual(got.body.lower(), host.lower().encode())

    async def test_what_a_client_claims_of_itself_does_not_reach_the_upstream(self) -> None:
        for name in ("X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded"):
            origin, port = await self.cached(echo(name.lower().encode()))
            before = (await self.ask(port, "/a", {name: "host=evil.example"})).body
            self.assertNotIn(b"evil", before)
            self.assertEqual((await self.ask(port, "/a")).body, before)
            self.assertEqual(len(origin.requests), 1)

    async def test_fields_that_name_another_resource_or_method(self) -> None:
        for name in ("X-HTTP-Method-Override", "X-Original-URL", "X-Rewrite-URL", "X-Host"):
            origin, port = await self.cached(echo(name.lower().encode()))
            self.assertEqual((await self.ask(port, "/a", {name: "evil"})).body, b"evil")
            self.assertEqual((await self.ask(port, "/a")).body, b"none")
            self.assertEqual((await self.ask(port, "/a", {name: "evil"})).body, b"evil")
            self.assertEqual(len(origin.requests), 3)

    async def test_underscores_that_are_passed_on(self) -> None:
        answer = echo(b"x_original_url")
        settings = RouteCacheSettings()
        _, port = await self.serve(answer, cache=settings, underscore_fields="pass")
        self.assertEqual((await self.ask(port, "/a", {"X_Original_URL": "evil"})).body, b"evil")
        self.assertEqual((await self.ask(port, "/a")).body, b"none")

    async def test_a_get_with_a_body(self) -> None:
        _, port = await self.cached(lambda received: small(body=received.body or b"none"))
        self.assertEqual((await self.ask(port, "/a", body=b"evil")).body, b"evil")
        self.assertEqual((await self.ask(port, "/a")).body, b"none")

    async def test_targets_are_not_normalised(self) -> None:
        _, port = await self.cached(lambda received: small(body=received.target))
        for target in (
            "/a/b",
            "/a%2Fb",
            "/a/b?",
            "/a//b",
            "/A/b",
            "/a/b;x",
            "/a/b?x=1&y",
            "/a/b?y&x=1",
        ):
            self.assertEqual((await self.ask(port, target)).body, target.encode())

    async def test_a_range_in_the_path_is_one_of_the_file_itself(self) -> None:
        def answer(received: Received) -> Reply:
            if received.get(b"accept-encoding") == b"identity":
                return small(ETAG, body=b"0123456789")
            return small((b"ETag", b'"z"'), (b"Content-Encoding", b"gzip"), body=b"coded")

        _, port = await self.serve(answer, cache=RouteCacheSettings(), path_ranges="end")
        await self.ask(port, "/a", {"Accept-Encoding": "gzip"})
        self.assertEqual((await self.ask(port, "/a/2/3")).body, b"23")

    async def test_too_many_variants(self) -> None:
        origin, port = await self.cached(echo(b"foo", (b"Vary", b"Foo")))
        for number in range(40):
            await self.ask(port, "/a", {"Foo": str(number)})
        kept = self.stored.at_hand(next(iter(self.store.files)))
        self.assertIsNotNone(kept)
        self.assertLessEqual(len(kept or ()), 32)
        self.assertEqual((await self.ask(port, "/a", {"Foo": "39"})).body, b"39")
        self.assertEqual(len(origin.requests), 40)


class Secrets(CachedCase):
    """Cookies and credentials are never shared."""

    async def test_responses_to_authorization(self) -> None:
        origin, port = await self.serve(echo(b"authorization"), cache=VALID)
        for who in ("Basic YTph", "Basic Yjpi"):
            got = await self.ask(port, "/a", {"Authorization": who})
            self.assertEqual(got.body, who.encode())
        self.assertEqual((await self.ask(port, "/a")).body, b"none")
        self.assertEqual(len(origin.requests), 3)

    async def test_credentials_of_the_route_itself(self) -> None:
        origin, port = await self.serve(
            echo(b"authorization"),
            cache=VALID,
            headers=(("Authorization", "Basic b3du"),),
        )
        for _ in range(2):
            got = await self.ask(port, "/a", {"Authorization": "Basic YTph"})
            self.assertEqual(got.body, b"Basic b3du")
        self.assertEqual(len(origin.requests), 1)

    async def test_set_cookie_goes_to_its_client_alone(self) -> None:
        cookie = (b"Set-Cookie", b"session=1")
        origin, port = await self.cached(lambda _: small(cookie))
        self.assertEqual((await self.ask(port, "/a")).fields["Set-Cookie"], "session=1")
        self.assertNotIn("Set-Cookie", (await self.ask(port, "/a")).fields)
        self.assertEqual(len(origin.requests), 1)

    async def test_set_cookie_of_a_confirmation_goes_to_its_client_alone(self) -> None:
        stale = (b"Cache-Control", b"max-age=0")

        def answer(received: Received) -> Reply:
            if received.get(b"if-none-match"):
                return Reply(304, (FRESH, ETAG, (b"Set-Cookie", b"a=1")), framing="none")
            return Reply(200, (stale, ETAG), (b"hello",))

        _, port = await self.cached(answer)
        await self.ask(port, "/a")
        self.assertEqual((await self.ask(port, "/a")).fields["Set-Cookie"], "a=1")
        self.assertNotIn("Set-Cookie", (await self.ask(port, "/a")).fields)

    async def test_requests_do_not_get_what_another_waited_for(self) -> None:
        fields = ((b"Cache-Control", b"private, max-age=60"),)
        origin, port = await self.cached(
            lambda received: Reply(200, fields, (received.get(b"cookie") or b"none",))
        )
        origin.latency = 0.05
        asking = [self.ask(port, "/a", {"Cookie": f"u={n}"}) for n in range(4)]
        answers = await self.together(*asking)
        self.assertEqual([each.body for each in answers], [b"u=%d" % n for n in range(4)])


class UpstreamsThatLie(CachedCase):
    """Nothing is stored that isn't what it says, and parts of two versions are never combined."""

    async def test_a_part_is_not_the_whole(self) -> None:
        origin, port = await self.cached(fresh(Pattern(5 * BLOCK)))
        await self.ask(port, "/film", {"Range": f"bytes={BLOCK}-{BLOCK + 9}"})
        await origin.stop()
        self.assertEqual((await self.ask(port, "/film")).status, 502)
        got = await self.ask(port, "/film", {"Range": f"bytes={BLOCK}-{BLOCK + 19}"})
        self.assertEqual((got.status, len(got.body)), (206, 20))

    async def test_parts_under_a_weak_validator_are_not_combined(self) -> None:
        film = Pattern(3 * BLOCK)
        origin, port = await self.cached(fresh(film, b'W/"one"'))
        for _ in range(2):
            got = await self.ask(port, "/film", {"Range": "bytes=0-9"})
            self.assertEqual((got.status, got.body), (206, film[0:10]))
        self.assertEqual(len(origin.requests), 2)

    async def test_another_range_than_the_one_that_was_requested(self) -> None:
        content = Pattern(4 * BLOCK)
        lies = (b"bytes 65536-131071/262144", b"bytes 0-65535/65535", b"bytes 0-9/262144", b"x")
        for said in lies:
            fields = (FRESH, ETAG, (b"Content-Range", said))
            body = (Section(content, 0, BLOCK),)
            origin, port = await self.cached(
                lambda _, fields=fields, body=body: Reply(206, fields, body)
            )
            self.assertEqual(
                (await self.ask(port, "/film", {"Range": "bytes=0-65535"})).status, 502
            )
            origin.answer = fresh(content)
            got = await self.ask(port, "/film", {"Range": "bytes=0-65535"})
            self.assertEqual((got.status, got.body), (206, content[0:BLOCK]), said)

    async def test_a_hole_filled_by_another_version(self) -> None:
        one, two = Pattern(4 * BLOCK, seed=1), Pattern(4 * BLOCK, seed=2)
        origin, port = await self.cached(fresh(one))
        await self.ask(port, "/film", {"Range": "bytes=0-9"})

        def ignores_if_range(received: Received) -> Reply:
            other = File(two, b'"two"', last_modified=None, date=None)
            kept = tuple(pair for pair in received.fields if pair[0].lower() != b"if-range")
            return other.reply(replace(received, fields=kept)).having(FRESH)

        origin.answer = ignores_if_range
        cut = await self.ask(port, "/film")
        self.assertEqual((cut.status, cut.whole), (200, False))
        self.assertTrue(one[:].startswith(cut.body))
        got = await self.ask(port, "/film")
        self.assertEqual((got.status, got.whole, got.body == two[:]), (200, True, True))

    async def test_the_same_tag_for_another_length(self) -> None:
        one, two = Pattern(4 * BLOCK, seed=1), Pattern(5 * BLOCK, seed=2)
        origin, port = await self.cached(fresh(one))
        await self.ask(port, "/film", {"Range": "bytes=0-9"})
        origin.answer = fresh(two)
        got = await self.ask(port, "/film", {"Range": f"bytes={3 * BLOCK}-"})
        self.assertEqual((got.status, got.body == two[3 * BLOCK :]), (206, True))
        got = await self.ask(port, "/film")
        self.assertEqual((got.status, got.body == two[:]), (200, True))

    async def test_a_head_that_could_be_read_as_two(self) -> None:
        split = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nX: a\rContent-Length: 0\r\n\r\n"
        origin, port = await self.cached(lambda _: [split])
        self.assertEqual((await self.ask(port, "/a")).status, 502)
        origin.answer = lambda _: small()
        self.assertEqual((await self.ask(port, "/a")).body, b"hello")

    async def test_an_invalidation_while_the_old_response_is_on_its_way(self) -> None:
        def answer(received: Received) -> Reply:
            return (
                Reply(204) if received.method == b"DELETE" else small(body=b"%d" % received.number)
            )

        origin, port = await self.cached(answer)
        origin.ready = lambda: len(origin.requests) != 1
        old, _ = await self.together(self.ask(port, "/a"), self.after(origin, 1, port))
        self.assertEqual(old.body, b"1")
        self.assertEqual((await self.ask(port, "/a")).body, b"3")

    async def after(self, origin: Origin, count: int, port: int) -> Response:
        await self.asked(origin, count)
        return await self.ask(port, "/a", method="DELETE")
