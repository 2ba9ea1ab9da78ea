"""Which answers of a source are good for a file that others send too."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http.answer_plan import ResponseSummary
from aprp.core.http.fields import Fields
from aprp.core.http.ranges import Range, parse_content_range
from aprp.core.http.validators import ETag, Validators, format_date
from aprp.core.recovery.same_file import Accepted, Facts, Rejected, etag, judge, retry_after
from aprp.core.scheduling.messages import End
from aprp.core.scheduling.shares import level

ASKED = Range(10, 20)
NOW = 1_800_000_000


def part(
    said: bytes = b"bytes 10-19/100", etag: str | None = None, modified: int | None = 5
) -> ResponseSummary:
    tag = None if etag is None else ETag(etag.encode())
    length = parse_content_range(said)
    count = length.range.length if length and length.range else None
    return ResponseSummary(206, count, Validators(tag, modified, NOW), length)


def judged(
    answer: ResponseSummary,
    same: str = "modified",
    known: Facts | None = None,
    version: Validators | None = None,
    **lines: str,
) -> Accepted | Rejected:
    fields = Fields((n.replace("_", "-").encode(), v.encode()) for n, v in lines.items())
    return judge(answer, fields, ASKED, same, known, version, NOW)


class JudgeTests(SynchronousTestCase):
    def test_a_good_part(self) -> None:
        found = judged(part(), content_type="video/mp4")
        assert isinstance(found, Accepted)
        self.assertEqual((found.body, found.facts.complete), (ASKED, 100))
        self.assertEqual(found.facts, Facts(100, 5, b"video/mp4"))

    def test_a_shorter_part_is_good(self) -> None:
        found = judged(part(b"bytes 10-14/100"))
        assert isinstance(found, Accepted)
        self.assertEqual(found.body, Range(10, 15))

    def test_what_is_no_answer_to_the_range(self) -> None:
        for said in (
            b"bytes 11-19/100",
            b"bytes 10-20/100",
            b"bytes 10-19/*",
            b"bytes 10-19",
            b"bytes */100",
            b"bytes 10-19/15",
        ):
            found = judged(part(said))
            assert isinstance(found, Rejected), said
            self.assertEqual(found.end, End.LIED, said)

    def test_copies_that_differ(self) -> None:
        known = Facts(100, 5, None, frozenset({(b"sha-256", b"a=")}))
        digest = {"repr_digest": "sha-256=:a=:"}
        for same, answer, lines, good in (
            ("modified", part(), {}, True),
            ("modified", part(modified=6), {}, False),
            ("modified", part(modified=None), {}, False),
            ("modified", part(b"bytes 10-19/101"), {}, False),
            ("length", part(modified=6), {}, True),
            ("length", part(modified=None), {}, True),
            ("length", part(b"bytes 10-19/101"), {}, False),
            ("digest", part(modified=6), digest, True),
            ("digest", part(), {"digest": "SHA-256=a="}, True),
            ("digest", part(), {"repr_digest": "sha-256=:b=:"}, False),
            ("digest", part(), {"repr_digest": "md5=:a=:"}, False),
            ("digest", part(), {}, False),
        ):
            found = judged(answer, same, known, None, **lines)
            self.assertEqual(isinstance(found, Accepted), good, (same, answer, lines, found))
            if isinstance(found, Rejected):
                self.assertEqual(found.end, End.ABSENT)

    def test_the_setting_that_would_admit_it_is_named(self) -> None:
        found = judged(part(modified=6), "modified", Facts(100, 5))
        assert isinstance(found, Rejected)
        self.assertIn("`same: length` would admit it", found.reason)

    def test_a_source_keeps_to_its_version(self) -> None:
        version = Validators(ETag(b"a"), 5, NOW)
        for answer, good in (
            (part(etag="a"), True),
            (part(etag="a", modified=None), True),
            (part(etag="b"), False),
            (part(), False),
            (part(etag="a", modified=6), False),
        ):
            found = judged(answer, "length", Facts(100, 5), version)
            self.assertEqual(isinstance(found, Accepted), good, answer)

    def test_beyond_the_end(self) -> None:
        def refused(said: bytes, known: Facts | None = None) -> Rejected:
            answer = ResponseSummary(416, None, Validators(), parse_content_range(said))
            found = judge(answer, Fields(), ASKED, "modified", known, None, NOW)
            assert isinstance(found, Rejected), found
            return found

        self.assertEqual(refused(b"bytes */10").end, End.BEYOND)
        self.assertEqual(refused(b"bytes */10").length, 10)
        self.assertEqual(refused(b"bytes */11").end, End.LIED)
        self.assertEqual(refused(b"bytes */5", Facts(100)).end, End.ABSENT)
        self.assertEqual(refused(b"", Facts(100)).end, End.LIED)
        self.assertEqual(refused(b"").end, End.ABSENT)

    def test_statuses(self) -> None:
        for status, end in (
            (404, End.ABSENT),
            (410, End.ABSENT),
            (403, End.ABSENT),
            (429, End.REFUSED),
            (408, End.REFUSED),
            (500, End.REFUSED),
            (503, End.REFUSED),
            (204, End.LIED),
            (304, End.LIED),
        ):
            found = judged(ResponseSummary(status, None, Validators()))
            assert isinstance(found, Rejected), status
            self.assertEqual(found.end, end, status)


class RetryAfterTests(SynchronousTestCase):
    def test_both_forms(self) -> None:
        later = format_date(NOW + 90).decode()
        for lines, seconds in (
            ({"retry-after": "120"}, 120.0),
            ({"retry-after": "0"}, 0.0),
            ({"retry-after": "9" * 30}, 86400.0),
            ({"retry-after": later}, 90.0),
            ({"retry-after": later, "date": format_date(NOW + 60).decode()}, 30.0),
            ({"retry-after": format_date(NOW - 9).decode()}, 0.0),
            ({"retry-after": "-5"}, None),
            ({"retry-after": "soon"}, None),
            ({}, None),
        ):
            fields = Fields((n.encode(), v.encode()) for n, v in lines.items())
            self.assertEqual(retry_after(fields, NOW), seconds, lines)


class TagTests(SynchronousTestCase):
    def test_made_of_what_makes_the_file(self) -> None:
        one = etag(b"/f", Facts(100, 5), "modified")
        self.assertEqual(one, etag(b"/f", Facts(100, 5, b"text/plain"), "modified"))
        others = {
            etag(b"/g", Facts(100, 5), "modified"),
            etag(b"/f", Facts(101, 5), "modified"),
            etag(b"/f", Facts(100, 6), "modified"),
            etag(b"/f", Facts(100), "modified"),
        }
        self.assertEqual(len(others | {one}), 5)
        self.assertEqual(etag(b"/f", Facts(100, 5), "length"), etag(b"/f", Facts(100, 6), "length"))
        self.assertFalse(one.weak)


class LevelTests(SynchronousTestCase):
    def test_those_who_want_little_leave_the_rest(self) -> None:
        self.assertEqual(level(100, [10, 20, 30]), None)
        self.assertEqual(level(100, [10, 100, 100]), 45)
        self.assertEqual(level(100, [100] * 50), 2)
        self.assertEqual(level(100, []), None)
