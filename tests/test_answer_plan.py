"""Plans: what a client gets, from what it asked and what the upstream answered."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http.answer_plan import RequestedRange, ResponseSummary, decide, held_range
from aprp.core.http.fields import Fields
from aprp.core.http.plans import (
    AskAgain,
    Conditional,
    Part,
    Parts,
    Plan,
    Refuse,
    Relay,
    Unsatisfiable,
    Whole,
)
from aprp.core.http.ranges import (
    NOTHING,
    ContentRange,
    FromTo,
    Range,
    Spec,
    Suffix,
    parse_content_range,
    parse_range,
)
from aprp.core.http.validators import ETag, IfRange, Validators

STRONG = Validators(ETag(b"v"), 1000, 2000)
DATED = Validators(None, 1000, 2000)
WEAK = Validators(ETag(b"v", weak=True), 1000, 2000)
BARE = Validators()
SIZE = 100


def asked(
    header: bytes | None = None,
    path: Spec | None = None,
    if_range: bytes | None = None,
    head: bool = False,
    **fields: bytes,
) -> RequestedRange:
    specs = None if header is None else parse_range(b"bytes=" + header)
    condition = None if if_range is None else IfRange.parse(if_range)
    pairs = tuple((name.replace("_", "-").encode(), value) for name, value in fields.items())
    return RequestedRange(Fields(pairs), head, specs, condition, path)


def whole(length: int | None = SIZE, validators: Validators = STRONG) -> ResponseSummary:
    return ResponseSummary(200, length, validators)


def part(
    said: bytes | None, validators: Validators = STRONG, length: int | None = -1
) -> ResponseSummary:
    """A 206 with this Content-Range, and the Content-Length that belongs to it unless told."""
    content_range = None if said is None else parse_content_range(b"bytes " + said)
    if length == -1:
        held = None if content_range is None else content_range.range
        length = None if held is None else held.length
    return ResponseSummary(206, length, validators, content_range)


def refused(said: bytes | None = b"*/100") -> ResponseSummary:
    content_range = None if said is None else parse_content_range(b"bytes " + said)
    return ResponseSummary(416, 0, BARE, content_range)


class Cases(SynchronousTestCase):
    def check(self, asked: RequestedRange, answer: ResponseSummary, expected: Plan) -> None:
        """`answer` is that to what the client's request makes us ask first."""
        self.assertEqual(decide(asked, asked.wanted, answer), expected, (asked, answer))

    def refuses(self, asked: RequestedRange, answer: ResponseSummary) -> None:
        self.assertIsInstance(decide(asked, asked.wanted, answer), Refuse, (asked, answer))


class WantedTests(SynchronousTestCase):
    def test_table(self) -> None:
        for request, wanted in (
            (asked(), None),
            (asked(b"5-9"), FromTo(5, 10)),
            (asked(b"-5"), Suffix(5)),
            (asked(b"7-,0-0"), FromTo(7)),
            (asked(b"7-", FromTo(1, 2)), FromTo(1, 2)),
            (asked(b"-0"), FromTo(0, 1)),  # servers misread bytes=-0
            (asked(b"-0,5-9"), FromTo(5, 10)),
            (asked(path=NOTHING), FromTo(0, 1)),
            (asked(head=True), None),
            (asked(path=FromTo(1, 2), head=True), None),
        ):
            self.assertEqual(request.wanted, wanted, request)


