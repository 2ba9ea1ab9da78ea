"""Which answers of a source are good for a file that others send too."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.choices import Same
from aprp.core.http.answer_plan import ResponseSummary
from aprp.core.http.fields import Fields
from aprp.core.http.ranges import FromTo, Range, Spec, Suffix, parse_content_range
from aprp.core.http.validators import ETag, Validators, format_date, parse_etag
from aprp.core.recovery.client_validators import client_validators
from aprp.core.recovery.ends import End
from aprp.core.recovery.same_file import Accepted, Rejected, StandsAlone, judge, judge_alone
from aprp.core.recovery.statuses import is_passing, retry_after
from aprp.core.recovery.versions import Digests, Facts, Representation, dated
from aprp.core.scheduling.shares import level

ASKED = Range(10, 20)
NOW = 1_800_000_000
SHA = frozenset({(b"sha-256", b"a=")})


def facts(
    complete: int = 100,
    modified: int | None = 5,
    tag: str | None = None,
    digests: Digests = frozenset(),
) -> Facts:
    etag = None if tag is None else parse_etag(tag.encode())
    return Facts(complete, Representation(Validators(etag, modified, NOW), None, digests))


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
    return judge(answer, fields, ASKED, Same(same), known, version, NOW)


class JudgeTests(SynchronousTestCase):
    def test_a_good_part(self) -> None:
        found = judged(part(), content_type="video/mp4")
        assert isinstance(found, Accepted)
        self.assertEqual((found.body, found.facts.complete), (ASKED, 100))
        self.assertEqual((found.facts.last_modified, found.facts.media_type), (5, b"video/mp4"))

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
        known = facts(digests=SHA)
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
        found = judged(part(modified=6), "modified", facts())
        assert isinstance(found, Rejected)
        self.assertIn("`same: length` would admit it", str(found.reason))

    def test_a_source_keeps_to_its_version(self) -> None:
        version = Validators(ETag(b"a"), 5, NOW)
        for answer, good in (
            (part(etag="a"), True),
            (part(etag="a", modified=None), True),
            (part(etag="a", modified=6), True),  # the strong tag decides
            (part(etag="b"), False),
            (part(), False),
        ):
            found = judged(answer, "length", facts(), version)
            self.assertEqual(isinstance(found, Accepted), good, answer)

    def test_the_time_of_the_response_is_no_version(self) -> None:
        for same, first, later, good in (
            ("length", NOW - 5, NOW, True),
            ("length", NOW - 6, NOW, False),  # the first was a date of the file
            ("length", NOW - 5, NOW - 1, False),  # the second is one
            ("modified", NOW - 5, NOW, False),
        ):
            version = Validators(None, first, NOW - 5)
            found = judged(part(modified=later), same, facts(modified=first), version)
            self.assertEqual(isinstance(found, Accepted), good, (same, first, later))

    def test_a_digest_proves_that_the_version_is_the_same(self) -> None:
        version = Validators(ETag(b"a"), 5, NOW)
        proofs = frozenset({(b"sha-512", b"b="), (b"md5", b"c=")})
        for digest, good in (
            ("sha-512=:b=:", True),
            ("sha-512=:b=:, md5=:c=:", True),
            ("sha-512=:d=:", False),
            ("sha-512=:b=:, md5=:d=:", False),
            ("md5=:c=:", False),  # proves too little beside another tag
            ("sha-256=:a=:", False),
        ):
            known = facts(tag='"a"', digests=proofs)
            found = judged(part(etag="z", modified=6), "digest", known, version, repr_digest=digest)
            self.assertEqual(isinstance(found, Accepted), good, digest)
            if isinstance(found, Accepted):
                self.assertEqual(found.version.etag, ETag(b"z"))
        same = judged(part(etag="z"), "modified", facts(digests=SHA), version, digest="sha-256=a=")
        self.assertIsInstance(same, Rejected)

    def test_beyond_the_end(self) -> None:
        def refused(said: bytes, known: Facts | None = None) -> Rejected:
            answer = ResponseSummary(416, None, Validators(), parse_content_range(said))
            found = judge(answer, Fields(), ASKED, Same.MODIFIED, known, None, NOW)
            assert isinstance(found, Rejected), found
            return found

        self.assertEqual(refused(b"bytes */10").end, End.BEYOND)
        self.assertEqual(refused(b"bytes */10").length, 10)
        self.assertEqual(refused(b"bytes */11").end, End.LIED)
        self.assertEqual(refused(b"bytes */5", facts()).end, End.ABSENT)
        self.assertEqual(refused(b"", facts()).end, End.LIED)
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
            ({"retry-after": "9" * 30}, 120.0),
            ({"retry-after": later}, 90.0),
            ({"retry-after": later, "date": format_date(NOW + 60).decode()}, 30.0),
            ({"retry-after": format_date(NOW - 9).decode()}, 0.0),
            ({"retry-after": "-5"}, None),
            ({"retry-after": "soon"}, None),
            ({}, None),
        ):
            fields = Fields((n.encode(), v.encode()) for n, v in lines.items())
            self.assertEqual(retry_after(fields, NOW), seconds, lines)


class CombiningTests(SynchronousTestCase):
    """Which second answer may be combined with which first one (RFC 9110 section 15.3.7.3)."""

    def second(
        self, same: str, first: Facts, tag: str | None, modified: int | None, date: int = NOW
    ) -> Accepted | Rejected:
        answer = part(modified=modified)
        etag = None if tag is None else parse_etag(tag.encode())
        shown = Validators(etag, modified, date)
        answer = ResponseSummary(206, answer.length, shown, answer.content_range)
        return judge(answer, Fields(), ASKED, Same(same), first, None, NOW)

    def test_only_what_shares_something_strong(self) -> None:
        dated_now, undated = facts(modified=NOW), facts(modified=None)
        for same, first, tag, modified, good in (
            ("modified", facts(), None, 5, True),
            ("modified", facts(), '"b"', 5, True),
            ("modified", facts(tag='"a"'), '"b"', 5, True),
            ("modified", facts(tag='"a"'), 'W/"a"', 5, True),
            ("modified", facts(tag='"a"'), '"a"', None, True),
            ("modified", facts(tag='"a"', modified=None), '"a"', 5, True),
            ("modified", facts(tag='"a"'), '"a"', 6, False),
            ("modified", facts(tag='"a"', modified=None), '"b"', None, False),
            ("modified", facts(tag='"a"', modified=None), 'W/"a"', None, False),
            ("modified", facts(tag='W/"a"', modified=None), 'W/"a"', None, False),
            ("modified", facts(tag='"a"', modified=None), None, None, False),
            ("modified", dated_now, None, NOW, False),
            ("modified", dated_now, '"a"', NOW, False),
            ("modified", facts(modified=NOW, tag='"a"'), '"a"', NOW, True),
            ("modified", undated, None, None, False),
            ("modified", facts(), None, None, False),
            ("length", undated, None, None, True),
            ("length", facts(tag='"a"'), '"b"', 6, True),
        ):
            found = self.second(same, first, tag, modified)
            row = (same, first.validators, tag, modified, found)
            self.assertEqual(isinstance(found, Accepted), good, row)

    def test_a_date_that_is_strong_at_one_and_not_at_the_other(self) -> None:
        found = self.second("modified", facts(), None, 5, date=5)
        self.assertIsInstance(found, Rejected)

    def test_a_first_answer_with_nothing_strong_stands_alone(self) -> None:
        for same, tag, modified, alone in (
            ("modified", None, None, True),
            ("modified", 'W/"a"', None, True),
            ("modified", None, NOW, True),
            ("modified", '"a"', None, False),
            ("modified", None, 5, False),
            ("length", None, None, False),
        ):
            shown = Validators(None if tag is None else parse_etag(tag.encode()), modified, NOW)
            answer = ResponseSummary(206, 10, shown, parse_content_range(b"bytes 10-19/100"))
            found = judge(answer, Fields(), ASKED, Same(same), None, None, NOW)
            self.assertEqual(isinstance(found, Rejected) and found.alone, alone, (same, tag))

    def test_an_answer_without_date_is_dated_before_its_receipt(self) -> None:
        for age, strong in ((61, True), (60, False), (0, False)):
            shown = dated(Validators(None, NOW - age), NOW)
            self.assertEqual(shown.modified_is_strong, strong, age)
        self.assertEqual(dated(Validators(None, 5, 7), NOW).date, 7)


SENT = FromTo(10, 20)


class AloneTests(SynchronousTestCase):
    def alone(
        self, answer: ResponseSummary, sent: Spec | None = SENT, same: Same = Same.MODIFIED
    ) -> StandsAlone | Rejected:
        return judge_alone(answer, Fields(), sent, same, NOW)

    def test_which_answers_hold_what_is_wanted(self) -> None:
        whole = ResponseSummary(200, 100, Validators())
        for answer, sent, holds in (
            (part(), FromTo(10, 20), True),
            (part(b"bytes 10-14/100"), FromTo(10, 20), False),
            (part(b"bytes 10-14/15"), FromTo(10, 20), True),
            (whole, FromTo(10, 20), True),
            (whole, Suffix(5), True),
            (whole, None, True),
            (ResponseSummary(200, None, Validators()), FromTo(10, 20), True),
        ):
            found = self.alone(answer, sent)
            assert isinstance(found, StandsAlone), (answer, found)
            self.assertEqual(found.holds(sent), holds, answer)

    def test_what_is_refused(self) -> None:
        for answer, sent in (
            (part(b"bytes 11-19/100"), FromTo(10, 20)),
            (part(b"bytes 10-19/*"), FromTo(10, 20)),
            (part(), None),
            (ResponseSummary(503, 0, Validators()), None),
        ):
            self.assertIsInstance(self.alone(answer, sent), Rejected, answer)
        self.assertIsInstance(self.alone(part(), same=Same.DIGEST), Rejected)


class StatusTests(SynchronousTestCase):
    def test_which_may_be_another_at_the_next_try(self) -> None:
        passing = {status for status in range(200, 600) if is_passing(status)}
        self.assertEqual(passing, {408, 421, 425, 429, *range(500, 600)})


class TagTests(SynchronousTestCase):
    def tag(
        self, known: Facts, same: str = "modified", path: bytes = b"/f", one: bool = False
    ) -> ETag | None:
        return client_validators(path, known, Same(same), one).etag

    def test_made_of_what_makes_the_file(self) -> None:
        one = self.tag(facts())
        self.assertEqual(one, self.tag(facts(tag='"of one source"')))
        others = {
            self.tag(facts(), path=b"/g"),
            self.tag(facts(101)),
            self.tag(facts(modified=6)),
            self.tag(facts(digests=SHA), "digest"),
        }
        self.assertEqual(len(others | {one}), 5)

    def test_strong_only_where_it_stands_on_something_strong(self) -> None:
        both = frozenset({*SHA, (b"md5", b"b=")})
        for known, same, one, strong in (
            (facts(), "modified", False, True),
            (facts(modified=NOW), "modified", False, False),
            (facts(modified=NOW), "modified", True, False),
            (facts(modified=None, tag='"a"'), "modified", True, True),
            (facts(modified=None, tag='"a"'), "modified", False, None),
            (facts(modified=None, tag='W/"a"'), "modified", True, False),
            (facts(modified=None), "modified", True, None),
            (facts(), "length", False, None),
            (facts(tag='"a"'), "length", False, None),
            (facts(tag='"a"'), "length", True, True),
            (facts(digests=both), "digest", False, True),
            (facts(digests=frozenset({(b"md5", b"b=")})), "digest", False, None),
        ):
            found = self.tag(known, same, one=one)
            told = None if found is None else not found.weak
            self.assertEqual(told, strong, (known.validators, same, one))

    def test_a_digest_s_tag_goes_by_one_algorithm(self) -> None:
        both = frozenset({*SHA, (b"sha-512", b"b=")})
        self.assertEqual(
            self.tag(facts(digests=both), "digest"), self.tag(facts(digests=SHA), "digest")
        )


class LevelTests(SynchronousTestCase):
    def test_those_who_want_little_leave_the_rest(self) -> None:
        self.assertEqual(level(100, [10, 20, 30]), None)
        self.assertEqual(level(100, [10, 100, 100]), 45)
        self.assertEqual(level(100, [100] * 50), 2)
        self.assertEqual(level(100, []), None)
