"""`compare: sample`: copies of the same length and date but of other bytes are found out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.task import Clock

from aprp.core.http.urls import Url
from aprp.core.recovery.versions import Facts
from aprp.upstream.transfer import sample
from aprp.upstream.transfer.compared import Compared
from tests.support.logged import Logged
from tests.support.mirrored_case import BYTES, FILM, HONEST, SIZE, MirroredCase, honest
from tests.support.origin import Origin
from tests.support.replies import Close, File, Pattern, Received, Reply, Stall
from tests.support.responses import Response

OTHER = Pattern(SIZE, seed=2)
other = File(OTHER).reply
RATES = (8e6, 8e6)


def beginning(received: Received) -> tuple[int, int | None] | None:
    """The range, if it is one that compares."""
    return received.range if received.range is not None and received.range[0] == 0 else None


class SampleTests(MirroredCase):
    def setUp(self) -> None:
        super().setUp()
        self.logged = Logged(self)

    async def from_two(
        self, first: Any, second: Any, **options: Any
    ) -> tuple[Response, list[Origin]]:
        """The film from two mirrors, of which the first is the first to bring bytes."""
        origins = await self.mirrors(first, second, rates=RATES)
        origins[1].ready = self.brought
        return await self.ask(self.in_front_of(origins, **options), "/f"), origins

    def brought(self) -> bool:
        """Whether bytes have come for what is asked."""
        transfers = [request.transfer for request in self.site.in_flight]
        return any(each is not None and sum(each.received.values()) for each in transfers)

    async def test_unseen_without_it(self) -> None:
        got, _ = await self.from_two(honest, other)
        self.assertEqual((got.whole, len(got.body)), (True, SIZE))
        self.assertNotEqual(got.body, BYTES)

    async def test_no_wrong_byte_with_it(self) -> None:
        got, origins = await self.from_two(honest, other, compare="sample")
        self.assertEqual((got.whole, got.body == BYTES), (True, True))
        self.assertEqual(self.records[0].upstream, f"{origins[0].url}/")
        (said,) = [line for line in self.logged.lines if "left out:" in line]
        self.assertIn(f"left out: {origins[1].url}/ has another file: of the bytes 0-", said)
        self.assertIn(f"not those of {origins[0].url}/; `compare: off` would admit it", said)

    async def test_true_copies_are_used(self) -> None:
        got, origins = await self.from_two(honest, honest, compare="sample")
        self.assertEqual((got.whole, got.body == BYTES), (True, True))
        self.assertEqual(self.records[0].upstream, ",".join(f"{o.url}/" for o in origins))
        self.assertFalse([line for line in self.logged.lines if "left out:" in line])
        compared = [each for each in map(beginning, origins[1].requests) if each is not None]
        self.assertLessEqual(len(compared), 4)
        self.assertLessEqual(origins[1].most_open, 4)

    async def test_many_at_once(self) -> None:
        """Whoever is first: the bytes are those of one of them, never a mixture."""
        origins = await self.mirrors(honest, other, honest, other, rates=(20e6,) * 4)
        port = self.in_front_of(origins, compare="sample")
        for _ in range(3):
            body = (await self.ask(port, "/f")).body
            self.assertIn(body, (BYTES, OTHER[0:SIZE]))

    async def test_the_one_that_was_first_dies(self) -> None:
        """What has other bytes isn't gone on with, though it is all that is left."""

        def dies(received: Received) -> Any:
            first = received.number == 1
            return honest(received).broken(200_000, Stall()) if first else [Stall()]

        soon = {"between_bytes_timeout": 0.3, "resume_for": 1.0}
        got, _ = await self.from_two(dies, other, compare="sample", **soon)
        self.assertFalse(got.whole)
        self.assertEqual(got.body, BYTES[: len(got.body)])

    async def test_a_silent_measure_does_not_hold_up_for_long(self) -> None:
        def silent(received: Received) -> Reply:
            return honest(received).broken(3000, Stall())

        for_ever = {"first_byte_timeout": 600.0, "between_bytes_timeout": 600.0}
        got, _ = await self.from_two(silent, honest, compare="sample", **for_ever)
        self.assertEqual((got.whole, got.body == BYTES), (True, True))

    async def test_a_whole_answer_is_compared_too(self) -> None:
        ignoring = replace(HONEST, ranges=False)
        for film, contributes in ((FILM, True), (OTHER, False)):
            got, origins = await self.from_two(
                honest, replace(ignoring, content=film).reply, compare="sample"
            )
            self.assertEqual((got.whole, got.body == BYTES), (True, True))
            if not contributes:
                self.assertNotIn(origins[1].url, self.records[-1].upstream or "")


