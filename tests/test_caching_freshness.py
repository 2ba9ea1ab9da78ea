"""Cache directives, freshness and age: RFC 9111 sections 4.2, 5.1, 5.2 and 5.3, RFC 9213."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http.caching.directives import MOST_SECONDS, cache_control, targeted
from aprp.core.http.caching.freshness import UNKNOWN, Lifetime, age, date_of, lifetime
from aprp.core.http.caching.policy import DAY, Policy
from aprp.core.http.caching.response import Response
from aprp.core.http.fields import Fields
from aprp.core.http.validators import format_date

NOW = 1_700_000_000
CDN = Policy(targeted=(b"cdn-cache-control",))


def response(*lines: tuple[str, str], status: int = 200, received: float = NOW) -> Response:
    """Return a response that was received at once."""
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in lines]
    return Response(status, Fields(pairs), received, received)


def date(offset: int) -> str:
    """Return the date so many seconds after `NOW`."""
    return format_date(NOW + offset).decode()


class SecondsTests(SynchronousTestCase):
    """Section 1.2.2 and 4.2.1: delta-seconds, in the forms that a directive may have."""

    CASES = (
        ("max-age=3600", 3600),
        ("MaX-aGe=3600", 3600),
        ("max-age=003600", 3600),
        ('max-age="3600"', 3600),
        ("foobar, max-age=3600", 3600),
        ("max-age=2147483649", MOST_SECONDS),
        ("max-age=" + "9" * 5000, MOST_SECONDS),
        ("max-age=1800, max-age=1", 1800),
        ('ext="max-age=3600", max-age=1', 1),
        ('max-age=1, ext="max-age=3600"', 1),
        (r'ext="a\", max-age=9", max-age=1', 1),
        ("max-age=-3600", 0),
        ("max-age='3600'", 0),
        ("max-age=3600.0", 0),
        ("max-age=3600a", 0),
        ("max-age=a3600", 0),
        ("max-age=+5", 0),
        ("max-age= 3600", 0),
        ("max-age =3600", 0),
        ("max-age", 0),
        ("max-age=", 0),
        ("s-max-age=5", None),
        ("", None),
    )

    def test_section_4_2_1(self) -> None:
        for value, expected in self.CASES:
            found = cache_control(Fields(((b"Cache-Control", value.encode()),)))
            self.assertEqual(found.seconds(b"max-age"), expected, value)

    def test_section_5_2_lines_are_one_list(self) -> None:
        lines = Fields(((b"Cache-Control", b"max-age=5"), (b"cache-control", b"no-store")))
        found = cache_control(lines)
        self.assertIn(b"no-store", found)
        self.assertEqual(found.seconds(b"max-age"), 5)

    def test_a_string_without_an_end_hides_nothing_that_restricts(self) -> None:
        lines = Fields(((b"Cache-Control", b'foo="a, max-age=9'), (b"Cache-Control", b"no-store")))
        self.assertIn(b"no-store", cache_control(lines))
        self.assertNotIn(b"max-age", cache_control(lines))
        for value, hidden in (
            ('foo="a, no-store"', True),
            ('foo="a\\", no-store"', True),
            ('foo="\\\\", bar="no-store, "', True),
            ('foo="\\", no-store', False),
            ('foo="\\\\", no-store', False),
        ):
            found = cache_control(Fields(((b"Cache-Control", value.encode()),)))
            self.assertEqual(b"no-store" not in found, hidden, value)


class LimitedTests(SynchronousTestCase):
    """Sections 5.2.2.4 and 5.2.2.7: no-cache and private, for all or for some fields."""

    CASES = (
        ("private", True, None),
        ("private=1x", False, {b"1x"}),
        ("private=", True, None),
        ("private =x", True, None),
        ('private=""', True, None),
        ('private="a b"', True, None),
        ('private="A, b"', False, {b"a", b"b"}),
        ('private=" a ,, b "', False, {b"a", b"b"}),
        ("No-Store, PRIVATE", True, None),
        ("private=a, private=b", False, {b"a", b"b"}),
        ("private=a, private", True, None),
        ("private, private=a", True, None),
        ('private=a, private=""', True, None),
        ('private=a, private="b c"', True, None),
        ("public", False, None),
    )

    def test_section_5_2_2_7(self) -> None:
        for value, everything, names in self.CASES:
            found = cache_control(Fields(((b"Cache-Control", value.encode()),)))
            self.assertEqual(found.forbids(b"private"), everything, value)
            self.assertEqual(found.names(b"private"), names, value)


class TargetedTests(SynchronousTestCase):
    """RFC 9213 section 2.1 and RFC 8941 section 3.2: a Dictionary, or nothing."""

    VALID = (
        ("max-age=60", 60),
        ("max-age=60;x=1;y, private=?0", 60),
        ("max-age=1, max-age=60", 60),
        ('foo="a, b", max-age=60', 60),
        (" max-age=60 ", 60),
        ("max-age=60 , foo", 60),
        ("max-age=-1", 0),
        ("foobar", None),
    )
    INVALID = (
        "",
        " ",
        "MaX-aGe=60",
        "max-age=60,",
        "max-age=60, &&&&&",
        'max-age="60"',
        "max-age=60.5",
        "max-age",
        "max-age =60",
        "max-age= 60",
        "max-age=6000000000000000",
        "max-age=60 foo",
        "foo=(a b)",
        'foo="a',
    )

    def test_section_2_1_valid(self) -> None:
        for value, expected in self.VALID:
            found = targeted(
                Fields(((b"CDN-Cache-Control", value.encode()),)), b"cdn-cache-control"
            )
            assert found is not None, value
            self.assertEqual(found.seconds(b"max-age"), expected, value)
            self.assertNotIn(b"private", found)

    def test_section_2_1_invalid_is_ignored(self) -> None:
        for value in self.INVALID:
            fields = Fields(((b"CDN-Cache-Control", value.encode()),))
            self.assertIsNone(targeted(fields, b"cdn-cache-control"), value)


class LifetimeTests(SynchronousTestCase):
    """Sections 4.2.1 and 4.2.2: what the origin says, the route's `valid`, the heuristic."""

    def test_section_4_2_1_explicit(self) -> None:
        cases = (
            ((("Cache-Control", "max-age=1, s-maxage=60"),), 60),
            ((("Cache-Control", "s-maxage=x, max-age=60"),), 0),
            ((("Cache-Control", "max-age=60"), ("Expires", date(-5))), 60),
            ((("Cache-Control", "max-age=0"), ("Expires", date(60))), 0),
            ((("Expires", date(60)), ("Date", date(0))), 60),
            ((("Expires", date(60)),), 60),
            ((("Expires", date(10)), ("Date", "foo")), 10),
            ((("Expires", date(300)), ("Date", date(400))), 0),
            ((("Expires", "0"), ("Date", date(0))), 0),
            ((("Expires", date(60)), ("Expires", date(90))), 0),
            ((("Expires", date(60)), ("Expires", date(60))), 60),
            ((("Expires", date(60).upper()),), 60),
            ((("Expires", date(60).replace("GMT", "gmt")),), 60),
            ((("Expires", date(60).replace("GMT", "UTC")),), 0),
        )
        for lines, seconds in cases:
            found = lifetime(response(*lines), Policy(valid=999))
            self.assertEqual(found, Lifetime(seconds, explicit=True), lines)

    def test_section_4_2_1_valid_where_the_origin_says_nothing(self) -> None:
        policy = Policy(valid=600)
        lines = (("Last-Modified", date(-1000)), ("Date", date(0)))
        for status, seconds in (
            (200, 600),
            (206, 600),
            (301, 600),
            (410, 600),
            (404, 100),
            (403, 0),
        ):
            found = lifetime(response(*lines, status=status), policy)
            self.assertEqual(found, Lifetime(seconds, explicit=False), status)

    def test_section_4_2_2_heuristic(self) -> None:
        cases = (
            (200, -86400, "", 8640),
            (200, -(10**9), "", DAY),
            (200, 50, "", 0),
            (404, -1000, "", 100),
            (501, -1000, "", 100),
            (302, -1000, "", 0),
            (599, -1000, "", 0),
            (599, -1000, "public", 100),
        )
        for status, modified, control, seconds in cases:
            lines = [("Last-Modified", date(modified)), ("Date", date(0))]
            lines += [("Cache-Control", control)] if control else []
            found = lifetime(response(*lines, status=status), Policy())
            self.assertEqual(found, Lifetime(seconds, explicit=False), (status, modified))

    def test_section_4_2_2_nothing_to_go_by(self) -> None:
        self.assertEqual(lifetime(response(), Policy()), UNKNOWN)
        self.assertEqual(lifetime(response(("Pragma", "no-cache")), Policy()), UNKNOWN)

    def test_rfc_9213_section_2_2_the_targeted_field_goes_first(self) -> None:
        cases = (
            (("max-age=60", "max-age=1"), 60),
            (("max-age=1", "max-age=60"), 1),
            (("foo", "max-age=60"), None),
            (("s-maxage=60", "max-age=5"), None),
            (('max-age="60"', "max-age=5"), 5),
            (("", "max-age=5"), 5),
        )
        for (cdn, control), seconds in cases:
            lines = [("CDN-Cache-Control", cdn), ("Cache-Control", control), ("Expires", date(77))]
            found = lifetime(response(*lines), CDN)
            expected = UNKNOWN if seconds is None else Lifetime(seconds, explicit=True)
            self.assertEqual(found, expected, (cdn, control))

    def test_rfc_9213_a_field_that_the_route_does_not_name(self) -> None:
        lines = (("CDN-Cache-Control", "max-age=60"), ("Cache-Control", "max-age=5"))
        self.assertEqual(lifetime(response(*lines), Policy()).seconds, 5)


