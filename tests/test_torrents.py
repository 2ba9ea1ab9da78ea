"""Torrents: what they say of files, and downloads that are verified by their piece hashes."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from aprp.cli import parsers
from aprp.core.metalink import TREE, BadMetalink, Pieces
from aprp.core.torrents import parse_torrent
from aprp.get.listing import Listing, listing_of
from aprp.get.options import Misunderstood
from aprp.upstream.metalink.parsing import parse_listing
from aprp.upstream.transfer.hashing import _digest
from tests.support.mirrored_case import BYTES, honest
from tests.support.replies import File
from tests.support.torrents import bencoded, first_version, second_version
from tests.test_metalink_routes import ListedCase

KIB = 1024
CONTENT = BYTES[:100_000]


class ParseTests(SynchronousTestCase):
    def test_the_first_version(self) -> None:
        seeds = {"url-list": [b"http://a.example/d/", b"https://b.example/x.iso", b"ftp://c/"]}
        (file,) = parse_torrent(first_version(b"disc.iso", CONTENT, 32 * KIB, **seeds))
        self.assertEqual((file.name, file.size), ("disc.iso", 100_000))
        urls = [str(each.url) for each in file.mirrors]
        self.assertEqual(urls, ["http://a.example/d/disc.iso", "https://b.example/x.iso"])
        assert file.pieces is not None
        self.right(file.pieces, CONTENT)

    def test_several_files_of_the_first_version_have_no_pieces_of_their_own(self) -> None:
        info = {
            b"name": b"album",
            b"piece length": 16384,
            b"pieces": bytes(40),
            b"files": [
                {b"length": 5, b"path": [b"a", b"one.ogg"]},
                {b"length": 9, b"path": [b".pad"], b"attr": b"p"},
                {b"length": 7, b"path": [b"two.ogg"]},
            ],
        }
        files = parse_torrent(bencoded({b"info": info, b"url-list": b"http://a.example/"}))
        said = [(each.name, each.size, each.pieces) for each in files]
        self.assertEqual(said, [("album/a/one.ogg", 5, None), ("album/two.ogg", 7, None)])
        self.assertEqual(str(files[0].mirrors[0].url), "http://a.example/album/a/one.ogg")

    def test_the_second_version(self) -> None:
        for size in (0, 1, 16384, 16385, 40_000, 65536, 65537, 100_000):
            torrent = second_version(b"f", {b"f": CONTENT[:size]}, 64 * KIB, older=True)
            (file,) = parse_torrent(torrent)
            self.assertEqual((file.name, file.size), ("f", size))
            assert file.pieces is not None and file.pieces.algorithm == TREE
            self.right(file.pieces, CONTENT[:size])

    def test_several_files_of_the_second_version(self) -> None:
        contents = {b"a/one": CONTENT, b"two": CONTENT[:70_000]}
        files = parse_torrent(second_version(b"album", contents, 32 * KIB))
        self.assertEqual([each.name for each in files], ["album/a/one", "album/two"])
        for file, content in zip(files, contents.values(), strict=True):
            assert file.pieces is not None
            self.right(file.pieces, content)

    def right(self, pieces: Pieces, content: bytes) -> None:
        """The pieces have the hashes of the content, and of no other."""
        for number in range(len(pieces.digests)):
            held = pieces.range_of(number, len(content))
            part = bytearray(content[held.start : held.stop])
            self.assertEqual(_digest(pieces, [bytes(part)]), pieces.digests[number])
            part[-1] ^= 1
            self.assertNotEqual(_digest(pieces, [bytes(part)]), pieces.digests[number])

    def test_faults(self) -> None:
        good = first_version(b"f", CONTENT, 32 * KIB)
        for torrent, said in (
            (b"d", "isn't bencoded"),
            (b"de", "has no info"),
            (b"d4:infoi5ee", "has no info, or a malformed one"),
            (b"di1ei2ee", "has a malformed dictionary"),
            (b"d1:a99:xe", "ends in the middle of a string"),
            (b"d1:a" + b"l" * 99, "is nested deeper than"),
            (good + b"x", "isn't a torrent"),
            (good.replace(b"1:f", b"2:.."), "an empty, . or .. segment"),
            (good.replace(b"i100000e", b"i999999e"), "has 4 pieces of 32768 bytes for 999999"),
            (good.replace(b"i32768e", b"i0e"), "has pieces of 0 bytes"),
            (second_version(b"f", {b"f": b"x"}, 20_000), "isn't a power of two"),
        ):
            with self.assertRaises(BadMetalink) as caught:
                parse_listing(torrent, "x.torrent")
            self.assertIn(said, str(caught.exception))
            self.assertTrue(str(caught.exception).startswith("x.torrent: "))

    @given(st.binary(max_size=60), st.integers(0, 200), st.binary(max_size=3))
    def test_nothing_else_is_raised(self, data: bytes, at: int, patch: bytes) -> None:
        good = second_version(b"f", {b"f": CONTENT[:40_000]}, 16 * KIB)
        for torrent in (b"d" + data, good[:at] + patch + good[at + len(patch) :]):
            with contextlib.suppress(ValueError):
                parse_torrent(torrent)


class CommandTests(SynchronousTestCase):
    def listing(self, *arguments: str) -> Listing:
        found = listing_of(self.parsed(*arguments))
        assert found is not None
        return found

    def parsed(self, *arguments: str) -> argparse.Namespace:
        parsed: argparse.Namespace = parsers()[0].parse_args(["get", *arguments])
        return parsed

    def test_urls_beside_a_torrent_are_its_mirrors(self) -> None:
        path = Path(self.mktemp() + ".torrent")
        seeds = {"url-list": b"http://b.example/f"}
        path.write_bytes(first_version(b"f", CONTENT, 32 * KIB, **seeds))
        listing = self.listing(str(path), "http://a.example/f")
        (options,) = self.result(listing)
        self.assertEqual(
            [str(url) for url in options.urls], ["http://a.example/f", "http://b.example/f"]
        )
        self.assertIsNotNone(options.listed.pieces)

    def test_a_torrent_without_web_seeds_needs_urls(self) -> None:
        path = Path(self.mktemp() + ".torrent")
        path.write_bytes(first_version(b"f", CONTENT, 32 * KIB))
        files = Deferred.fromCoroutine(self.listing(str(path)).files(None))
        self.failureResultOf(files, Misunderstood)

    def test_urls_beside_a_metalink_are_refused(self) -> None:
        with self.assertRaises(Misunderstood):
            self.listing("x.meta4", "http://a.example/f")

    def result(self, listing: Listing) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(listing.files(None)))


class RouteTests(ListedCase):
    async def test_pieces_of_a_torrent_for_the_sources_of_a_route(self) -> None:
        wrong = bytearray(BYTES)
        wrong[len(wrong) // 2] ^= 1
        films = await self.mirrors(File(bytes(wrong)).reply, honest)
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        for number, torrent in enumerate(
            (
                first_version(b"film.mp4", BYTES, 256 * KIB),
                second_version(b"film.mp4", {b"film.mp4": BYTES}, 256 * KIB),
            )
        ):
            (folder / f"{number}.mp4.torrent").write_bytes(torrent)
            port = self.route(str(folder), tuple(f"{film.url}/" for film in films))
            self.same(await self.ask(port, f"/m/{number}.mp4"))
