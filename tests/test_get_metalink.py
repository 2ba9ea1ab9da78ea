"""`aprp get` with Metalinks: every piece is verified, and mirrors that lie are named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.trial.unittest import SynchronousTestCase

from aprp.cli import parsers
from aprp.core.choices import Verify
from aprp.core.http.ranges import FromTo
from aprp.core.recovery.pieces import Proof
from aprp.get.listing import listing_of
from aprp.get.options import Misunderstood
from aprp.library.arguments import fetch_request
from aprp.library.open_transfer import TransferReader, shared_by
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


class ReservedCase(MirroredCase):
    """Reads BYTES, as a Metalink lists them, from mirrors that answer so."""

    async def read(self, *answers: Any, at_once: int | None = None, size: int = SIZE) -> bytes:
        self.origins = await self.mirrors(*answers)
        self.addCleanup(lambda: shared_by(reactor).agent.close())
        urls = [f"{origin.url}/film.mp4" for origin in self.origins]
        (file,) = parse(metalink(("film.mp4", BYTES[:size], urls), piece=PIECE), "film.meta4")
        request = replace(
            fetch_request(urls, same="length").scheduled(at_once=at_once),
            complete=file.size,
            proof=Proof.of(file, Verify.PIECES),
        )
        self.got = b""
        async with TransferReader(request, FromTo(0), reactor) as reading:
            async for data in reading:
                self.got += data
        self.assertTrue(self.got == BYTES[:size])
        return self.got

    def left_out(self) -> set[int]:
        """Return the numbers of the mirrors that were left out, counted from 0."""
        found = {each.source for each in shared_by(reactor).left_out}
        return {at for at, origin in enumerate(self.origins) if origin.url in found}

    def asked(self) -> list[bool]:
        """Return which mirrors were asked at all."""
        return [bool(origin.requests) for origin in self.origins]


class ReserveTests(ReservedCase):
    async def test_the_reserve_rests_while_the_best_ones_work(self) -> None:
        await self.read(honest, honest, honest, at_once=2)
        self.assertEqual(self.asked(), [True, True, False])

    async def test_the_next_one_takes_the_place_of_one_that_fails(self) -> None:
        for fails in (absent, serving(BYTES[:-9]), serving(OTHER)):
            await self.read(fails, honest, honest, honest, at_once=2)
            self.assertEqual(self.asked(), [True, True, True, False])
            self.assertEqual(self.left_out(), {0})
            for origin in self.origins:
                await origin.stop()

    async def test_the_last_of_many_has_the_file(self) -> None:
        lies = [absent, serving(OTHER), serving(BYTES + b"padded")] * 4
        await self.read(*lies, honest, at_once=2)
        self.assertEqual(self.left_out(), set(range(12)))

    async def test_no_mirror_is_right(self) -> None:
        at = 20 * PIECE + 5
        with self.assertRaises(TransferFailed) as caught:
            await self.read(serving(flipped(at)), serving(flipped(at)))
        said = f"sent wrong bytes in piece 21 (bytes {20 * PIECE}-{21 * PIECE - 1})"
        self.assertIn(said, str(caught.exception))
        self.assertLessEqual(len(self.got), 20 * PIECE)
        self.assertTrue(BYTES.startswith(self.got))

    async def test_a_size_that_no_mirror_has(self) -> None:
        with self.assertRaises(TransferFailed) as caught:
            await self.read(honest, size=SIZE - 1)
        self.assertIn(f"has another file: {SIZE} bytes, not {SIZE - 1}", str(caught.exception))
        self.assertEqual(self.got, b"")


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