class HonestUpstreamTests(Cases):
    """Upstreams that know ranges."""

    def test_one_range(self) -> None:
        for header, said, start, stop in (
            (b"0-0", b"0-0/100", 0, 1),
            (b"0-99", b"0-99/100", 0, 100),
            (b"90-", b"90-99/100", 90, 100),
            (b"90-200", b"90-99/100", 90, 100),
            (b"-5", b"95-99/100", 95, 100),
            (b"-500", b"0-99/100", 0, 100),
        ):
            self.check(asked(header), part(said), Part(Range(start, stop), SIZE))

    def test_a_part_shorter_than_asked_is_gone_on_with_where_a_validator_lets_it(self) -> None:
        request, answer = asked(b"10-49"), b"10-19/100"
        self.check(request, part(answer, STRONG), Part(Range(10, 50), SIZE))
        self.check(request, part(answer, DATED), Part(Range(10, 50), SIZE))
        self.check(request, part(answer, WEAK), AskAgain(None))
        self.check(request, part(answer, BARE), AskAgain(None))

    def test_several_are_asked_one_by_one_where_a_validator_lets_it(self) -> None:
        ranges = (Range(10, 20), Range(0, 5), Range(95, 100))
        request = asked(b"10-19,0-4,-5")
        self.check(request, part(b"10-19/100"), Parts(ranges, SIZE))
        self.check(request, part(b"10-19/100", BARE), AskAgain(None))
        self.check(request, part(b"10-19/100", WEAK), AskAgain(None))

    def test_of_several_only_those_that_can_be_satisfied_count(self) -> None:
        self.check(asked(b"10-19,200-"), part(b"10-19/100", BARE), Part(Range(10, 20), SIZE))
        self.check(asked(b"200-,10-19"), refused(), AskAgain(FromTo(10, 20)))
        self.check(asked(b"200-,300-"), refused(), Unsatisfiable(SIZE))
        again = decide(asked(b"200-,10-19"), FromTo(10, 20), part(b"10-19/100"))
        self.assertEqual(again, Part(Range(10, 20), SIZE))

    def test_ranges_that_add_up_to_more_than_the_file(self) -> None:
        request = asked(b"0-,0-,0-")
        self.check(request, part(b"0-99/100"), AskAgain(None))
        self.assertEqual(decide(request, None, whole()), Whole(SIZE))
        self.check(asked(b"0-9,5-14"), part(b"0-9/100"), Parts((Range(0, 10), Range(5, 15)), SIZE))

    def test_unsatisfiable(self) -> None:
        self.check(asked(b"100-"), refused(), Unsatisfiable(SIZE))
        self.check(asked(path=FromTo(100)), refused(), Unsatisfiable(SIZE))
        self.check(asked(b"0-"), refused(b"*/0"), Unsatisfiable(0))
        self.check(asked(b"-5"), refused(b"*/0"), Unsatisfiable(0))
        self.check(asked(b"-0"), part(b"0-0/100"), Unsatisfiable(SIZE))
        self.check(asked(b"-0"), refused(b"*/0"), Unsatisfiable(0))
        self.check(asked(path=NOTHING), part(b"0-0/100"), Unsatisfiable(SIZE))

    def test_a_416_that_its_length_does_not_bear_out_is_looked_into(self) -> None:
        for answer in (refused(None), refused(b"*/500"), refused(b"0-4/100")):
            self.check(asked(b"100-"), answer, AskAgain(None))
        self.assertEqual(decide(asked(b"100-"), None, whole()), Unsatisfiable(SIZE))

    def test_unknown_complete_length(self) -> None:
        self.check(asked(b"5-9"), part(b"5-9/*"), Part(Range(5, 10), None))
        self.check(asked(b"5-"), part(b"5-9/*"), Part(Range(5, 10), None))
        self.check(asked(b"-5"), part(b"95-99/*"), Part(Range(95, 100), None))
        self.check(asked(b"-5"), part(b"0-2/*"), Part(Range(0, 3), None))
        self.check(asked(b"5-9,20-"), part(b"5-9/*"), AskAgain(None))
        self.check(asked(b"-0,5-9"), part(b"5-9/*"), AskAgain(None))
        self.check(asked(b"-0"), part(b"0-0/*"), Unsatisfiable(None))
        self.check(asked(path=NOTHING), part(b"0-0/*"), Unsatisfiable(None))
        self.check(asked(path=FromTo(5, 10)), part(b"5-9/*"), Part(Range(5, 10), None))
        same, other = asked(b"5-9", FromTo(5, 10)), asked(b"5-8", FromTo(5, 10))
        self.check(same, part(b"5-9/*"), Part(Range(5, 10), None))
        self.check(other, part(b"5-9/*"), Unsatisfiable(None))

    def test_over_4_gib_and_over_2_to_the_63(self) -> None:
        size = 2**40
        said = b"%d-%d/%d" % (size - 5, size - 1, size)
        self.check(asked(b"-5"), part(said), Part(Range(size - 5, size), size))
        huge = b"9" * 30
        self.check(
            asked(b"%d-%s" % (size - 5, huge)), part(said), Part(Range(size - 5, size), size)
        )
        self.check(asked(huge + b"-"), refused(b"*/%d" % size), Unsatisfiable(size))


