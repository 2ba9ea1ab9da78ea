"""Whether the response of one source may become a part of a file that others send too.

Pure. `judge` holds a response against the range that was requested, against the version that the
same source showed before, and against what the first good response of any source said of the file;
`aprp.core.recovery.versions` says what has to agree. A file of which no two responses may be
combined is read as one response, which `judge_alone` judges.
"""

from __future__ import annotations

from dataclasses import replace

from aprp.core.choices import Same
from aprp.core.http.answer_plan import ResponseSummary, held_range
from aprp.core.http.fields import Fields
from aprp.core.http.ranges import FromTo, Range, Spec
from aprp.core.http.validators import Validators
from aprp.core.reasons import Reason, reason
from aprp.core.recovery.ends import End
from aprp.core.recovery.statuses import is_passing, retry_after
from aprp.core.recovery.versions import (
    Facts,
    Representation,
    change,
    combinable,
    disagreement,
    has_strong_tag,
    proven,
)
from aprp.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Accepted:
    """The body may be used: it holds the bytes of `body`.

    `version` are the validators by which the source has to be asked for more.
    """

    body: Range
    facts: Facts
    version: Validators


@dataclass(frozen=True, slots=True)
class Rejected:
    """The body may not be used; the members are those of the event `Ended`.

    `alone`: it may be used as the one response that the whole answer is made of.
    """

    end: End
    reason: Reason
    retry_after: float | None = None
    length: int | None = None
    alone: bool = False


@dataclass(frozen=True, slots=True)
class StandsAlone:
    """The body may be used by itself: the bytes `body` of a file of `complete` bytes.

    Both are None for a whole file whose length only its end tells.
    """

    body: Range | None
    complete: int | None
    shown: Representation

    def holds(self, spec: Spec | None) -> bool:
        """Return whether all of the range is in it; None stands for the whole file."""
        if self.body is None or self.complete is None:
            return True
        if spec is None:
            return self.body == Range(0, self.complete)
        meant = spec.resolve(self.complete)
        return meant is None or (self.body.start <= meant.start and meant.stop <= self.body.stop)


def judge(
    answer: ResponseSummary,
    fields: Fields,
    asked: Range,
    same: Same,
    known: Facts | None,
    version: Validators | None,
    now: int,
) -> Accepted | Rejected:
    """Judge the response to a GET of the range `asked`, which isn't a redirect.

    `known` is what the first good response said, `version` the validators that this source showed
    first, both None before there was any; `now` is unix time.
    """
    if answer.status == 416:
        return _beyond(answer, asked, known)
    if (bad := _unusable(answer, fields, now)) is not None:
        return bad
    first = known is None and version is None
    if answer.status == 200 and answer.length is None:
        return Rejected(End.LIED, reason("doesn't say how long the file is"), alone=first)
    held = _held(answer, FromTo(asked.start, asked.stop))
    if isinstance(held, Rejected):
        return held
    complete = _complete(answer)
    if complete is None:
        return Rejected(End.LIED, reason("doesn't say how long the whole file is"))
    found = facts_of(answer, fields, complete)
    if proven(found, known, same):
        version = None
    if version is not None:
        if (changed := change(version, answer.validators, same)) is not None:
            return Rejected(End.ABSENT, reason(changed))
        found = _as_first_shown(found, version)
    if (differs := disagreement(found, known, same)) is not None:
        return Rejected(End.ABSENT, reason(differs))
    if known is None and not combinable(found, same):
        return Rejected(End.ABSENT, NOT_COMBINABLE, alone=first)
    return Accepted(held, found, version or answer.validators)


NOT_COMBINABLE = reason(
    "shows no strong validator, so that nothing may be combined with its response"
)


def judge_alone(
    answer: ResponseSummary, fields: Fields, sent: Spec | None, same: Same, now: int
) -> StandsAlone | Rejected:
    """Judge a response that is to be used by itself, to a GET with the range `sent`."""
    if (bad := _unusable(answer, fields, now)) is not None:
        return bad
    if answer.status == 206 and sent is None:
        return Rejected(End.LIED, reason("answered 206 though no range was asked for"))
    shown = Representation.of(answer.validators, fields)
    if same == Same.DIGEST and not shown.digests:
        return Rejected(End.ABSENT, reason("gives no digest, and `same: digest` asks for one"))
    if answer.status == 200 and answer.length is None:
        return StandsAlone(None, None, shown)
    held = _held(answer, sent or FromTo(0))
    if isinstance(held, Rejected):
        return held
    complete = _complete(answer)
    if complete is None:
        return Rejected(End.LIED, reason("doesn't say how long the whole file is"))
    return StandsAlone(held, complete, shown)


def facts_of(answer: ResponseSummary, fields: Fields, complete: int) -> Facts:
    """Return what a response to GET or HEAD says of the file."""
    return Facts(complete, Representation.of(answer.validators, fields))


def refusal(status: int, fields: Fields, now: int) -> Rejected:
    """Return what a status other than 200, 206 and 416 means."""
    said = replace(reason(f"answered {status}"), status=status)
    if is_passing(status):
        return Rejected(End.REFUSED, said, retry_after(fields, now))
    return Rejected(End.LIED if status < 400 else End.ABSENT, said)


def _unusable(answer: ResponseSummary, fields: Fields, now: int) -> Rejected | None:
    if answer.status not in (200, 206):
        return refusal(answer.status, fields, now)
    if [coding for coding in fields.tokens(b"content-encoding") if coding != b"identity"]:
        return Rejected(End.LIED, reason("sent a coded answer though identity was asked for"))
    return None


def _beyond(answer: ResponseSummary, asked: Range, known: Facts | None) -> Rejected:
    said = answer.content_range
    complete = said.complete if said is not None and said.range is None else None
    if known is not None and complete not in (None, known.complete):
        return Rejected(
            End.ABSENT, reason(f"has another file: {complete} bytes, not {known.complete}")
        )
    length = complete if known is None else known.complete
    if length is None:
        return Rejected(End.ABSENT, reason("answered 416 without saying how long the file is"))
    if length > asked.start:
        return Rejected(End.LIED, reason("answered 416 for bytes that the file has"))
    return Rejected(End.BEYOND, reason("says that the file ends before the range"), length=length)


def _held(answer: ResponseSummary, sent: Spec) -> Range | Rejected:
    """Return which bytes a 200 or 206 holds."""
    if answer.status == 200:
        return Range(0, answer.length or 0)
    held = held_range(sent, answer)
    return held if isinstance(held, Range) else Rejected(End.LIED, reason(f"answered with {held}"))


def _complete(answer: ResponseSummary) -> int | None:
    if answer.status == 200:
        return answer.length
    return None if answer.content_range is None else answer.content_range.complete


def _as_first_shown(found: Facts, version: Validators) -> Facts:
    """A 206 with the strong tag of before need not repeat Last-Modified (RFC 9110 15.3.7)."""
    if has_strong_tag(version) and found.last_modified is None:
        return replace(found, shown=replace(found.shown, validators=version))
    return found
