"""What a client asks for: Range, If-Range, and ranges in the path."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.config import PathRanges
from aprp.core.http.fields import Fields
from aprp.core.http.ranges import NOTHING, FromTo, Suffix
from aprp.core.http.validators import ETag, IfRange
from aprp.web.range_request import RangeRequest, read_range_request


def range_request(
    *pairs: tuple[bytes, bytes],
    head: bool = False,
    path: bytes = b"/a",
    meaning: PathRanges = PathRanges.END,
    max_ranges: int = 3,
) -> RangeRequest:
    return read_range_request(Fields(pairs), head, path, meaning, max_ranges)


class HeaderTests(SynchronousTestCase):
    def test_a_range(self) -> None:
        found = range_request((b"Range", b"bytes=0-4, -5"))
        self.assertEqual(found.asked.header, (FromTo(0, 5), Suffix(5)))
        self.assertEqual((found.path, found.text), (b"/a", b"bytes=0-4, -5"))

    def test_what_is_ignored(self) -> None:
        for pairs in (
            (),
            ((b"Range", b"lines=0-4"),),
            ((b"Range", b"bytes=4-0"),),
            ((b"Range", b"bytes=0-0,1-1,2-2,3-3"),),  # more than max_ranges
            ((b"Range", b"bytes=0-0"), (b"Range", b"bytes=1-1")),
        ):
            found = range_request(*pairs)
            self.assertIsNone(found.asked.header, pairs)
            self.assertIsNone(found.text, pairs)

    def test_head_has_what_get_without_range_has(self) -> None:
        found = range_request((b"Range", b"bytes=0-4"), head=True)
        self.assertIsNone(found.asked.header)

    def test_if_range(self) -> None:
        ranged = (b"Range", b"bytes=0-4")
        found = range_request(ranged, (b"If-Range", b'"x"'))
        self.assertEqual(found.asked.if_range, IfRange(ETag(b"x")))
        self.assertEqual(found.if_range, b'"x"')
        self.assertIsNone(range_request((b"If-Range", b'"x"')).if_range)

    def test_if_range_that_can_never_hold_takes_the_range_away(self) -> None:
        for value in (b'W/"x"', b"x", b"*", b"yesterday"):
            found = range_request((b"Range", b"bytes=0-4"), (b"If-Range", value))
            self.assertIsNone(found.asked.header, value)
            self.assertIsNone(found.if_range, value)


class PathTests(SynchronousTestCase):
    def test_meanings(self) -> None:
        for meaning, path, spec in (
            (PathRanges.END, b"/a", FromTo(5, 10)),
            (PathRanges.LENGTH, b"/a", FromTo(5, 14)),
            (PathRanges.OFF, b"/a/5/9", None),
        ):
            found = range_request(path=b"/a/5/9", meaning=meaning)
            self.assertEqual((found.path, found.asked.path), (path, spec), meaning)
        self.assertEqual(range_request(path=b"/a/5/9").text, b"5/9")

    def test_a_range_of_no_file(self) -> None:
        self.assertEqual(range_request(path=b"/a/9/5").asked.path, NOTHING)

    def test_the_header_is_kept_for_comparison_with_head_too(self) -> None:
        for head in (False, True):
            found = range_request((b"Range", b"bytes=0-4"), path=b"/a/5/9", head=head)
            self.assertEqual(found.asked.header, (FromTo(0, 5),))
            self.assertEqual(found.asked.wanted, None if head else FromTo(5, 10))