class BlockTests(MirroredCase):
    """Blocks at random places: what differs in mid-file alone."""

    def setUp(self) -> None:
        super().setUp()
        self.logged = Logged(self)

    async def film(self, second: Any, **options: Any) -> Response:
        """The film from an honest mirror, which begins, and another one."""
        self.origins = await self.mirrors(honest, second, rates=(2e6, 8e6))

        def begun() -> bool:
            transfers = [request.transfer for request in self.site.in_flight]
            return any(each is not None and sum(each.received.values()) for each in transfers)

        self.origins[1].ready = begun
        self.port = self.in_front_of(self.origins, compare="sample", **options)
        return await self.ask(self.port, "/f")

    def differing(self, part: float) -> Any:
        """A mirror in whose file every block of a part of the middle differs."""
        content = bytearray(BYTES)
        start = SIZE // 3
        for at in range(start, start + int(SIZE * part), 1000):
            content[at] ^= 1
        return File(bytes(content)).reply

    async def test_a_liar_in_mid_file(self) -> None:
        """Of 40 blocks, one differs with a probability of 1 - 0.5 ** 38."""
        got = await self.film(self.differing(0.5), samples=40)
        self.assertEqual((got.whole, got.body == BYTES), (True, True))
        (said,) = [line for line in self.logged.lines if "left out:" in line]
        self.assertIn(f"left out: {self.origins[1].url}/ has another file: of the bytes", said)

    async def test_the_first_bytes_alone(self) -> None:
        got = await self.film(self.differing(0.5), samples=0)
        self.assertEqual((got.whole, got.body == BYTES), (True, False))

    async def test_places_are_picked_for_each_transfer(self) -> None:
        picked: list[int] = []

        def pick(numbers: range, count: int) -> list[int]:
            picked.append(count)
            return [numbers[len(picked)]] * count

        self.patch(sample, "pick", pick)
        got = await self.film(honest, samples=3)
        self.assertEqual((got.whole, got.body == BYTES), (True, True))
        blocks = [each.range for each in self.origins[1].requests]
        self.assertIn((2 * 16384, 3 * 16384), blocks)
        self.assertEqual(picked, [1])
        await self.ask(self.port, "/f")
        self.assertEqual(picked, [1], "they were found equal")

    async def test_a_comparison_that_breaks_off_is_resumed(self) -> None:
        """What was found equal isn't requested again; only the block that broke off is."""
        last = (SIZE // 16384 * 16384, SIZE)
        broken: list[Received] = []

        def breaks(received: Received) -> Reply:
            reply = honest(received)
            if received.range == last and not broken:
                broken.append(received)
                return reply.broken(100, Close())
            return reply

        got = await self.film(breaks, connections=1)
        self.assertEqual((got.whole, got.body == BYTES), (True, True))
        asked = [each.range for each in self.origins[1].requests]
        again = asked[asked.index(last) + 1 :]
        self.assertEqual((asked.count((0, 65536)), again[0]), (1, last))
        self.assertIn(self.origins[1].url, self.records[0].upstream or "")

    def test_equality_is_remembered_for_a_version_and_a_while(self) -> None:
        clock = Clock()
        compared = Compared(clock)
        one, other = (Url.parse(f"http://{host}.example/f") for host in "ab")
        compared.note(one, other, Facts(5))
        self.assertTrue(compared.are_equal(other, one, Facts(5)))
        self.assertFalse(compared.are_equal(other, one, Facts(6)))
        clock.advance(601)
        self.assertFalse(compared.are_equal(one, other, Facts(5)))
