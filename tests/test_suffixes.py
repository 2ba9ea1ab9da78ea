"""Suffix ranges of `sources:` routes: what they cost the mirrors, and which bytes they bring."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aprp.core.choices import Compare, Same
from tests.support.mirrored_case import BYTES, FILM, HONEST, SIZE, MirroredCase, honest
from tests.support.origin import Origin
from tests.support.replies import File, Pattern, Received, Reply, Reset, Section, Stall, status
from tests.support.responses import Response

LAST = {"Range": "bytes=-500"}


def methods(origin: Origin) -> list[bytes]:
    return [each.method for each in origin.requests]


def no_suffixes(received: Received) -> Reply:
    """Answer like a server that doesn't know suffix ranges."""
    if (received.get(b"range") or b"").startswith(b"bytes=-"):
        return status(416)
    return honest(received)


class SuffixTests(MirroredCase):
    async def last(self, origins: list[Origin], status: int = 206, **options: Any) -> Response:
        port = self.in_front_of(origins, **options)
        got = await self.ask(port, "/film.mp4", LAST)
        self.assertEqual((got.status, got.whole), (status, True))
        if status == 206:
            self.assertTrue(got.body == BYTES[-500:])
            self.assertEqual(got.fields["Content-Range"], f"bytes {SIZE - 500}-{SIZE - 1}/{SIZE}")
        return got

    async def test_it_costs_one_request(self) -> None:
        origins = await self.mirrors(honest, honest)
        await self.last(origins)
        self.assertEqual([methods(each) for each in origins], [[b"GET"], []])
        (record,) = self.records
        self.assertEqual(sum(count for _, count in record.sources), 500)

    async def test_a_long_one_is_shared_among_the_mirrors(self) -> None:
        origins = await self.mirrors(honest, honest)
        got = await self.ask(self.in_front_of(origins), "/f", {"Range": f"bytes=-{SIZE - 9}"})
        self.assertEqual((got.status, got.body == BYTES[9:]), (206, True))
        self.assertEqual(methods(origins[0])[0], b"HEAD")

    async def test_longer_than_the_file(self) -> None:
        small = File(Pattern(300))
        origins = await self.mirrors(small.reply)
        got = await self.ask(self.in_front_of(origins), "/f", LAST)
        self.assertEqual((got.status, got.body == Pattern(300)[0:300]), (206, True))
        self.assertEqual(methods(origins[0]), [b"GET"])

    async def test_of_a_mirror_that_does_not_know_suffixes(self) -> None:
        origins = await self.mirrors(no_suffixes)
        await self.last(origins)
        self.assertEqual(methods(origins[0]), [b"GET", b"HEAD", b"GET"])

    async def test_of_a_mirror_that_ignores_ranges(self) -> None:
        await self.last(await self.mirrors(replace(HONEST, ranges=False).reply))

    async def test_a_range_that_was_not_requested_is_refused(self) -> None:
        def lies(received: Received) -> Reply:
            if not (received.get(b"range") or b"").startswith(b"bytes=-"):
                return honest(received)
            part = (b"Content-Range", b"bytes 0-499/%d" % SIZE)
            reply = honest(received)
            return replace(reply.having(part), body=(Section(FILM, 0, 500),))

        await self.last(await self.mirrors(lies))

    async def test_the_first_mirror_fails(self) -> None:
        for first in (lambda _: status(404), lambda _: [Reset()], lambda _: [Stall()]):
            origins = await self.mirrors(first, honest)
            await self.last(origins)
            self.assertEqual([methods(each) for each in origins], [[b"GET"], [b"GET"]])

    async def test_the_first_mirror_fails_in_the_middle(self) -> None:
        for end in (Reset(), Stall()):

            def breaks(received: Received, end: Reset | Stall = end) -> Reply:
                return honest(received).broken(100, end)

            await self.last(await self.mirrors(breaks, honest))

    async def test_no_mirror_has_it(self) -> None:
        origins = await self.mirrors(lambda _: status(404), lambda _: status(404))
        await self.last(origins, 404)
        self.assertEqual([methods(each) for each in origins], [[b"GET"], [b"GET"]])

    async def test_without_a_strong_validator_it_is_that_one_response(self) -> None:
        weak = replace(HONEST, etag=b'W/"a"', last_modified=None)
        origins = await self.mirrors(weak.reply, weak.reply)
        await self.last(origins)
        self.assertEqual([methods(each) for each in origins], [[b"GET"], []])

    async def test_the_rules_of_the_route_hold(self) -> None:
        origins = await self.mirrors(honest, honest)
        await self.last(origins, 502, same=Same.DIGEST)
        await self.last(origins, compare=Compare.SAMPLE)

    async def test_several_ranges(self) -> None:
        origins = await self.mirrors(honest, honest)
        got = await self.ask(self.in_front_of(origins), "/f", {"Range": "bytes=-7,0-9"})
        self.assertEqual(got.status, 206)
        self.assertIn(BYTES[:10], got.body)
        self.assertIn(BYTES[-7:], got.body)

    async def test_an_empty_file(self) -> None:
        origins = await self.mirrors(File(b"").reply)
        got = await self.ask(self.in_front_of(origins), "/f", LAST)
        self.assertEqual((got.status, got.fields["Content-Range"]), (416, "bytes */0"))
