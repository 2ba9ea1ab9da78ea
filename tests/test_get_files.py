"""Where `aprp get` writes, how it goes on with what it left, checksums and the pace."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http.urls import Url
from aprp.core.scheduling.messages import KIB, MIB
from aprp.get.checksum import Check, Checksum
from aprp.get.naming import CannotWrite, destination, is_stream
from aprp.get.options import add_arguments, read
from aprp.get.partial import Partial, PartialVersion

VERSION = PartialVersion(10, 1000, 0, 10)


def urls(*texts: str) -> tuple[Url, ...]:
    return tuple(Url.parse(text) for text in texts)


class Folder(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.path = self.folder / "file"

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


class NamingTests(Folder):
    def test_the_last_part_of_the_path(self) -> None:
        for url, name in (
            ("http://a.example/pub/film.mp4", "film.mp4"),
            ("http://a.example/film.mp4?token=1", "film.mp4"),
            ("http://a.example/a%20b.mp4", "a b.mp4"),
            ("http://a.example/x%2F..%2Fetc", "x_.._etc"),
            ("http://a.example/x%00%0Ay", "x__y"),
            ("http://a.example/caf%C3%A9", "café"),
        ):
            self.assertEqual(destination(urls(url), None, self.folder), self.folder / name)

    def test_no_name_to_be_made_up(self) -> None:
        for url in ("http://a.example/", "http://a.example/x/", "http://a.example/%2E%2E"):
            with self.assertRaises(CannotWrite):
                destination(urls(url), None, self.folder)

    def test_a_made_up_name_replaces_nothing(self) -> None:
        self.path.write_bytes(b"mine")
        with self.assertRaises(CannotWrite):
            destination(urls("http://a.example/file"), None, self.folder)
        asked = destination(urls("http://a.example/file"), "file", self.folder)
        self.assertEqual(asked, self.path)

    def test_links_are_followed(self) -> None:
        (self.folder / "link").symlink_to(self.path)
        asked = destination(urls("http://a.example/x"), str(self.folder / "link"), None)
        self.assertEqual(asked, self.path)

    def test_what_cannot_be_written(self) -> None:
        for output in (str(self.folder), str(self.folder / "none" / "file")):
            with self.assertRaises(CannotWrite):
                destination(urls("http://a.example/x"), output, None)

    def test_standard_output(self) -> None:
        self.assertIsNone(destination(urls("http://a.example/x"), "-", None))

    def test_a_hidden_name_in_a_metalink_needs_a_folder(self) -> None:
        """In a home directory, a program would read it as its settings."""
        url = urls("http://a.example/x")
        for listed in (".profile", ".ssh/rc", "a/.b"):
            with self.assertRaisesRegex(CannotWrite, "is hidden; name a folder"):
                destination(url, None, None, listed=listed)
            found = destination(url, None, self.folder, listed=listed)
            self.assertEqual(found, self.folder.resolve() / listed)
        self.assertEqual(destination(url, "x", self.folder, listed=".x"), self.folder / "x")

    def test_devices_and_pipes_are_never_replaced(self) -> None:
        os.mkfifo(self.folder / "pipe")
        self.assertTrue(is_stream(self.folder / "pipe"))
        self.assertTrue(is_stream(Path("/dev/null")))
        self.assertFalse(is_stream(self.path))
        self.path.write_bytes(b"")
        self.assertFalse(is_stream(self.path))


class PartialTests(Folder):
    def test_the_file_appears_whole(self) -> None:
        partial = Partial(self.path, keep=False)
        partial.begin(VERSION)
        partial.write(b"01234")
        self.assertFalse(self.path.exists())
        self.assertEqual(partial.part.stat().st_size, 10)
        partial.write(b"56789")
        partial.finish()
        self.assertEqual(self.path.read_bytes(), b"0123456789")
        self.assertEqual(self.names(), ["file"])

    def test_going_on(self) -> None:
        first = Partial(self.path, keep=False)
        first.begin(VERSION)
        first.write(b"01234")
        first.save()
        first.write(b"never saved"[:2])
        first.close()
        second = Partial(self.path, keep=True)
        self.assertEqual((second.written, second.version), (5, VERSION))
        self.assertEqual(b"".join(second.pieces()), b"01234")
        second.begin(VERSION)
        second.write(b"56789")
        second.finish()
        self.assertEqual(self.path.read_bytes(), b"0123456789")

    def test_beginning_anew(self) -> None:
        first = Partial(self.path, keep=False)
        first.begin(VERSION)
        first.write(b"01234")
        first.save()
        first.close()
        second = Partial(self.path, keep=False)
        self.assertEqual((second.written, second.version), (0, None))
        self.assertEqual(self.names(), ["file.aprp-part"])
        second.discard()
        self.assertEqual(self.names(), [])

    def test_records_that_cannot_be_true(self) -> None:
        good = {"written": 5, "complete": 10, "last_modified": None, "start": 0, "stop": 10}
        for record in (
            "",
            "[]",
            "{}",
            '{"written": 5}',
            json.dumps(good | {"written": 11}),
            json.dumps(good | {"written": -1}),
            json.dumps(good | {"written": "5"}),
            json.dumps(good | {"more": 1}),
            json.dumps(good | {"written": 8}),
        ):
            (self.folder / "file.aprp-part").write_bytes(b"0123456")
            (self.folder / "file.aprp-part.json").write_text(record)
            partial = Partial(self.path, keep=True)
            self.assertEqual((partial.written, partial.version), (0, None), record)
            partial.discard()

    def test_one_at_a_time(self) -> None:
        partial = Partial(self.path, keep=False)
        with self.assertRaises(CannotWrite):
            Partial(self.path, keep=True)
        partial.discard()

    def test_no_room(self) -> None:
        partial = Partial(self.path, keep=False)
        with self.assertRaises(CannotWrite):
            partial.begin(PartialVersion(1 << 62, None, 0, 1 << 62))
        self.assertEqual(self.names(), [])

    def test_an_empty_file(self) -> None:
        partial = Partial(self.path, keep=False)
        partial.begin(PartialVersion(0, None, 0, 0))
        partial.finish()
        self.assertEqual(self.path.read_bytes(), b"")

    def test_versions(self) -> None:
        for now, same in (
            (VERSION, True),
            (PartialVersion(10, None, 0, 10), True),
            (PartialVersion(11, 1000, 0, 11), False),
            (PartialVersion(10, 1001, 0, 10), False),
            (PartialVersion(10, 1000, 5, 10), False),
        ):
            self.assertEqual(VERSION.difference(now) is None, same, str(now))


class ChecksumTests(SynchronousTestCase):
    def test_parsing(self) -> None:
        digest = hashlib.sha256(b"x").hexdigest()
        for text in (f"sha-256={digest}", f"SHA256={digest.upper()}"):
            self.assertEqual(Checksum.parse(text), Checksum("sha-256", digest))
        for text in ("", digest, "sha-256=", "sha-256=00", f"crc={digest}", "md5=" + "g" * 32):
            with self.assertRaises(ValueError):
                Checksum.parse(text)

    def test_checking(self) -> None:
        check = Check(Checksum.parse(f"md5={hashlib.md5(b'ab').hexdigest()}"))
        check.update(b"a")
        self.assertTrue(check.wrong)
        check.update(b"b")
        self.assertFalse(check.wrong)
        self.assertFalse(Check(None).wrong)


class LimitTests(SynchronousTestCase):
    def window(self, *words: str) -> int:
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        return read(
            parser.parse_args([*words, "http://a.example/f"])
        ).fetch_request.rules.scheduling.window

    def test_a_limit_bounds_what_is_requested_ahead(self) -> None:
        self.assertEqual(self.window(), 32 * MIB)
        self.assertEqual(self.window("--limit-rate", "500KiB"), 500 * KIB)
        self.assertEqual(self.window("--limit-rate", "1KiB"), 256 * KIB)
        self.assertEqual(self.window("--limit-rate", "1GiB"), 32 * MIB)
