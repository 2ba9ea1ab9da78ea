"""`aprp get --checksum` with checksums of pieces: each is verified before it is written."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aprp.cli import parsers
from aprp.get.checksum import parse_pieces
from aprp.get.options import Misunderstood, read
from tests.support.mirrored_case import BYTES, SIZE, honest
from tests.support.replies import File, Pattern, Received, Reply
from tests.test_get import GetCase

PIECE = 256 * 1024
OTHER = Pattern(SIZE, seed=2)
HEX = "0" * 64


def serving(content: Any, **file: Any) -> Any:
    return lambda received: File(content, **file).reply(received)


def lines(content: bytes = BYTES) -> list[str]:
    """What ``split -b 256K --filter=sha256sum`` prints."""
    parts = (content[at : at + PIECE] for at in range(0, len(content), PIECE))
    return [hashlib.sha256(part).hexdigest() + "  -" for part in parts]


class PiecesTests(GetCase):
    def setUp(self) -> None:
        super().setUp()
        (self.here / "sums").write_text("# film.mp4\n" + "\n".join(lines()) + "\n")
        self.sums = ("--checksum", "sha-256/256KiB=@sums")

    def right(self) -> None:
        self.assertTrue((self.here / "film.mp4").read_bytes() == BYTES)

    async def test_a_mirror_that_lies(self) -> None:
        urls = await self.films(serving(OTHER), honest)
        _, err = await self.get(*urls, *self.sums)
        self.right()
        self.assertIn(f"left out: {self.origins[0].url} sent wrong bytes in piece", err)

    async def test_no_mirror_has_the_pieces(self) -> None:
        (url,) = await self.films(serving(OTHER))
        _, err = await self.get(url, *self.sums, status=1)
        self.assertIn("sent wrong bytes in piece 1 (bytes 0-262143)", err)
        self.assertNotIn("film.mp4", self.names())

    async def test_another_length(self) -> None:
        urls = await self.films(serving(BYTES + bytes(PIECE)), honest)
        await self.get(*urls, *self.sums)
        self.right()
        _, err = await self.get(urls[0], "-o", "other", *self.sums, status=4)
        count = -(-SIZE // PIECE)
        said = f"{SIZE + PIECE} bytes, {count + 1} pieces of {PIECE}; --checksum has {count}"
        self.assertIn(said, err)

    async def test_resuming_verifies_what_is_on_disk(self) -> None:
        urls = await self.films(honest)
        wrong = bytearray(BYTES[: 5 * PIECE + 10])
        wrong[3 * PIECE + 5] ^= 1
        (self.here / "film.mp4.aprp-part").write_bytes(wrong)
        record = {"written": len(wrong), "complete": SIZE, "last_modified": None}
        record |= {"start": 0, "stop": SIZE}
        (self.here / "film.mp4.aprp-part.json").write_text(json.dumps(record))
        await self.get("-c", *urls, *self.sums)
        self.right()
        asked = [received.range for received in self.origins[0].requests if received.range]
        self.assertEqual(min(each[0] for each in asked), 3 * PIECE)
        (self.here / "film.mp4").write_bytes(wrong[:SIZE].ljust(SIZE, b"-"))
        _, err = await self.get("-c", *urls, *self.sums, status=5)
        self.assertIn("piece 4 differs", err)

    async def test_a_range_and_the_whole(self) -> None:
        urls = await self.films(serving(OTHER), honest)
        await self.get(*urls, *self.sums, "--range", "300000-300009", "-o", "part")
        self.assertEqual((self.here / "part").read_bytes(), BYTES[300000:300010])
        whole = hashlib.sha256(BYTES).hexdigest()
        out, _ = await self.get(*urls, *self.sums, "--checksum", f"sha-256={whole}", "--json")
        self.right()
        self.assertEqual(json.loads(out)["checksum"]["found"], whole)

    async def test_mirrors_that_the_only_source_names(self) -> None:
        link = (b"Link", b"</also/film.mp4>; rel=duplicate")

        def answer(received: Received) -> Reply:
            if received.target == b"/film.mp4":
                return File(OTHER).reply(received).having(link)
            return honest(received)

        _, err = await self.get(*await self.films(answer), *self.sums)
        self.right()
        self.assertIn("names mirrors", err)


class ParsingTests(SynchronousTestCase):
    def test_forms(self) -> None:
        pieces = parse_pieces(f"SHA256/1MB={HEX}, {HEX.replace('0', 'A')}")
        self.assertEqual((pieces.algorithm, pieces.length), ("sha-256", 1_000_000))
        self.assertEqual(pieces.digests, (HEX, "a" * 64))

    def test_faults(self) -> None:
        path = self.mktemp()
        with open(path, "w") as file:
            file.write(f"{HEX}  a\n\nhello\n")
        for given, said in (
            (["sha-256/1MiB"], "as sha-256/1MiB=@FILE"),
            (["crc32/1MiB=0"], "the algorithm 'crc32' isn't one of"),
            (["sha-256/1=0"], "512KiB, 1MiB or 10MB"),
            (["sha-256/65MiB=" + HEX], "must be at most 64MiB"),
            (["sha-256/1MiB=0,1"], "64 hexadecimal digits"),
            (["sha-256/1MiB=@nowhere"], "nowhere can't be read: No such file"),
            ([f"sha-256/1MiB=@{path}"], f"{path}:3: a sha-256 checksum has"),
            ([f"sha-256/1MiB={HEX}"] * 2, "given twice for the pieces"),
            ([f"sha-256={HEX}"] * 2, "given twice for the file"),
        ):
            arguments = [word for each in given for word in ("--checksum", each)]
            parsed = parsers()[0].parse_args(["get", "http://a.example/f", *arguments])
            with self.assertRaises(Misunderstood) as caught:
                read(parsed)
            self.assertIn(said, str(caught.exception))