class AgeTests(SynchronousTestCase):
    """Sections 4.2.3 and 5.1."""

    def test_section_5_1_the_field(self) -> None:
        cases = (
            ("7200", 7200),
            ("7200, 0", 7200),
            ("0, 7200", 0),
            ("2147483649", MOST_SECONDS),
            ("-7200", 0),
            ("7200.0", 0),
            ("abc", 0),
            ("7200;foo=bar", 0),
        )
        for value, expected in cases:
            self.assertEqual(age(response(("Age", value)), NOW), expected, value)
        self.assertEqual(age(response(("Age", "7200"), ("Age", "0")), NOW), 7200)

    def test_section_4_2_3_calculation(self) -> None:
        dated = response(("Date", date(-100)), ("Age", "30"))
        self.assertEqual(age(dated, NOW + 5), 105)
        slow = Response(200, Fields(((b"Age", b"30"),)), NOW - 10, NOW)
        self.assertEqual(age(slow, NOW + 5), 45)
        fast = response(("Date", date(1000)))
        self.assertEqual(age(fast, NOW + 5), 5)

    def test_a_clock_that_was_set_back(self) -> None:
        self.assertEqual(age(response(("Age", "30")), NOW - 1000), 30)

    @given(
        st.integers(-(10**6), 10**6),
        st.integers(0, 10**6),
        st.integers(0, 10**4),
        st.integers(0, 10**6),
    )
    def test_section_4_2_3_never_younger_than_what_is_known(
        self, dated: int, said: int, delay: int, resident: int
    ) -> None:
        lines = ((b"Date", format_date(NOW + dated)), (b"Age", b"%d" % said))
        found = age(Response(200, Fields(lines), NOW - delay, NOW), NOW + resident)
        self.assertGreaterEqual(found, said + delay + resident)
        self.assertGreaterEqual(found, resident - dated)
        self.assertEqual(found, resident + max(said + delay, -dated))


class DateTests(SynchronousTestCase):
    """Section 4.2: dates in any case of letters, of GMT alone."""

    def test_section_4_2(self) -> None:
        cases = (
            ("Thu, 18 Aug 2050 02:01:18 GMT", True),
            ("THU, 18 AUG 2050 02:01:18 gMT", True),
            ("Thursday, 18-Aug-50 02:01:18 GMT", True),
            ("Thu Aug 18 02:01:18 2050", True),
            ("Thu, 18 Aug 50 02:01:18 GMT", False),
            ("Thu 18 Aug 2050 02:01:18 GMT", False),
            ("Thu, 18  Aug  2050 02:01:18 GMT", False),
            ("Thu, 18-Aug-2050 02:01:18 GMT", False),
            ("Thu, 18 Aug 2050 2:01:18 GMT", False),
            ("Thu, 18 Aug 2050 02:01:18 AEST", False),
            ("-1", False),
        )
        for value, valid in cases:
            found = date_of(Fields(((b"Expires", value.encode()),)), b"expires")
            self.assertEqual(found, 2544400878 if valid else None, value)
