"""Transfers of files with piece hashes: no wrong byte leaves them, and liars are named."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred

from aprp.core.http.ranges import FromTo, Range, Suffix
from aprp.core.http.urls import Url
from aprp.core.metalink import Hash, Pieces
from aprp.core.recovery.pieces import Proof
from aprp.core.scheduling.settings import SchedulingSettings
from aprp.upstream.http.wire import READ_SIZE
from aprp.upstream.transfer.failures import TransferFailed
from aprp.upstream.transfer.options import TransferOptions, locations
from aprp.upstream.transfer.transfer import Transfer
from aprp.upstream.transfer.whole import HELD
from tests.support.eventually import still
from tests.support.mirrored_case import BYTES, SIZE, honest
from tests.support.replies import File, Pattern, Received, Reply, Reset, status
from tests.test_transfer import Taker, TransferCase

KIB, MIB = 1024, 1024 * 1024
PIECE = 200_000
WHOLE = Range(0, SIZE)
OTHER = Pattern(SIZE, seed=2)


def pieces_of(content: bytes, length: int = PIECE) -> Pieces:
    """Return the SHA-256 hashes of the pieces of a content."""
    parts = (content[at : at + length] for at in range(0, len(content), length))
    return Pieces("sha-256", length, tuple(hashlib.sha256(part).hexdigest() for part in parts))


def proof_of(content: bytes, length: int = PIECE) -> Proof:
    return Proof(len(content), pieces_of(content, length))


def serving(content: Any, **file: Any) -> Any:
    return lambda received: File(content, **file).reply(received)


def flipped(*offsets: int) -> bytes:
    content = bytearray(BYTES)
    for at in offsets:
        content[at] ^= 1
    return bytes(content)


class Collecting(Taker):
    """Keeps what comes, and looks at each byte as it comes."""

    def __init__(self, start: int = 0, most: int | None = None) -> None:
        super().__init__(most)
        self.at = start
        self.wrong: list[int] = []

    def beyond(self, at: int) -> bool:
        return self.at > at

    def write(self, data: bytes) -> None:
        if data != BYTES[self.at : self.at + len(data)]:
            self.wrong.append(self.at)
        self.at += len(data)
        super().write(data)


class VerifiedCase(TransferCase):
    async def get(
        self,
        *answers: Any,
        wanted: Range = WHOLE,
        rates: Iterable[float | None] = (),
        piece: int = PIECE,
        proof: Proof | None = None,
        **scheduling: Any,
    ) -> Collecting:
        """Send a range of the file from such mirrors; no byte may be wrong."""
        self.origins = await self.mirrors(*answers, rates=rates)
        self.resources = self.shared()
        options = TransferOptions(scheduling=SchedulingSettings(**scheduling))
        proof = proof or proof_of(BYTES, piece)
        places = locations([Url.parse(f"{origin.url}/f") for origin in self.origins])
        self.moved = Transfer(self.resources, places, options.with_proof(proof))
        self.addCleanup(self.moved.abort)
        taker = self.taker = Collecting(wanted.start)
        facts = await self.moved.begin(FromTo(wanted.start, wanted.stop))
        self.assertEqual(facts.complete, SIZE)
        try:
            await self.moved.send(wanted, taker)
        finally:
            self.assertEqual(taker.wrong, [])
        self.assertEqual(taker.at, wanted.stop)
        return taker

    def named(self, *numbers: int) -> None:
        """Exactly these mirrors, counted from 0, were left out for wrong bytes."""
        found = {each.source for each in self.resources.left_out}
        self.assertEqual(found, {self.origins[number].url for number in numbers})
        for each in self.resources.left_out:
            self.assertRegex(each.reason, r"sent wrong bytes in piece \d+ \(bytes \d+-\d+\)")


class VerifiedTests(VerifiedCase):
    async def test_mirrors_that_agree(self) -> None:
        await self.get(honest, honest, honest)
        self.named()

    async def test_nothing_is_fetched_twice_to_be_verified(self) -> None:
        """Without duplicates, which the default policy makes of what a busy machine brings late."""
        await self.get(honest, honest, honest, delay="normal", duplicate="off")
        self.named()
        self.assertEqual(self.moved.wasted, 0)

    async def test_pieces_of_all_sizes(self) -> None:
        for piece in (16 * KIB, 65_536, MIB, SIZE - 1, SIZE, 4 * MIB):
            await self.get(honest, honest, piece=piece)
            self.named()

    async def test_ranges_within_pieces(self) -> None:
        for start, stop in (
            (0, 1),
            (5, PIECE),
            (PIECE - 1, PIECE + 1),
            (SIZE - 1, SIZE),
            (7, SIZE),
        ):
            await self.get(honest, honest, wanted=Range(start, stop))

    async def test_another_file_of_the_same_length_and_date(self) -> None:
        await self.get(serving(OTHER), honest)
        self.named(0)

    async def test_one_flipped_bit_anywhere(self) -> None:
        chance = random.Random(5)
        for at in (0, SIZE - 1, *(chance.randrange(SIZE) for _ in range(12))):
            slow = 4e6  # so that most of the file comes from the one with the flipped bit
            await self.get(serving(flipped(at)), honest, rates=[None, slow])
            named = {each.source for each in self.resources.left_out}
            self.assertLessEqual(named, {self.origins[0].url}, at)
            for origin in self.origins:
                await origin.stop()

    async def test_liars_that_disagree_with_each_other(self) -> None:
        third = Pattern(SIZE, seed=3)
        await self.get(serving(OTHER), serving(third), honest, honest)
        self.assertLessEqual(
            {each.source for each in self.resources.left_out},
            {origin.url for origin in self.origins[:2]},
        )

    async def test_nothing_wrong_is_sent_if_no_mirror_is_right(self) -> None:
        at = 3 * PIECE + 5
        with self.assertRaises(TransferFailed) as caught:
            await self.get(serving(flipped(at)), serving(flipped(at)))
        self.assertEqual(self.taker.at, 3 * PIECE)
        said = f"sent wrong bytes in piece 4 (bytes {3 * PIECE}-{4 * PIECE - 1})"
        self.assertEqual({why for _, why in caught.exception.reasons}, {said})
        self.named(0, 1)

    async def test_a_single_mirror_that_lies(self) -> None:
        with self.assertRaises(TransferFailed):
            await self.get(serving(OTHER))
        self.assertEqual(self.taker.at, 0)
        self.named(0)

    async def test_hashes_that_fit_no_file(self) -> None:
        wrong = proof_of(OTHER[0:SIZE])
        with self.assertRaises(TransferFailed):
            await self.get(honest, honest, proof=wrong)
        self.assertEqual(self.taker.at, 0)

    async def test_mirrors_that_truncate_and_pad(self) -> None:
        padded = serving(BYTES + b"padded")
        await self.get(serving(BYTES[:-9]), padded, honest)
        told = {each.source: each.reason for each in self.resources.left_out}
        self.assertNotIn(self.origins[2].url, told)
        self.assertTrue(all(why.startswith("has another file") for why in told.values()), told)

    async def test_last_weeks_version_with_todays_date(self) -> None:
        """Only the middle differs, and all that the mirrors say is the same."""
        old = bytearray(BYTES)
        old[SIZE // 2 : SIZE // 2 + 100_000] = random.Random(1).randbytes(100_000)
        await self.get(serving(bytes(old)), serving(bytes(old)), honest, rates=[None, None, 4e6])
        named = {each.source for each in self.resources.left_out}
        self.assertNotIn(self.origins[2].url, named)

    async def test_a_liar_is_found_though_the_right_mirror_breaks(self) -> None:
        def breaks(received: Received) -> Reply:
            reply = honest(received)
            return reply.broken(50_000, Reset()) if received.number % 2 else reply

        await self.get(serving(OTHER), breaks)
        self.named(0)

    async def test_the_liar_is_alone_when_the_others_have_gone(self) -> None:
        with self.assertRaises(TransferFailed) as caught:
            await self.get(serving(OTHER), lambda _: status(404))
        self.assertEqual(self.taker.at, 0)
        self.assertIn("sent wrong bytes", caught.exception.reasons[0][1])

    async def test_a_piece_larger_than_the_window(self) -> None:
        await self.get(honest, honest, piece=3 * MIB, window=MIB, block_size=256 * KIB)

    async def test_the_older_policies(self) -> None:
        for delay in ("normal", "diff", "inv", "static"):
            for duplicate in ("nibib", "ibrc", "off"):
                await self.get(
                    serving(OTHER),
                    honest,
                    piece=300_000,
                    window=512 * KIB,
                    block_size=128 * KIB,
                    delay=delay,
                    duplicate=duplicate,
                )
                self.named(0)
                for origin in self.origins:
                    await origin.stop()

    async def test_a_slow_taker(self) -> None:
        """What waits is bounded by the window, which holds two pieces at least."""
        origins = await self.mirrors(honest, honest)
        resources = self.shared()
        options = TransferOptions(scheduling=SchedulingSettings(window=MIB)).with_proof(
            proof_of(BYTES, 512 * KIB)
        )
        places = locations([Url.parse(f"{origin.url}/f") for origin in origins])
        moved = Transfer(resources, places, options)
        self.addCleanup(moved.abort)
        await moved.begin(FromTo(0))
        taker = Collecting(most=100_000)
        sent = moved.send(Range(0, SIZE), taker)
        done = Deferred.fromCoroutine(sent)
        while taker.at < SIZE:
            at = await still(lambda: taker.at, 0.05)
            self.assertLessEqual(moved.held, 2 * 512 * KIB + 65536)
            taker.go_on(100_000)
            await self.soon(partial(Collecting.beyond, taker, at))
        await done
        self.assertEqual(taker.wrong, [])

    async def test_suffix_and_head(self) -> None:
        origins = await self.mirrors(serving(BYTES + b"1"), honest)
        options = TransferOptions().with_proof(proof_of(BYTES))
        for spec in (None, Suffix(5)):
            places = locations([Url.parse(f"{origin.url}/f") for origin in origins])
            moved = Transfer(self.shared(), places, options)
            self.addCleanup(moved.abort)
            self.assertEqual((await moved.begin(spec)).complete, SIZE)


class MemoryOfLiarsTests(VerifiedCase):
    async def test_a_liar_is_left_out_of_further_transfers_of_the_file(self) -> None:
        await self.get(serving(OTHER), honest)
        before = len(self.origins[0].requests)
        for wanted in (Range(0, SIZE), Range(5, 10)):
            places = locations([Url.parse(f"{origin.url}/f") for origin in self.origins])
            moved = Transfer(self.resources, places, TransferOptions().with_proof(proof_of(BYTES)))
            self.addCleanup(moved.abort)
            await moved.begin(FromTo(wanted.start, wanted.stop))
            taker = Collecting(wanted.start)
            await moved.send(wanted, taker)
            self.assertEqual((taker.wrong, taker.at), ([], wanted.stop))
        self.assertEqual(len(self.origins[0].requests), before)

    async def test_unless_no_other_is_left(self) -> None:
        with self.assertRaises(TransferFailed):
            await self.get(serving(OTHER))
        self.origins[0].answer = honest
        places = locations([Url.parse(f"{self.origins[0].url}/f")])
        moved = Transfer(self.resources, places, TransferOptions().with_proof(proof_of(BYTES)))
        self.addCleanup(moved.abort)
        await moved.begin(FromTo(0))
        taker = Collecting()
        await moved.send(WHOLE, taker)
        self.assertEqual((taker.wrong, taker.at), ([], SIZE))


class WholeFileTests(VerifiedCase):
    """A proof without pieces: the last bytes wait until the hash of the whole fits."""

    PROOF = Proof(SIZE, None, Hash("sha-256", hashlib.sha256(BYTES).hexdigest()))

    async def test_a_right_file(self) -> None:
        await self.get(honest, honest, proof=self.PROOF)
        self.named()

    async def test_a_wrong_file_never_ends(self) -> None:
        for at in (5, SIZE - 5):
            wrong = serving(flipped(at))
            with self.assertRaises(TransferFailed) as caught:
                await self.get_any(wrong, wrong)
            self.assertEqual(self.taker.count, SIZE - HELD)
            self.assertIn("doesn't have its hash", caught.exception.reasons[0][1])

    async def test_parts_are_not_verified(self) -> None:
        await self.get_any(serving(flipped(5)), wanted=Range(0, SIZE - 1))
        self.assertEqual(self.taker.count, SIZE - 1)

    async def test_a_taker_that_pauses(self) -> None:
        origins = await self.mirrors(honest)
        options = TransferOptions().with_proof(self.PROOF)
        moved = Transfer(self.shared(), locations([Url.parse(f"{origins[0].url}/f")]), options)
        self.addCleanup(moved.abort)
        await moved.begin(FromTo(0))
        taker = Collecting(most=100_000)
        done = Deferred.fromCoroutine(moved.send(WHOLE, taker))
        while taker.producer is not None:
            await still(lambda: taker.at, 0.02)
            self.assertLessEqual(taker.at, (taker.most or 0) + READ_SIZE)
            if taker.producer is not None:
                taker.go_on(500_000)
        await done
        self.assertEqual((taker.wrong, taker.at), ([], SIZE))

    async def get_any(self, *answers: Any, wanted: Range = WHOLE) -> None:
        """As `get`, though the bytes may be wrong."""
        origins = await self.mirrors(*answers)
        for origin in origins:
            self.addCleanup(origin.stop)
        options = TransferOptions().with_proof(self.PROOF)
        places = locations([Url.parse(f"{origin.url}/f") for origin in origins])
        moved = Transfer(self.shared(), places, options)
        self.addCleanup(moved.abort)
        self.taker = Collecting()
        await moved.begin(FromTo(wanted.start, wanted.stop))
        try:
            await moved.send(wanted, self.taker)
        finally:
            for origin in origins:
                await origin.stop()
