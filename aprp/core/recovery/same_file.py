"""Whether what one source answers may become a part of a file that others send too.

Pure. `judge` holds an answer against the range that was asked, against the version that the same
source showed before, and against what the first good answer of any source said of the file. What
makes two copies the same file is the route's `same:`

- modified: complete length and Last-Modified agree; the length decides where none is given;
- length: the complete length alone;
- digest: the complete length and a digest of the whole (RFC 9530's Repr-Digest, RFC 3230's
  Digest); a source that gives none is left out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from aprp.core.http.answer_plan import ResponseSummary, held_range
from aprp.core.http.fields import Fields, split_list
from aprp.core.http.ranges import FromTo, Range, number
from aprp.core.http.validators import ETag, Validators, format_date, parse_date
from aprp.core.scheduling.messages import End

REDIRECTS = frozenset((301, 302, 303, 307, 308))
PASSING = frozenset((408, 421, 425, 429))
"""Statuses below 500 that may be another at the next try."""
LONGEST_WAIT = 86400.0
"""Seconds; a Retry-After of more is taken as this."""

Digests = frozenset[tuple[bytes, bytes]]
"""Pairs of an algorithm, in lower case, and a digest in base 64."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the file itself. `last_modified` is in unix time."""

    complete: int
    last_modified: int | None = None
    media_type: bytes | None = None
    digests: Digests = frozenset()


@dataclass(frozen=True, slots=True)
class Accepted:
    """The body may be used: it holds the bytes of `body`."""

    body: Range
    facts: Facts
    version: Validators


@dataclass(frozen=True, slots=True)
class Rejected:
    """The body may not be used; the members are those of the event `Ended`."""

    end: End
    reason: str
    retry_after: float | None = None
    length: int | None = None


def judge(
    answer: ResponseSummary,
    fields: Fields,
    asked: Range,
    same: str,
    known: Facts | None,
    version: Validators | None,
    now: int,
) -> Accepted | Rejected:
    """An answer to a GET of the range `asked`, which isn't a redirect.

    `known` is what the first good answer said, `version` the validators that this source showed
    first, both None before there was any; `now` is unix time.
    """
    if answer.status == 416:
        return _beyond(answer, asked, known)
    if answer.status not in (200, 206):
        return refusal(answer.status, fields, now)
    if [coding for coding in fields.tokens(b"content-encoding") if coding != b"identity"]:
        return Rejected(End.LIED, "sent a coded answer though identity was asked for")
    body = _body(answer, asked)
    if isinstance(body, str):
        return Rejected(End.LIED, body)
    complete = _complete(answer)
    if complete is None:
        return Rejected(End.LIED, "doesn't say how long the whole file is")
    found = facts_of(answer, fields, complete)
    if version is not None:
        if (change := _changed(version, answer)) is not None:
            return Rejected(End.ABSENT, change)
        if found.last_modified is None:
            found = replace(found, last_modified=version.last_modified)
    reason = disagreement(found, known, same)
    if reason is not None:
        return Rejected(End.ABSENT, reason)
    return Accepted(body, found, version or answer.validators)


def facts_of(answer: ResponseSummary, fields: Fields, complete: int) -> Facts:
    """What an answer to GET or HEAD says of the file."""
    return Facts(
        complete,
        answer.validators.last_modified,
        fields.get(b"content-type"),
        digests_of(fields),
    )


def disagreement(found: Facts, known: Facts | None, same: str) -> str | None:
    """Why two copies aren't the same file, with the setting that would admit it; None: they are.

    Without `known` there is no other copy yet.
    """
    if same == "digest" and not found.digests:
        return "gives no digest, and `same: digest` asks for one"
    if known is None:
        return None
    if found.complete != known.complete:
        return f"has another file: {found.complete} bytes, not {known.complete}"
    if same == "modified" and found.last_modified != known.last_modified:
        return (
            f"has another file: Last-Modified is {_date(found.last_modified)}, not "
            f"{_date(known.last_modified)}; `same: length` would admit it"
        )
    if same == "digest":
        return _digests_differ(found.digests, known.digests)
    return None


def refusal(status: int, fields: Fields, now: int) -> Rejected:
    """What a status other than 200, 206 and 416 means."""
    text = f"answered {status}"
    if status >= 500 or status in PASSING:
        return Rejected(End.REFUSED, text, retry_after(fields, now))
    return Rejected(End.LIED if status < 400 else End.ABSENT, text)


