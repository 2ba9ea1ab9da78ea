"""`aprp get` with Metalinks: every piece is verified, and mirrors that lie are named."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Sequence
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.trial.unittest import SynchronousTestCase

from aprp.cli import parsers
from aprp.core.http.ranges import Range
from aprp.get.checked import CheckedReader, NotAsListed
from aprp.get.listing import listing_of
from aprp.get.options import Misunderstood
from aprp.get.senders import Senders
from aprp.library.fetch_request import fetch_request
from aprp.library.open_transfer import shared_by
from aprp.upstream.metalink.parsing import parse
from aprp.upstream.transfer.failures import TransferFailed
from tests.support.metalinks import metalink
from tests.support.mirrored_case import BYTES, SIZE, MirroredCase, honest
from tests.support.replies import File, Pattern, Received, Reply, status
from tests.test_get import GetCase

reactor: Any = _reactor
PIECE = 65536
OTHER = Pattern(SIZE, seed=2)


def serving(content: Any, **file: Any) -> Any:
    return lambda received: File(content, **file).reply(received)


def flipped(*offsets: int) -> bytes:
    content = bytearray(BYTES)
    for at in offsets:
        content[at] ^= 1
    return bytes(content)


def absent(_: Received) -> Reply:
    return status(404)


class CheckedCase(MirroredCase):
    """Reads BYTES, as a Metalink lists them, from mirrors that answer so."""

    async def read(
        self,
        *answers: Any,
        rates: Iterable[float | None] = (),
        piece: int | None = PIECE,
        size: int = SIZE,
    ) -> bytes:
        self.origins = await self.mirrors(*answers, rates=rates)
        self.addCleanup(lambda: shared_by(reactor).agent.close())
        urls = [f"{origin.url}/film.mp4" for origin in self.origins]
        (file,) = parse(metalink(("film.mp4", BYTES[:size], urls), piece=piece), "film.meta4")
        same = fetch_request(urls, same="length")
        self.said: list[str] = []
        self.got = b""
        request = type(same)(same.route, complete=file.size)
        reader = CheckedReader(request, file, 0, reactor, lambda _: None, self.said.append)
        async with reader:
            async for data in reader:
                self.got += data
        return self.got

    def named(self, *numbers: int) -> None:
        """Exactly these mirrors, counted from 0, were left out for wrong bytes."""
        found = {line.split()[2] for line in self.said if line.startswith("left out: ")}
        self.assertEqual(found, {self.origins[number].url for number in numbers})


class VerifyingTests(CheckedCase):
    async def test_mirrors_that_agree(self) -> None:
        self.assertTrue(await self.read(honest, honest) == BYTES)
        self.assertEqual(self.said, [])

    async def test_another_file_of_the_same_length_and_date(self) -> None:
        self.assertTrue(await self.read(serving(OTHER), honest) == BYTES)
        self.named(0)
        self.assertRegex(self.said[0], r"sent wrong bytes in piece \d+ \(bytes \d+-\d+\)")

    async def test_one_flipped_bit_anywhere(self) -> None:
        chance = random.Random(3)
        for at in (0, SIZE - 1, chance.randrange(SIZE), chance.randrange(SIZE)):
            slow = 200_000.0  # so that most of the file comes from the one with the flipped bit
            got = await self.read(serving(flipped(at)), honest, rates=[None, slow])
            self.assertTrue(got == BYTES, at)
            self.assertNotIn(self.origins[1].url, " ".join(self.said))
            for origin in self.origins:
                await origin.stop()

    async def test_liars_that_disagree_with_each_other(self) -> None:
        got = await self.read(serving(OTHER), serving(Pattern(SIZE, seed=3)), honest)
        self.assertTrue(got == BYTES)
        self.assertNotIn(self.origins[2].url, " ".join(self.said))

    async def test_nothing_wrong_is_returned_if_no_mirror_is_right(self) -> None:
        at = 20 * PIECE + 5
        with self.assertRaises(NotAsListed) as caught:
            await self.read(serving(flipped(at)), serving(flipped(at)))
        said = f"no mirror sent piece 21 (bytes {20 * PIECE}-{21 * PIECE - 1}) as listed"
        self.assertIn(said, str(caught.exception))
        self.assertTrue(self.got == BYTES[: 20 * PIECE])
        self.named(0, 1)

    async def test_a_mirror_that_answers_first_with_another_length(self) -> None:
        short, padded = serving(BYTES[:-9]), serving(BYTES + b"padded")
        self.assertTrue(await self.read(short, padded, honest) == BYTES)
        self.assertEqual(self.said, [])

    async def test_a_size_that_no_mirror_has(self) -> None:
        with self.assertRaises(TransferFailed) as caught:
            await self.read(honest, size=SIZE - 1)
        self.assertIn(f"has another file: {SIZE} bytes, not {SIZE - 1}", str(caught.exception))
        self.assertEqual(self.got, b"")

    async def test_the_next_mirrors_take_over_when_the_best_ones_fail(self) -> None:
        self.assertTrue(await self.read(*[absent] * 8, honest) == BYTES)
        self.assertIn("trying 1 more mirrors", self.said[0])

    async def test_the_right_piece_may_come_from_a_mirror_in_reserve(self) -> None:
        lies = [serving(OTHER)] * 8
        self.assertTrue(await self.read(*lies, honest, piece=1 << 20) == BYTES)
        self.assertNotIn(self.origins[8].url, " ".join(self.said))

    async def test_without_piece_hashes(self) -> None:
        self.assertTrue(await self.read(honest, honest, piece=None) == BYTES)


class SendersTests(SynchronousTestCase):
    def senders(self, *came: tuple[str, int, int]) -> Senders:
        class Observed:
            observe: Any = None

        senders, observed = Senders(), Observed()
        senders.watch(observed)  # type: ignore[arg-type]
        for source, start, stop in came:
            observed.observe(source, 1, start, stop - start, stop - start)
        return senders

    def liars(self, came: Sequence[tuple[str, int, int]], *wrong: int) -> list[str]:
        right = bytes(10)
        sent = bytes(offset in wrong for offset in range(100, 110))
        return list(self.senders(*came).liars(Range(100, 110), sent, right))

    def test_who_sent_the_wrong_bytes(self) -> None:
        came = (("a", 0, 105), ("b", 105, 200))
        self.assertEqual(self.liars(came, 104), ["a"])
        self.assertEqual(self.liars(came, 105), ["b"])
        self.assertEqual(self.liars(came, 100, 109), ["a", "b"])

    def test_nobody_is_blamed_for_what_two_sent(self) -> None:
        came = (("a", 100, 106), ("b", 104, 110))
        self.assertEqual(self.liars(came, 104, 105), [])
        self.assertEqual(self.liars(came, 103), ["a"])

    def test_what_is_forgotten(self) -> None:
        senders = self.senders(("a", 0, 105), ("b", 105, 110))
        senders.forget(105)
        self.assertEqual(senders.of(Range(0, 110)), ["b"])


class CommandTests(GetCase):
    def write(self, *files: tuple[str, bytes, Sequence[str]], **options: Any) -> None:
        (self.here / "film.meta4").write_bytes(metalink(*files, **options))

    async def test_a_file_beside_a_mirror_that_lies(self) -> None:
        urls = await self.films(serving(OTHER), honest)
        self.write(("sub/film.mkv", BYTES, urls), piece=PIECE)
        out, err = await self.get("film.meta4", "--json")
        self.assertTrue((self.here / "sub" / "film.mkv").read_bytes() == BYTES)
        self.assertIn(f"left out: {self.origins[0].url} sent wrong bytes in piece", err)
        summary = json.loads(out)
        found = {"algorithm": "sha-256", "found": hashlib.sha256(BYTES).hexdigest()}
        self.assertEqual((summary["checksum"], summary["exit"]), (found, 0))

    async def test_a_whole_that_is_wrong(self) -> None:
        self.write(("film.mkv", BYTES, await self.films(serving(OTHER))))
        _, err = await self.get("--metalink", "film.meta4", status=4)
        self.assertIn("film.mkv: its sha-256 is ", err)
        self.assertIn(f"; its bytes came from {self.origins[0].url}", err)
        self.assertEqual(self.names(), ["film.meta4"])

    async def test_resuming_verifies_what_is_on_disk(self) -> None:
        self.write(("film.mkv", BYTES, await self.films(honest)), piece=PIECE)
        written = 10 * PIECE + 100
        (self.here / "film.mkv.aprp-part").write_bytes(flipped(7 * PIECE + 3)[:written])
        record = {"written": written, "complete": SIZE, "last_modified": None}
        record |= {"start": 0, "stop": SIZE}
        (self.here / "film.mkv.aprp-part.json").write_text(json.dumps(record))
        await self.get("-c", "film.meta4")
        self.assertTrue((self.here / "film.mkv").read_bytes() == BYTES)
        asked = [received.range for received in self.origins[0].requests]
        self.assertEqual(min(each[0] for each in asked if each), 7 * PIECE)
        _, err = await self.get("-c", "film.meta4")
        self.assertIn("film.mkv is already complete", err)

    async def test_several_files_of_a_metalink_at_a_url(self) -> None:
        pages: dict[bytes, bytes] = {b"/one": b"first", b"/two": b"second", b"/away": b"away"}

        def site(received: Received) -> Reply:
            return File(pages[received.target]).reply(received)

        (origin, other) = await self.mirrors(site, site)
        pages[b"/pub/all.meta4"] = metalink(
            ("one", b"first", [origin.url + "/one"]),
            ("a/two", b"second", [origin.url + "/two"]),
            ("away", b"away", [other.url + "/away"]),
        )
        (self.here / "into").mkdir()
        _, err = await self.get(origin.url + "/pub/all.meta4", "-o", "into", status=1)
        self.assertEqual((self.here / "into" / "one").read_bytes(), b"first")
        self.assertEqual((self.here / "into" / "a" / "two").read_bytes(), b"second")
        self.assertIn("may not be reached", err)  # a list from elsewhere leads to no inner host
        self.assertEqual(other.requests, [])
        _, err = await self.get(origin.url + "/pub/all.meta4", "-o", "new", status=2)
        self.assertIn("lists 3 files; name a folder with -o or --output-dir", err)

    async def test_a_metalink_that_is_malformed_or_missing(self) -> None:
        (self.here / "film.meta4").write_text("<metalink>")
        _, err = await self.get("film.meta4", status=1)
        self.assertIn("aprp get: film.meta4:1: isn't a Metalink", err)
        self.assertNotIn("Traceback", err)


class ArgumentTests(SynchronousTestCase):
    def test_what_is_refused(self) -> None:
        for line, expected in (
            ("http://a.example/x.meta4 http://b.example/x", "lists the URLs of its files"),
            ("--metalink x http://b.example/x", "x lists the URLs of its files"),
            ("x.meta4 --range 0-5", "--range can't be used with a Metalink"),
            ("x.meta4 --checksum md5=0", "--checksum can't be used with a Metalink"),
        ):
            parsed = parsers()[0].parse_args(["get", *line.split()])
            with self.assertRaises(Misunderstood) as caught:
                listing_of(parsed)
            self.assertIn(expected, str(caught.exception))

    def test_what_is_a_metalink(self) -> None:
        for line, where in (
            ("x.meta4", "x.meta4"),
            ("HTTP://A.example/x.meta4?y=1", "http://a.example/x.meta4?y=1"),
            ("--metalink http://a.example/x", "http://a.example/x"),
        ):
            listing = listing_of(parsers()[0].parse_args(["get", *line.split()]))
            assert listing is not None
            self.assertEqual(listing.where, where)
        self.assertIsNone(listing_of(parsers()[0].parse_args(["get", "http://a.example/x"])))
