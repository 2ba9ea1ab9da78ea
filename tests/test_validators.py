"""Validators, dates, preconditions and If-Range: tables of RFC 9110 sections 5.6.7, 8.8, 13."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http.fields import Fields
from aprp.core.http.validators import (
    ETag,
    IfRange,
    Validators,
    format_date,
    is_conditional,
    parse_date,
    parse_etag,
    precondition,
)

WHEN = 784111777
IMF = b"Sun, 06 Nov 1994 08:49:37 GMT"
BEFORE = b"Sun, 06 Nov 1994 08:49:36 GMT"
AFTER = b"Sun, 06 Nov 1994 08:49:38 GMT"


class ETagTests(SynchronousTestCase):
    def test_parsed(self) -> None:
        for value, etag in (
            (b'"x"', ETag(b"x")),
            (b'W/"x"', ETag(b"x", weak=True)),
            (b'""', ETag(b"")),
            (b'"a\\"', ETag(b"a\\")),
            (b'"\xe9"', ETag(b"\xe9")),
            (b'w/"x"', None),
            (b"x", None),
            (b'"x', None),
            (b'"a b"', None),
            (b'"a"b"', None),
            (b"'x'", None),
            (b"*", None),
            (b'"x", "y"', None),
        ):
            self.assertEqual(parse_etag(value), etag, value)
            if etag is not None:
                self.assertEqual(bytes(etag), value)

    def test_comparison_as_the_table_of_section_8_8_3_2(self) -> None:
        for a, b, strong, weak in (
            (b'W/"1"', b'W/"1"', False, True),
            (b'W/"1"', b'W/"2"', False, False),
            (b'W/"1"', b'"1"', False, True),
            (b'"1"', b'"1"', True, True),
        ):
            one, other = parse_etag(a), parse_etag(b)
            assert one is not None
            self.assertEqual((one.same_strongly(other), one.same_weakly(other)), (strong, weak))
        self.assertFalse(ETag(b"").same_weakly(None))


class DateTests(SynchronousTestCase):
    def test_three_forms(self) -> None:
        for value in (IMF, b"Sunday, 06-Nov-94 08:49:37 GMT", b"Sun Nov  6 08:49:37 1994"):
            self.assertEqual(parse_date(value), WHEN, value)

    def test_no_dates(self) -> None:
        for value in (
            b"",
            b"0",
            b"784111777",
            b"Sun, 06 Nov 1994 08:49:37",
            b"Sun, 06 Nov 1994 08:49:37 CET",
            b"Sun, 06 Nov 1994 08:49:37 +0000",
            b"Sun, 32 Nov 1994 08:49:37 GMT",
            b"Sun, 29 Feb 1994 08:49:37 GMT",
            b"Sun, 00 Nov 1994 08:49:37 GMT",
            b"Sun, 06 Nuv 1994 08:49:37 GMT",
            b"Sun, 06 Nov 0000 08:49:37 GMT",
            b"Sun, 06 Nov 1994 24:49:37 GMT",
            b"Sun, 06 Nov 1994 08:60:37 GMT",
            b"sun, 06 nov 1994 08:49:37 gmt",
            b"Sun, 6 Nov 1994 08:49:37 GMT",
        ):
            self.assertIsNone(parse_date(value), value)

    def test_years_of_two_digits(self) -> None:
        self.assertEqual(parse_date(b"Thursday, 01-Jan-70 00:00:00 GMT"), 0)
        late = parse_date(b"Tuesday, 01-Jan-30 00:00:00 GMT")
        self.assertEqual(late, parse_date(b"Tue, 01 Jan 2030 00:00:00 GMT"))

    @given(st.integers(0, 250_000_000_000))
    def test_what_is_printed_is_read(self, seconds: int) -> None:
        self.assertEqual(parse_date(format_date(seconds)), seconds)


class StrengthTests(SynchronousTestCase):
    def test_what_can_be_asked_on_with(self) -> None:
        for validators, strong in (
            (Validators(), None),
            (Validators(ETag(b"x")), b'"x"'),
            (Validators(ETag(b"x"), 5, 9), b'"x"'),
            (Validators(ETag(b"x", weak=True), WHEN, WHEN + 60), None),
            (Validators(None, WHEN, WHEN + 1), IMF),
            (Validators(None, WHEN, WHEN), None),
            (Validators(None, WHEN + 5, WHEN), None),
            (Validators(None, WHEN), None),
        ):
            self.assertEqual(validators.strong(), strong, validators)

    def test_malformed_and_repeated_ones_are_absent(self) -> None:
        self.assertEqual(Validators.of(Fields(((b"ETag", b"x"), (b"Date", b"0")))), Validators())
        twice = Fields(((b"ETag", b'"x"'), (b"ETag", b'"y"')))
        self.assertEqual(Validators.of(twice), Validators())


def status(pairs: tuple[tuple[bytes, bytes], ...], current: Validators) -> int | None:
    return precondition(Fields(pairs), current)


class PreconditionTests(SynchronousTestCase):
    current = Validators(ETag(b"x"), WHEN, WHEN + 3600)
    weak = Validators(ETag(b"x", weak=True), WHEN, WHEN + 3600)
    bare = Validators()

    def test_one_field(self) -> None:
        for name, value, current, expected in (
            (b"If-Match", b'"x"', self.current, None),
            (b"If-Match", b'"y"', self.current, 412),
            (b"If-Match", b'"y", "x"', self.current, None),
            (b"If-Match", b'"y\\", "x"', self.current, None),
            (b"If-Match", b'W/"x"', self.current, 412),
            (b"If-Match", b'"x"', self.weak, 412),
            (b"If-Match", b"*", self.bare, None),
            (b"If-Match", b'"x"', self.bare, 412),
            (b"If-None-Match", b'"x"', self.current, 304),
            (b"If-None-Match", b'W/"x"', self.current, 304),
            (b"If-None-Match", b'"x"', self.weak, 304),
            (b"If-None-Match", b'"a,b", "x"', self.current, 304),
            (b"If-None-Match", b'"y"', self.current, None),
            (b"If-None-Match", b"x", self.current, None),
            (b"If-None-Match", b"*", self.bare, 304),
            (b"If-None-Match", b'"x"', self.bare, None),
            (b"If-Modified-Since", IMF, self.current, 304),
            (b"If-Modified-Since", AFTER, self.current, 304),
            (b"If-Modified-Since", BEFORE, self.current, None),
            (b"If-Modified-Since", b"yesterday", self.current, None),
            (b"If-Modified-Since", IMF, self.bare, None),
            (b"If-Unmodified-Since", IMF, self.current, None),
            (b"If-Unmodified-Since", AFTER, self.current, None),
            (b"If-Unmodified-Since", BEFORE, self.current, 412),
            (b"If-Unmodified-Since", b"yesterday", self.current, None),
            (b"If-Unmodified-Since", BEFORE, self.bare, None),
        ):
            self.assertEqual(status(((name, value),), current), expected, (name, value))

    def test_order_and_precedence_of_section_13_2_2(self) -> None:
        match, no_match = (b"If-Match", b'"x"'), (b"If-Match", b'"y"')
        none_match, none_other = (b"If-None-Match", b'"x"'), (b"If-None-Match", b'"y"')
        unmodified = (b"If-Unmodified-Since", BEFORE)
        unchanged = (b"If-Modified-Since", IMF)
        for pairs, expected in (
            ((match, unmodified), None),  # the date isn't looked at beside If-Match
            ((none_other, unchanged), None),  # nor beside If-None-Match
            ((none_match, no_match), 412),  # If-Match comes first
            ((match, none_match), 304),
            ((unmodified, none_match), 412),
            ((match, unchanged), 304),
        ):
            self.assertEqual(status(pairs, self.current), expected, pairs)

    def test_lines_of_a_list_combine(self) -> None:
        pairs = ((b"If-None-Match", b'"y"'), (b"if-none-match", b'"x"'))
        self.assertEqual(status(pairs, self.current), 304)

    def test_which_fields_are_conditions(self) -> None:
        self.assertTrue(is_conditional(Fields(((b"If-Match", b"*"),))))
        self.assertFalse(is_conditional(Fields(((b"If-Range", b'"x"'), (b"Range", b"x")))))


class IfRangeTests(SynchronousTestCase):
    def test_table(self) -> None:
        strong = Validators(ETag(b"x"), WHEN, WHEN + 1)
        for value, current, holds in (
            (b'"x"', strong, True),
            (b'"y"', strong, False),
            (b'W/"x"', strong, False),
            (b'"x"', Validators(ETag(b"x", weak=True)), False),
            (b'"x"', Validators(), False),
            (b'"x", "y"', strong, False),
            (b"*", strong, False),
            (b"x", strong, False),
            (IMF, strong, True),
            (b"Sunday, 06-Nov-94 08:49:37 GMT", strong, True),
            (AFTER, strong, False),  # exactly the same, not later
            (BEFORE, strong, False),
            (IMF, Validators(None, WHEN, WHEN), False),  # too fresh to be strong
            (IMF, Validators(None, WHEN), False),
            (IMF, Validators(), False),
        ):
            self.assertEqual(IfRange.parse(value).matches(current), holds, (value, current))

    def test_hopeless(self) -> None:
        for value, hopeless in (
            (b'"x"', False),
            (IMF, False),
            (b'W/"x"', True),
            (b"*", True),
            (b"", True),
        ):
            self.assertEqual(IfRange.parse(value).hopeless, hopeless, value)