class UpstreamWithoutRangesTests(Cases):
    """Upstreams that answer 200 with all of it."""

    def test_the_client_gets_its_206(self) -> None:
        self.check(asked(b"5-9"), whole(), Part(Range(5, 10), SIZE))
        self.check(asked(b"-5"), whole(validators=BARE), Part(Range(95, 100), SIZE))
        self.check(asked(b"100-"), whole(), Unsatisfiable(SIZE))
        self.check(asked(b"-0"), whole(), Unsatisfiable(SIZE))
        self.check(asked(path=FromTo(5)), whole(), Part(Range(5, 100), SIZE))

    def test_several_go_in_one_pass(self) -> None:
        two = (Range(0, 5), Range(10, 20))
        self.check(asked(b"0-4,10-19"), whole(), Parts(two, SIZE))
        self.check(asked(b"10-19,0-4"), whole(), Parts(two, SIZE))
        self.check(asked(b"10-19,15-24"), whole(), Part(Range(10, 25), SIZE))
        self.check(asked(b"0-,0-"), whole(), Whole(SIZE))

    def test_an_empty_file(self) -> None:
        for header in (b"0-", b"0-0", b"-5", b"-0"):
            self.check(asked(header), whole(0), Unsatisfiable(0))
        self.check(asked(), whole(0), Whole(0))
        self.check(asked(path=FromTo(0)), whole(0), Unsatisfiable(0))

    def test_no_length(self) -> None:
        self.check(asked(), whole(None), Whole(None))
        self.check(asked(b"5-9"), whole(None), Whole(None))
        self.check(asked(b"-0"), whole(None), Unsatisfiable(None))
        self.refuses(asked(path=FromTo(5, 10)), whole(None))


class LyingUpstreamTests(Cases):
    def test_another_range_than_asked(self) -> None:
        for header, said in (
            (b"5-9", b"0-4/100"),
            (b"5-9", b"5-10/100"),
            (b"5-9", b"4-9/100"),
            (b"5-9", b"0-99/100"),
            (b"90-", b"80-99/100"),
            (b"-5", b"90-99/100"),
            (b"-5", b"90-94/100"),
            (b"-5", b"90-99/*"),
            (b"-5", b"90-92/*"),
            (b"5-9", b"6-9/*"),
            (b"200-", b"0-99/100"),
            (b"5-9", b"*/100"),
        ):
            self.refuses(asked(header), part(said, length=None))

    def test_a_206_that_is_none(self) -> None:
        self.refuses(asked(b"5-9"), part(None))
        self.refuses(asked(b"5-9"), part(b"5-9/100", length=6))
        self.refuses(asked(), part(b"0-99/100"))
        self.refuses(asked(path=FromTo(5, 10), head=True), part(b"5-9/100"))

    def test_other_statuses_are_handed_on(self) -> None:
        for status in (201, 203, 204, 301, 304, 404, 412, 500, 503):
            for request in (asked(), asked(b"5-9"), asked(path=FromTo(1)), asked(head=True)):
                self.check(request, ResponseSummary(status, 5, BARE), Relay())
        self.check(asked(), refused(), Relay())


