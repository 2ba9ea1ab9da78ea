"""Byte ranges against tables of RFC 9110 section 14, and against a naive twin."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http.ranges import (
    MAX,
    NOTHING,
    ContentRange,
    FromTo,
    Range,
    Spec,
    Suffix,
    covers_too_much,
    in_one_pass,
    number,
    parse_content_range,
    parse_range,
)

HUGE = b"9" * 5000

IGNORED = (
    b"",
    b"bytes",
    b"bytes=",
    b"bytes=,",
    b"bytes=-",
    b"bytes=a-b",
    b"bytes=5-4",
    b"bytes=+1-2",
    b"bytes=1_0-20",
    b"bytes=0x1-2",
    b"bytes=1.0-2",
    b"bytes=0 - 4",
    b"bytes=--5",
    b"bytes=0--5",
    b"bytes=0-4-6",
    b"bytes=0-4,x",
    b"bytes=0-4;6-8",
    b"bytes 0-4",
    b"bytes =0-4",
    b" bytes=0-4",
    b"bits=0-4",
    b"lines=0-4",
    b"seconds=1-2",
    b"bytes=\xd9\xa1-\xd9\xa3",
    b"bytes=\xb2-",
    b'bytes="0-4"',
)

OBEYED: tuple[tuple[bytes, tuple[Spec, ...]], ...] = (
    (b"bytes=0-0", (FromTo(0, 1),)),
    (b"bytes=0-499", (FromTo(0, 500),)),
    (b"bytes=500-", (FromTo(500),)),
    (b"bytes=-500", (Suffix(500),)),
    (b"bytes=-0", (NOTHING,)),
    (b"BYTES=1-2", (FromTo(1, 3),)),
    (b"Bytes=001-02", (FromTo(1, 3),)),
    (b"bytes= 0-0 ,\t-1, ,9-", (FromTo(0, 1), Suffix(1), FromTo(9))),
    (b"bytes=9-,0-0", (FromTo(9), FromTo(0, 1))),
    (b"bytes=5-%d" % MAX, (FromTo(5, MAX + 1),)),
    (b"bytes=5-" + HUGE, (FromTo(5, MAX + 1),)),
    (b"bytes=" + HUGE + b"-", (FromTo(MAX),)),
    (b"bytes=-" + HUGE, (Suffix(MAX),)),
)


class NumberTests(SynchronousTestCase):
    def test_table(self) -> None:
        for digits, value in (
            (b"0", 0),
            (b"007", 7),
            (b"%d" % 10**18, 10**18),
            (b"%d" % (MAX - 1), MAX - 1),
            (b"%d" % MAX, MAX),
            (b"%d" % (MAX + 1), MAX),
            (HUGE, MAX),
            (b"0" * 5000 + b"5", 5),
            (b"", None),
            (b"+1", None),
            (b"-1", None),
            (b"1_0", None),
            (b" 1", None),
            (b"1\n", None),
            (b"\xd9\xa1", None),
        ):
            self.assertEqual(number(digits), value, digits[:30])


class ParseTests(SynchronousTestCase):
    def test_what_is_ignored(self) -> None:
        for value in IGNORED:
            self.assertIsNone(parse_range(value), value)

    def test_what_is_obeyed(self) -> None:
        for value, specs in OBEYED:
            self.assertEqual(parse_range(value), specs, value[:40])

    def test_headers_are_read_as_they_were_meant(self) -> None:
        for spec in (FromTo(0), FromTo(3), FromTo(0, 1), FromTo(7, 900), Suffix(1), Suffix(55)):
            self.assertEqual(parse_range(spec.header()), (spec,))

    def test_a_last_position_past_all_files_is_left_out(self) -> None:
        self.assertEqual(FromTo(5, MAX + 1).header(), b"bytes=5-")
        self.assertEqual(FromTo(5, 2 * MAX).header(), b"bytes=5-")
        self.assertEqual(FromTo(5, MAX).header(), b"bytes=5-%d" % (MAX - 1))


def naive(spec: Spec, complete: int) -> list[int]:
    """The positions a spec means, found by looking at each."""
    if isinstance(spec, Suffix):
        return [at for at in range(complete) if complete - at <= spec.length]
    return [
        at for at in range(complete) if at >= spec.start and (spec.stop is None or at < spec.stop)
    ]


small = st.integers(0, 40)
specs = st.one_of(
    st.builds(Suffix, small),
    small.map(FromTo),
    st.tuples(small, small).map(lambda pair: FromTo(min(pair), max(pair) + 1)),
)
ranges = st.tuples(small, small).map(lambda pair: Range(min(pair), max(pair) + 1))


class ResolveTests(SynchronousTestCase):
    def test_an_empty_file_satisfies_nothing(self) -> None:
        for spec in (FromTo(0), FromTo(0, 1), Suffix(5), NOTHING):
            self.assertIsNone(spec.resolve(0))

    def test_huge(self) -> None:
        size = 2**40
        self.assertEqual(FromTo(size - 1, MAX + 1).resolve(size), Range(size - 1, size))
        self.assertEqual(Suffix(MAX).resolve(size), Range(0, size))
        self.assertIsNone(FromTo(MAX).resolve(size))

    @given(specs, small)
    def test_the_naive_twin_agrees(self, spec: Spec, complete: int) -> None:
        found = spec.resolve(complete)
        positions = [] if found is None else list(range(found.start, found.stop))
        self.assertEqual(positions, naive(spec, complete))
        self.assertTrue(found is None or found.length > 0)

    @given(st.lists(ranges))
    def test_one_pass_has_each_byte_once_and_in_order(self, asked: list[Range]) -> None:
        passed = in_one_pass(asked)
        positions = [at for each in passed for at in range(each.start, each.stop)]
        wanted = {at for each in asked for at in range(each.start, each.stop)}
        self.assertEqual(positions, sorted(wanted))

    @given(st.lists(ranges, max_size=6), st.integers(41, 60))
    def test_too_much_is_overlap_beyond_the_file(self, asked: list[Range], complete: int) -> None:
        positions = [at for each in asked for at in range(each.start, each.stop)]
        overlap = len(set(positions)) < len(positions)
        self.assertEqual(covers_too_much(asked, complete), overlap and len(positions) > complete)


class ContentRangeTests(SynchronousTestCase):
    def test_printed(self) -> None:
        self.assertEqual(Range(0, 500).content_range(1234), b"bytes 0-499/1234")
        self.assertEqual(Range(7, 8).content_range(None), b"bytes 7-7/*")

    def test_read(self) -> None:
        for value, expected in (
            (b"bytes 0-499/1234", ContentRange(Range(0, 500), 1234)),
            (b"Bytes 7-7/*", ContentRange(Range(7, 8), None)),
            (b"bytes */1234", ContentRange(None, 1234)),
            (b"bytes */0", ContentRange(None, 0)),
            (b"bytes 0-1233/1234", ContentRange(Range(0, 1234), 1234)),
            (b"bytes 0-1234/1234", None),
            (b"bytes 5-4/10", None),
            (b"bytes */*", None),
            (b"bytes=0-4/10", None),
            (b"bytes 0-4", None),
            (b"bytes -4/10", None),
            (b"bytes 0-/10", None),
            (b"bytes +0-4/10", None),
            (b"bytes 0-4/1_0", None),
            (b"bits 0-4/10", None),
            (b"0-4/10", None),
            (b"", None),
        ):
            self.assertEqual(parse_content_range(value), expected, value)

    @given(ranges, st.none() | st.integers(41, 99))
    def test_what_is_printed_is_read(self, each: Range, complete: int | None) -> None:
        read = parse_content_range(each.content_range(complete))
        self.assertEqual(read, ContentRange(each, complete))
