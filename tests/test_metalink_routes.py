"""Routes with a Metalink over real sockets: mirrors and hashes that come from it."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet.defer import DeferredList

from aprp.config import ConfigFaults, MetalinkSettings, Settings, SourceSettings, SourcesRoute, Url
from aprp.core.choices import Verify
from aprp.upstream.http.agent import Agent
from aprp.upstream.metalink import lookup
from aprp.web.site import make_site
from tests.support.config_case import ConfigCase, in_route
from tests.support.metalinks import metalink
from tests.support.mirrored_case import BYTES, SIZE, MirroredCase, honest, reactor
from tests.support.origin import Origin
from tests.support.replies import File, Pattern, Received, Reply, status
from tests.support.responses import Response
from tests.support.signing import signing_key

LOOPBACK = (ip_network("127.0.0.0/8"),)
OTHER = Pattern(SIZE, seed=2)
PIECE = 200_000


def serving(content: Any) -> Callable[[Received], Reply]:
    return lambda received: File(content).reply(received)


def flipped(at: int) -> bytes:
    content = bytearray(BYTES)
    content[at] ^= 1
    return bytes(content)


def document(data: bytes, *fields: tuple[bytes, bytes]) -> Reply:
    return Reply(200, ((b"Content-Type", b"application/metalink4+xml"), *fields), (data,))


class ListedCase(MirroredCase):
    """One origin has Metalinks, and the others the film."""

    def route(self, at: str, sources: tuple[str, ...] = (), **settings: Any) -> int:
        """A proxy with the route /m/; gives its port."""
        more = {name: settings.pop(name) for name in ("same",) if name in settings}
        told = {"allow_addresses": LOOPBACK} | settings
        if sources:
            more["sources"] = tuple(SourceSettings(url=Url.parse(url)) for url in sources)
        route = SourcesRoute(
            path="/m/",
            metalink=MetalinkSettings(at=at, **told),
            **more,
        )
        settings_ = Settings(listen=("tcp:0",), routes=(route,))
        self.agent = Agent(reactor)
        self.addCleanup(self.agent.close)
        self.site = make_site(settings_, self.agent, self.records.append, reactor)
        return self.listen(self.site)

    async def listed(
        self, *answers: Callable[[Received], Reply], piece: int | None = PIECE, **how: Any
    ) -> int:
        """A route by the Metalink of mirrors that answer so; gives its port."""
        self.index, *self.films = await self.mirrors(lambda _: status(500), *answers)
        urls = [f"{origin.url}/film.mp4" for origin in self.films]
        self.text = metalink(("film.mp4", BYTES, urls), piece=piece, **how)
        self.index.answer = self.answer_index
        return self.route(f"{self.index.url}/" + "{path}.meta4")

    def answer_index(self, received: Received) -> Reply:
        if received.target != b"/film.mp4.meta4":
            return status(404)
        return document(self.text)

    async def film(self, port: int, fields: dict[str, str] | None = None) -> Response:
        return await self.ask(port, "/m/film.mp4", fields)

    def same(self, got: Response) -> None:
        self.assertEqual(got.status, 200, got.body[:300])
        self.assertTrue(got.body == BYTES)


class UrlTests(ListedCase):
    async def test_the_whole_from_all_mirrors(self) -> None:
        port = await self.listed(honest, honest)
        got = await self.film(port)
        self.same(got)
        self.assertEqual(got.fields["Content-Type"], "video/mp4")
        self.assertTrue(got.fields["ETag"].startswith('"'))
        self.assertEqual(len(self.index.requests), 1)
        part = await self.film(port, {"Range": "bytes=100-299", "If-Range": got.fields["ETag"]})
        self.assertEqual((part.status, part.body), (206, BYTES[100:300]))
        fresh = await self.film(port, {"If-None-Match": got.fields["ETag"]})
        self.assertEqual(fresh.status, 304)
        self.assertEqual(len(self.index.requests), 1, "it is fresh for a minute")

    async def test_a_liar_is_named_and_left_out(self) -> None:
        port = await self.listed(serving(flipped(5)), serving(flipped(SIZE - 1)), honest)
        self.same(await self.film(port))
        self.same(await self.film(port))

    async def test_wrong_bytes_are_counted_and_the_liar_is_shown(self) -> None:
        port = await self.listed(serving(OTHER), honest)
        self.same(await self.film(port))
        tally = self.site.tallies.of("/m/")
        self.assertEqual(tally.sources["-"].errors["corrupt"], 1)
        self.assertEqual(tally.sources["-"].errors["mismatch"], 0)
        (problem,) = tally.problems
        self.assertEqual(problem.kind, "corrupt")
        url = self.films[0].url
        self.assertRegex(problem.text, rf"^{url} sent wrong bytes in piece .*: {url}/film.mp4$")
        self.assertIn("replace it", problem.advice)

    async def test_all_lie(self) -> None:
        port = await self.listed(serving(OTHER), serving(flipped(7)))
        got = await self.film(port)
        self.assertEqual(got.status, 200)
        self.assertEqual((got.body, got.whole), (b"", False))
        before = len(self.index.requests)
        await self.film(port)
        self.assertEqual(len(self.index.requests), before + 1, "what failed is fetched again")

    async def test_beside_sources(self) -> None:
        """The sources lie; the mirror of the Metalink doesn't."""
        port = await self.listed(honest)
        own = (await self.mirrors_at(20, serving(OTHER)))[0]
        port = self.route(f"{self.index.url}/" + "{path}.meta4", (f"{own.url}/",))
        self.same(await self.film(port))
        self.assertTrue(own.requests)

    async def test_sources_that_disagree_with_the_metalink(self) -> None:
        """What the Metalink says of the length counts, whichever source answers first."""
        for own in (BYTES[:-9], BYTES + b"padded", OTHER[0 : SIZE // 2]):
            await self.listed(honest)
            (source,) = await self.mirrors_at(20, serving(own))
            port = self.route(f"{self.index.url}/" + "{path}.meta4", (f"{source.url}/",))
            self.same(await self.film(port))
            tail = await self.film(port, {"Range": "bytes=-5"})
            self.assertEqual((tail.status, tail.body), (206, BYTES[-5:]))
            await source.stop()

    async def test_mirrors_that_disagree_and_no_size(self) -> None:
        """Without hashes and size, the mirrors are compared by `same` alone."""
        await self.listed(serving(BYTES), serving(BYTES + b"1"), piece=None, whole=False)
        self.text = re.sub(b"<size>.*</size>", b"", self.text)
        port = self.route(f"{self.index.url}/" + "{path}.meta4")
        got = await self.film(port)
        self.assertIn(got.body, (BYTES, BYTES + b"1"))

    async def test_all_change_in_mid_film(self) -> None:
        """A response never has bytes of two versions; the next one is of the new version."""
        new = OTHER[0:SIZE]
        content: list[Any] = [BYTES]
        served = 0

        def film(received: Received) -> Reply:
            nonlocal served
            served += received.range is not None
            if served == 4:
                content[0] = new
                urls = [f"{each.url}/film.mp4" for each in self.films]
                self.text = metalink(("film.mp4", new, urls), piece=PIECE)
            return File(content[0]).reply(received)

        port = await self.listed(film, film)
        got = await self.film(port)
        self.assertEqual((got.status, got.whole), (200, False))
        self.assertTrue(BYTES.startswith(got.body))
        tag = got.fields["ETag"]
        for fields in ({}, {"Range": f"bytes={len(got.body)}-", "If-Range": tag}):
            again = await self.film(port, fields)
            self.assertEqual(again.status, 200)
            self.assertTrue(again.body == new)

    async def test_a_file_without_a_metalink(self) -> None:
        port = await self.listed(honest)
        got = await self.ask(port, "/m/another.mp4")
        self.assertEqual(got.status, 404)
        port = self.route(f"{self.index.url}/" + "{path}.meta4", (f"{self.films[0].url}/",))
        got = await self.ask(port, "/m/another.mp4")
        self.assertEqual((got.status, got.body == BYTES), (200, True), "the sources have it")

    async def test_a_metalink_that_lies_about_the_size(self) -> None:
        for size in (SIZE - 1, SIZE + 1):
            for fields in ({}, {"Range": "bytes=0-9"}, {"Range": "bytes=-9"}):
                port = await self.listed(honest, piece=None, size=size)
                self.assertEqual((await self.film(port, fields)).status, 502)

    async def test_a_thousand_mirrors(self) -> None:
        self.index, film = await self.mirrors(self.answer_index, honest)
        dead = [f"http://127.0.9.{n % 250}:9/{n}" for n in range(1000)]
        for before in (0, 5):
            urls = [*dead[:before], f"{film.url}/film.mp4", *dead[before:]]
            self.text = metalink(("film.mp4", BYTES, urls), piece=PIECE)
            port = self.route(f"{self.index.url}/" + "{path}.meta4", most_mirrors=3)
            self.same(await self.film(port))

    async def test_mirrors_in_reserve_take_the_place_of_those_that_fail(self) -> None:
        gone, lies = (lambda _: status(404)), serving(OTHER)
        await self.listed(gone, lies, gone, serving(BYTES[:-1]), honest, honest, honest)
        port = self.route(f"{self.index.url}/" + "{path}.meta4", most_mirrors=3)
        self.same(await self.film(port))
        asked = [bool(origin.requests) for origin in self.films]
        self.assertEqual(asked, [True] * 6 + [False])

    async def test_addresses_that_are_not_public(self) -> None:
        port = await self.listed(honest)
        port = self.route(f"{self.index.url}/" + "{path}.meta4", allow_addresses=())
        got = await self.film(port)
        self.assertEqual(got.status, 502)
        self.assertEqual(self.films[0].requests, [])

    async def test_what_is_no_metalink(self) -> None:
        entity = b'<!DOCTYPE x [<!ENTITY a "b">]>'
        deep = b"<a>" * 100 + b"</a>" * 100
        for text in (b"hello", entity + b"<metalink/>", deep, b"\xff\xfe\x00", b"x" * 100):
            port = await self.listed(honest)
            self.text = text
            got = await self.film(port)
            self.assertEqual(got.status, 502)
            self.assertIn(b"the Metalink of the file can't be used", got.body)
            self.assertNotIn(b"127.0.0.1", got.body)

    async def test_it_vanishes_and_changes(self) -> None:
        port = await self.listed(honest)
        with mock.patch("aprp.upstream.metalink.kept.FRESH_FOR", 0):
            self.same(await self.film(port))
            self.index.answer = lambda _: status(500)
            self.same(await self.film(port))
            other = OTHER[0:SIZE]
            urls = [f"{self.films[0].url}/film.mp4"]
            self.text = metalink(("film.mp4", other, urls), piece=PIECE)
            self.films[0].answer = serving(OTHER)
            self.index.answer = self.answer_index
            got = await self.film(port)
            self.assertTrue(got.body == other)
            self.index.answer = lambda _: status(404)
            self.assertEqual((await self.film(port)).status, 404)

    async def test_a_server_of_metalinks_that_hangs(self) -> None:
        port = await self.listed(honest)
        with (
            mock.patch("aprp.upstream.metalink.kept.FRESH_FOR", 0),
            mock.patch.object(lookup, "PATIENCE", 0.1),
        ):
            self.same(await self.film(port))
            self.index.latency = 1.0
            self.same(await self.film(port))

    async def test_it_is_confirmed(self) -> None:
        port = await self.listed(honest)

        def answer(received: Received) -> Reply:
            if received.get(b"if-none-match") == b'"1"':
                return Reply(304, ((b"ETag", b'"1"'),), framing="none")
            return document(self.text, (b"ETag", b'"1"'), (b"Cache-Control", b"max-age=0"))

        self.index.answer = answer
        for _ in range(3):
            self.same(await self.film(port))
        asked = [each.get(b"if-none-match") for each in self.index.requests]
        self.assertEqual(asked, [None, b'"1"', b'"1"'])

    async def test_many_ask_at_once(self) -> None:
        port = await self.listed(honest)
        got = await DeferredList([self.asked(port) for _ in range(5)])
        self.assertEqual({response.status for _, response in got}, {200})
        self.assertEqual(len(self.index.requests), 1)

    async def test_several_files_in_one(self) -> None:
        self.index, *films = await self.mirrors(self.answer_any, honest, serving(OTHER))
        one, other = (f"{origin.url}/f" for origin in films)
        self.text = metalink(
            ("disc/film.mp4", BYTES, [one]), ("other.mp4", OTHER[0:SIZE], [other]), piece=PIECE
        )
        port = self.route(f"{self.index.url}/all.meta4")
        self.same(await self.ask(port, "/m/disc/film.mp4"))
        got = await self.ask(port, "/m/other.mp4")
        self.assertTrue(got.body == OTHER[0:SIZE])
        self.assertEqual((await self.ask(port, "/m/none.mp4")).status, 404)

    async def test_the_whole_alone_has_a_hash(self) -> None:
        port = await self.listed(serving(flipped(5)), piece=None)
        got = await self.film(port)
        self.assertEqual((got.status, got.whole), (200, False))
        self.assertLess(len(got.body), SIZE)

    async def test_verify_off(self) -> None:
        await self.listed(serving(flipped(5)))
        port = self.route(f"{self.index.url}/" + "{path}.meta4", verify=Verify.OFF)
        got = await self.film(port)
        self.assertEqual((got.status, got.body == flipped(5)), (200, True))

    def answer_any(self, _: Received) -> Reply:
        return document(self.text)

    def asked(self, port: int) -> Any:
        from twisted.internet.defer import Deferred

        return Deferred.fromCoroutine(self.film(port))

    async def mirrors_at(self, number: int, *answers: Any) -> list[Origin]:
        found = []
        for index, answer in enumerate(answers):
            origin = Origin(answer, f"127.0.0.{number + index}")
            await origin.start()
            self.addCleanup(origin.stop)
            found.append(origin)
        return found


class LinkTests(ListedCase):
    """`metalink: links`: what the first source names."""

    async def linked(self, *fields: tuple[bytes, bytes]) -> int:
        self.first, self.second = await self.mirrors(lambda _: status(500), honest)

        def answer(received: Received) -> Reply:
            if received.target == b"/film.meta4":
                urls = [f"{self.second.url}/film.mp4"]
                return document(metalink(("film.mp4", BYTES, urls), piece=PIECE))
            return self.content(received).having(*fields)

        self.content: Callable[[Received], Reply] = honest
        self.first.answer = answer
        return self.route("links", (f"{self.first.url}/",))

    async def test_a_metalink(self) -> None:
        link = b'</film.meta4>; rel=describedby; type="application/metalink4+xml"'
        port = await self.linked((b"Link", link))
        self.content = serving(flipped(SIZE // 2))
        self.same(await self.film(port))
        self.assertTrue(self.second.requests)

    async def test_mirrors_and_a_digest(self) -> None:
        digest = b64encode(hashlib.sha256(BYTES).digest())
        port = await self.linked((b"Repr-Digest", b"sha-256=:" + digest + b":"))
        self.same(await self.film(port))
        self.content = serving(flipped(5))
        got = await self.film(port)
        self.assertFalse(got.whole)

    async def test_nothing(self) -> None:
        self.same(await self.film(await self.linked()))


class DirectoryTests(ListedCase):
    async def test_metalinks_on_disk(self) -> None:
        (film,) = await self.mirrors(honest)
        folder = Path(self.mktemp())
        (folder / "deep").mkdir(parents=True)
        path = folder / "deep" / "film.mp4.metalink"
        path.write_bytes(metalink(("f", BYTES, [f"{film.url}/film.mp4"]), piece=PIECE))
        port = self.route(str(folder.absolute()))
        self.same(await self.ask(port, "/m/deep/film.mp4"))
        self.assertEqual((await self.film(port)).status, 404)
        path.write_bytes(b"gone")
        self.assertEqual((await self.ask(port, "/m/deep/film.mp4")).status, 502)
        path.unlink()
        self.assertEqual((await self.ask(port, "/m/deep/film.mp4")).status, 404)


class SignatureTests(ListedCase):
    async def test_only_what_is_signed_is_believed(self) -> None:
        keys, sign = signing_key(self)
        await self.listed(honest)
        signatures: dict[str, bytes] = {}

        def answer(received: Received) -> Reply:
            if received.target == b"/film.mp4.meta4":
                return document(self.text)
            found = signatures.get(received.target.decode())
            return status(404) if found is None else document(found)

        self.index.answer = answer
        at = f"{self.index.url}/" + "{path}.meta4"
        self.assertEqual((await self.film(self.route(at, keys=keys))).status, 502)
        signatures["/film.mp4.meta4.asc"] = sign(b"something else")
        self.assertEqual((await self.film(self.route(at, keys=keys))).status, 502)
        signatures["/film.mp4.meta4.asc"] = b"no signature"
        self.assertEqual((await self.film(self.route(at, keys=keys))).status, 502)
        signatures["/film.mp4.meta4.asc"] = sign(self.text)
        self.same(await self.film(self.route(at, keys=keys)))


class SettingsTests(ConfigCase):
    def test_forms(self) -> None:
        for text, at in (
            ("metalink: 'https://a.example/{path}.meta4'", "https://a.example/{path}.meta4"),
            ("metalink: meta4", str(self.folder.absolute() / "meta4")),
            ("metalink: links", "links"),
            ("metalink: {at: /srv/meta4, locations: [DE]}", "/srv/meta4"),
        ):
            kind = "sources: [{url: http://a/}]" if at == "links" else text
            route = self.read(in_route(text if kind != text else "", kind)).settings.routes[0]
            assert isinstance(route, SourcesRoute) and route.metalink is not None
            self.assertEqual(route.metalink.at, at)

    def test_warnings(self) -> None:
        for text, said in (
            ("metalink: 'https://a.example/{path}.meta4'", []),
            ("metalink: 'http://a.example/{path}.meta4'", ["comes over http"]),
            ("metalink: /nowhere/meta4", ["can't be read"]),
            ("metalink: 'https://a.example/{path}.meta4'\nheaders: {X: y}", []),
        ):
            kind, _, lines = text.partition("\n")
            warnings = [str(each) for each in self.read(in_route(lines, kind)).warnings]
            self.assertEqual(len(warnings), len(said), warnings)
            for warning, part in zip(warnings, said, strict=True):
                self.assertIn(part, warning)

    def test_faults(self) -> None:
        for text, said in (
            ("metalink: ftp://a.example/{path}", "has the scheme ftp"),
            ("metalink: 'http://a.example/{path}/{path}'", "has {path} more than once"),
            ("metalink: '/srv/{path}'", "name the directory alone"),
            ("metalink: links", "needs sources: for metalink: links"),
            ("metalink: [a]", "must be a URL, a directory, or a mapping"),
            ("metalink: {at: /srv, locations: [deu]}", "isn't a country code of two letters"),
            ("metalink: {at: /srv, verify: no}", "verify"),
            ("metalink: {at: /srv, keys: none}", "keys"),
            ("metalink: {path: /srv}", "is not a known key"),
        ):
            with self.assertRaises(ConfigFaults) as caught:
                self.read(in_route("", text))
            self.assertIn(said, str(caught.exception))