class ConditionTests(Cases):
    def test_preconditions_come_before_ranges(self) -> None:
        for header in (None, b"5-9", b"5-9,20-29", b"100-"):
            for answer in (whole(), whole(None)):
                self.check(asked(header, if_none_match=b'"v"'), answer, Conditional(304))
                self.check(asked(header, if_match=b'"w"'), answer, Conditional(412))
        self.check(asked(b"5-9", if_none_match=b'"v"'), part(b"5-9/100"), Conditional(304))
        self.check(asked(b"5-9", if_match=b'"w"'), part(b"5-9/100"), Conditional(412))
        self.check(asked(path=FromTo(5), if_none_match=b"*"), whole(), Conditional(304))

    def test_a_416_says_nothing_of_preconditions(self) -> None:
        self.check(asked(b"100-", if_none_match=b'"v"'), refused(), AskAgain(None))
        again = asked(b"100-", if_none_match=b'"v"')
        self.assertEqual(decide(again, None, whole()), Conditional(304))
        self.assertEqual(decide(asked(b"100-", if_match=b"*"), None, whole()), Unsatisfiable(SIZE))

    def test_if_range_that_holds(self) -> None:
        date = b"Thu, 01 Jan 1970 00:16:40 GMT"
        for condition, validators in ((b'"v"', STRONG), (date, STRONG), (date, DATED)):
            request = asked(b"5-9", if_range=condition)
            self.check(request, part(b"5-9/100", validators), Part(Range(5, 10), SIZE))
            self.check(request, whole(validators=validators), Part(Range(5, 10), SIZE))

    def test_if_range_that_does_not_hold(self) -> None:
        date = b"Thu, 01 Jan 1970 00:16:40 GMT"
        fresh = Validators(None, 1000, 1000)
        for condition, validators in (
            (b'"w"', STRONG),
            (b'"v"', WEAK),
            (b'"v"', BARE),
            (date, BARE),
            (date, fresh),
            (b"Thu, 01 Jan 1970 00:16:41 GMT", DATED),
        ):
            request = asked(b"5-9", if_range=condition)
            self.check(request, part(b"5-9/100", validators), AskAgain(None))
            self.check(request, whole(validators=validators), Whole(SIZE))
            self.check(asked(b"100-", if_range=condition), refused(), AskAgain(None))
            self.check(asked(b"100-", if_range=condition), whole(validators=validators), Whole(100))


class PathTests(Cases):
    path = FromTo(5, 10)

    def test_the_header_is_compared_once_both_are_resolved(self) -> None:
        served, conflict = Part(Range(5, 10), SIZE), Unsatisfiable(SIZE)
        for header, expected in (
            (b"5-9", served),
            (b"5-9,200-", served),
            (b"5-8", conflict),
            (b"5-", conflict),
            (b"200-", conflict),
            (b"5-9,5-9", conflict),
            (b"0-4,5-9", conflict),
        ):
            for answer in (whole(), part(b"5-9/100"), part(b"5-9/100", BARE)):
                self.check(asked(header, self.path), answer, expected)
        end = FromTo(95, 2**63)
        for header in (b"95-", b"-5", b"95-99", b"95-1000"):
            self.check(asked(header, end), whole(), Part(Range(95, 100), SIZE))

    def test_which_ranges_disagree_is_told(self) -> None:
        request = asked(b"5-8,20-", self.path)
        said = "the path asks for the bytes 5-9, and the Range field for 5-8,20-"
        for answer in (whole(), part(b"5-9/100"), part(b"5-9/*")):
            plan = decide(request, FromTo(5, 10), answer)
            self.assertIsInstance(plan, Unsatisfiable)
            self.assertEqual(getattr(plan, "reason", ""), said)
        plan = decide(asked(path=FromTo(100)), None, whole())
        self.assertEqual(getattr(plan, "reason", ""), None)

    def test_if_range_decides_whether_the_header_counts(self) -> None:
        for answer in (whole(), part(b"5-9/100")):
            request = asked(b"0-0", self.path, if_range=b'"w"')
            self.check(request, answer, Part(Range(5, 10), SIZE))
            request = asked(b"0-0", self.path, if_range=b'"v"')
            self.check(request, answer, Unsatisfiable(SIZE))

    def test_head_has_what_get_has(self) -> None:
        self.check(asked(path=self.path, head=True), whole(), Part(Range(5, 10), SIZE))
        self.check(asked(path=FromTo(100), head=True), whole(), Unsatisfiable(SIZE))
        self.check(asked(b"0-0", self.path, head=True), whole(), Unsatisfiable(SIZE))
        self.check(asked(head=True), whole(), Whole(SIZE))
        self.check(asked(head=True), whole(None), Whole(None))

    def test_head_of_an_upstream_that_hides_the_length(self) -> None:
        request = asked(path=self.path, head=True)
        self.check(request, whole(None), AskAgain(self.path))
        for validators in (STRONG, BARE):
            plan = decide(request, self.path, part(b"5-9/100", validators))
            self.assertEqual(plan, Part(Range(5, 10), SIZE))
        self.assertEqual(decide(request, self.path, refused(b"*/3")), Unsatisfiable(3))
        self.assertEqual(decide(request, self.path, refused(None)), Unsatisfiable(None))
        self.assertIsInstance(decide(request, self.path, whole(None)), Refuse)
        nothing = asked(path=NOTHING, head=True)
        self.assertEqual(decide(nothing, None, whole(None)), Unsatisfiable(None))


