"""Which file of a directory a request names, and what it is answered."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http.fields import Fields
from aprp.core.http.file_answers import file_answer, file_path, media_type
from aprp.core.http.ranges import Range
from aprp.core.http.validators import Validators, format_date

NOW = 1_800_000_000
OLD = NOW - 3600


class PathTests(SynchronousTestCase):
    def test_names(self) -> None:
        for target, path in (
            (b"/a.mp4", b"a.mp4"),
            (b"/a/b%20c.mp4", b"a/b c.mp4"),
            (b"/%C3%A9/x?token=1", b"\xc3\xa9/x"),
            (b"/a%25b", b"a%b"),
            (b"/.hidden", b".hidden"),
            (b"/...", b"..."),
        ):
            self.assertEqual(file_path(target), path, target)

    def test_what_names_no_file_of_the_directory(self) -> None:
        for target in (
            *(b"/", b"", b"*", b"//a", b"/a//b", b"/a/"),
            *(b"/.", b"/./a", b"/..", b"/../a", b"/a/../b", b"/a/.."),
            *(b"/%2e%2e/a", b"/%2E./a", b"/a/.%2e/%2E%2e/b", b"/%2e"),
            *(b"/a%2Fb", b"/..%2f..%2fetc/passwd", b"/%2Fetc/passwd", b"/a%2f"),
            *(b"/a%00", b"/%00", b"/a%00.mp4"),
        ):
            self.assertIsNone(file_path(target), target)

    def test_media_types(self) -> None:
        self.assertEqual(media_type(b"a/b.MP4"), b"video/mp4")
        self.assertEqual(media_type(b"x.tar.mkv"), b"video/x-matroska")
        for path in (b"mp4", b"a.mp4/b", b"a.unheard"):
            self.assertIn(media_type(path), (None, b"video/mp4") if path == b"mp4" else (None,))


class AnswerTests(SynchronousTestCase):
    def answer(
        self, *lines: tuple[bytes, bytes], size: int = 1000, modified: int = OLD
    ) -> tuple[int, Fields, Range]:
        head, held = file_answer(Fields(lines), b"a.mp4", size, modified, NOW)
        return head.status, head.fields, held

    def test_ranges(self) -> None:
        for value, status, held, said in (
            (b"bytes=0-", 200, Range(0, 1000), None),
            (b"bytes=0-99", 206, Range(0, 100), b"bytes 0-99/1000"),
            (b"bytes=999-5000", 206, Range(999, 1000), b"bytes 999-999/1000"),
            (b"bytes=-1", 206, Range(999, 1000), b"bytes 999-999/1000"),
            (b"bytes=1000-", 416, Range(0, 0), b"bytes */1000"),
            (b"bytes=-0", 416, Range(0, 0), b"bytes */1000"),
            (b"bytes=0-1,5-6", 200, Range(0, 1000), None),
            (b"bytes=+1-2", 200, Range(0, 1000), None),
            (b"lines=1-2", 200, Range(0, 1000), None),
        ):
            found = self.answer((b"Range", value))
            self.assertEqual((found[0], found[2]), (status, held), value)
            self.assertEqual(found[1].get(b"content-range"), said, value)
            self.assertEqual(found[1].get(b"content-length"), b"%d" % held.length, value)

    def test_if_range(self) -> None:
        some = (b"Range", b"bytes=5-9")
        for value, modified, status in (
            (format_date(OLD), OLD, 206),
            (format_date(OLD - 1), OLD, 200),
            (format_date(OLD), OLD + 1, 200),
            (b'"tag"', OLD, 200),
            (format_date(NOW - 30), NOW - 30, 200),  # it may still be written
        ):
            found = self.answer(some, (b"If-Range", value), modified=modified)
            self.assertEqual(found[0], status, value)

    def test_validators(self) -> None:
        """A date that is sent is strong once it is a minute old; nothing else is."""
        _, fields, _ = self.answer()
        self.assertEqual(Validators.of(fields), Validators(None, OLD, None))
        for impossible in (-1, 2**40):
            self.assertNotIn(b"last-modified", self.answer(modified=impossible)[1])

    def test_an_empty_file(self) -> None:
        self.assertEqual(self.answer(size=0)[0], 200)
        self.assertEqual(self.answer((b"Range", b"bytes=0-9"), size=0)[0], 416)