def retry_after(fields: Fields, now: int) -> float | None:
    """Seconds that Retry-After names (RFC 9110 section 10.2.3), in either form.

    A date is read against the answer's own Date, or against `now` where it has none.
    """
    value = fields.get(b"retry-after")
    if value is None:
        return None
    seconds = number(value)
    if seconds is None:
        date = parse_date(value)
        if date is None:
            return None
        made = parse_date(fields.get(b"date") or b"")
        seconds = max(0, date - (now if made is None else made))
    return min(float(seconds), LONGEST_WAIT)


def etag(path: bytes, facts: Facts, same: str) -> ETag:
    """The client's strong tag: it is the same after a restart and whoever answers first."""
    made_of = [path, b"%d" % facts.complete]
    if same == "modified" and facts.last_modified is not None:
        made_of.append(b"%d" % facts.last_modified)
    if same == "digest":
        chosen = min(facts.digests, key=lambda pair: (pair[0] != b"sha-256", pair))
        made_of.append(b"=".join(chosen))
    return ETag(hashlib.sha256(b"\n".join(made_of)).hexdigest()[:24].encode())


def digests_of(fields: Fields) -> Digests:
    """The digests of the whole file that an answer gives."""
    found = set()
    for item in split_list(fields.get(b"repr-digest") or b""):
        name, equals, value = item.partition(b"=")
        if equals and len(value) > 2 and value[:1] == value[-1:] == b":":
            found.add((name.lower(), value[1:-1]))
    for item in split_list(fields.get(b"digest") or b""):
        name, equals, value = item.partition(b"=")
        if equals and value:
            found.add((name.lower(), value))
    return frozenset(found)


def _beyond(answer: ResponseSummary, asked: Range, known: Facts | None) -> Rejected:
    said = answer.content_range
    complete = said.complete if said is not None and said.range is None else None
    if known is not None and complete not in (None, known.complete):
        return Rejected(End.ABSENT, f"has another file: {complete} bytes, not {known.complete}")
    if (complete if known is None else known.complete) is None:
        return Rejected(End.ABSENT, "answered 416 without saying how long the file is")
    length = complete if known is None else known.complete
    if length is not None and length > asked.start:
        return Rejected(End.LIED, "answered 416 for bytes that the file has")
    return Rejected(End.BEYOND, "says that the file ends before the range", length=length)


def _body(answer: ResponseSummary, asked: Range) -> Range | str:
    """Which bytes an answer of 200 or 206 holds, or why that can't be told."""
    if answer.status == 200:
        if answer.length is None:
            return "answered 200 without a length"
        return Range(0, answer.length)
    held = held_range(FromTo(asked.start, asked.stop), answer)
    return held if isinstance(held, Range) else f"answered with {held}"


def _complete(answer: ResponseSummary) -> int | None:
    if answer.status == 200:
        return answer.length
    return None if answer.content_range is None else answer.content_range.complete


def _changed(version: Validators, answer: ResponseSummary) -> str | None:
    """Why an answer isn't of the version that its source showed first.

    A 206 need not repeat a Last-Modified that it was compared with (RFC 9110 section 15.3.7).
    """
    later = answer.validators
    if version.etag is not None and version.etag != later.etag:
        now = "none" if later.etag is None else bytes(later.etag).decode("latin-1")
        return f"has changed its file: the ETag was {_text(version.etag)}, is {now}"
    if version.last_modified is not None and later.last_modified not in (
        None,
        version.last_modified,
    ):
        return (
            f"has changed its file: Last-Modified was {_date(version.last_modified)}, "
            f"is {_date(later.last_modified)}"
        )
    return None


def _digests_differ(found: Digests, known: Digests) -> str | None:
    algorithms = {name for name, _ in found} & {name for name, _ in known}
    if not algorithms:
        return "gives no digest of a kind that the others give"
    if any((pair in found) != (pair in known) for pair in found | known if pair[0] in algorithms):
        return "has another file: its digest differs"
    return None


def _text(tag: ETag) -> str:
    return bytes(tag).decode("latin-1")


def _date(seconds: int | None) -> str:
    return "not given" if seconds is None else format_date(seconds).decode()