small = st.integers(0, 30)
spec = st.one_of(
    st.builds(Suffix, small),
    small.map(FromTo),
    st.tuples(small, small).map(lambda pair: FromTo(min(pair), max(pair) + 1)),
)
validators = st.sampled_from((STRONG, DATED, WEAK, BARE))


def honest(
    sent: Spec | None, complete: int, knows_ranges: bool, version: Validators
) -> ResponseSummary:
    """What an upstream that follows the RFC answers."""
    if sent is None or not knows_ranges:
        return ResponseSummary(200, complete, version)
    found = sent.resolve(complete)
    if found is None:
        return ResponseSummary(416, 0, BARE, ContentRange(None, complete))
    return ResponseSummary(206, found.length, version, ContentRange(found, complete))


def coalesced(ranges: list[Range]) -> list[Range]:
    """What one pass over the file gives: ascending, ranges that overlap as one (15.3.7.2)."""
    edges = {each.start for each in ranges} | {each.stop for each in ranges}
    gaps = [at for at in edges if not any(each.start < at < each.stop for each in ranges)]
    return [
        Range(start, stop)
        for start, stop in pairwise(sorted(gaps))
        if any(each.start <= start < each.stop for each in ranges)
    ]


class EndTests(SynchronousTestCase):
    """Whatever is asked of an honest upstream, a few questions lead to the right plan."""

    @given(st.lists(spec, min_size=1, max_size=4), st.integers(0, 25), st.booleans(), validators)
    def test_ranges(
        self, specs: list[Spec], complete: int, knows: bool, version: Validators
    ) -> None:
        request = RequestedRange(Fields(), header=tuple(specs))
        plan, answer = self._reach(request, complete, knows, version)
        found = [each for spec in specs if (each := spec.resolve(complete))]
        if not found:
            self.assertEqual(plan, Unsatisfiable(complete))
        elif sum(each.length for each in found) > complete:
            self.assertEqual(plan, Whole(complete))
        else:
            assert isinstance(plan, Part | Parts), plan
            ranges = list(plan.ranges) if isinstance(plan, Parts) else [plan.range]
            self.assertEqual(ranges, found if answer.status == 206 else coalesced(found))

    @given(spec, st.integers(0, 25), st.booleans(), st.booleans(), validators)
    def test_a_path(
        self, path: Spec, complete: int, knows: bool, head: bool, version: Validators
    ) -> None:
        request = RequestedRange(Fields(), head=head, path=path)
        plan, _ = self._reach(request, complete, knows, version)
        found = path.resolve(complete)
        expected = Part(found, complete) if found else Unsatisfiable(complete)
        self.assertEqual(plan, expected)

    def _reach(
        self, request: RequestedRange, complete: int, knows: bool, version: Validators
    ) -> tuple[Plan, ResponseSummary]:
        """The plan, and the answer that led to it."""
        sent = request.wanted
        for _ in range(3):
            answer = honest(sent, complete, knows and not (request.head and sent is None), version)
            plan = decide(request, sent, answer)
            if not isinstance(plan, AskAgain):
                return plan, answer
            sent = plan.spec
        raise AssertionError("no end")


class HeldTests(SynchronousTestCase):
    def test_what_a_part_holds(self) -> None:
        self.assertEqual(held_range(FromTo(5, 10), part(b"5-7/100")), Range(5, 8))
        self.assertIsInstance(held_range(FromTo(5, 10), part(b"6-7/100")), str)
