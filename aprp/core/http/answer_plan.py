"""Plan the response to a client, from what it requested and what the upstream answered.

Pure. `wanted` says which range to ask the upstream for, `decide` makes the plan. The rules, in
this order: an answer that can't be what was asked for is refused; preconditions come before
If-Range, If-Range before ranges (RFC 9110 section 13.2.2); ranges are resolved against the
complete length that the answer gives.
"""

from __future__ import annotations

from typing import NamedTuple

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
    as_one_pass,
)
from aprp.core.http.ranges import (
    NOTHING,
    ContentRange,
    FromTo,
    Range,
    Spec,
    covers_too_much,
)
from aprp.core.http.validators import IfRange, Validators, is_conditional, precondition


class RequestedRange(NamedTuple):
    """A GET or HEAD, as far as it says which bytes are meant.

    `header` holds the specs of a Range that is to be obeyed, None where there is none or it is
    ignored; `path` the range asked in the path. `fields` are looked at for preconditions.
    """

    fields: Fields
    head: bool = False
    header: tuple[Spec, ...] | None = None
    if_range: IfRange | None = None
    path: Spec | None = None

    @property
    def wanted(self) -> Spec | None:
        """The range to request from an upstream; None means the whole file, or a HEAD."""
        return None if self.head else self.probe

    @property
    def probe(self) -> Spec | None:
        """The range whose response tells the length, for a HEAD too; None if no range is
        requested.

        What no file satisfies isn't sent, since many servers misread it: one byte will tell.
        """
        specs = (self.header or ()) if self.path is None else (self.path,)
        for spec in specs:
            if isinstance(spec, FromTo) or spec.length:
                return spec
        return FromTo(0, 1) if specs else None

    @property
    def hopeless(self) -> bool:
        """Whether no file, however long, satisfies any of the ranges."""
        if self.path is not None:
            return self.path == NOTHING
        return self.header is not None and all(spec == NOTHING for spec in self.header)


class ResponseSummary(NamedTuple):
    """What the plan needs of an upstream's response. `length` is its Content-Length."""

    status: int
    length: int | None
    validators: Validators
    content_range: ContentRange | None = None


def decide(asked: RequestedRange, sent: Spec | None, answer: ResponseSummary) -> Plan:
    """Return the plan for the response to a request with the range `sent` (None: without Range)."""
    if answer.status == 206:
        return _after_part(asked, sent, answer)
    if answer.status == 200:
        return _conditional(asked, answer) or _after_whole(asked, sent, answer)
    if answer.status == 416 and sent is not None:
        return _after_unsatisfiable(asked, sent, answer)
    return Relay()


def plan_for(asked: RequestedRange, complete: int, current: Validators) -> Plan:
    """Return the plan when all is known of the file and every byte of it is available."""
    answer = ResponseSummary(200, complete, current)
    conditional = _conditional(asked, answer)
    if conditional is not None:
        return conditional
    if not _if_range_holds(asked, answer):
        asked = asked._replace(header=None)
    if asked.header is None and asked.path is None:
        return Whole(complete)
    return _resolve(asked, complete)


def held_range(sent: Spec, answer: ResponseSummary) -> Range | str:
    """Return the range that a 206 holds, or say why it doesn't answer `sent`.

    A valid part may begin where it was asked to and be shorter; the rest can be asked for.
    """
    said = answer.content_range
    if said is None or said.range is None:
        return "a 206 without a valid Content-Range"
    held = said.range
    if answer.length is not None and answer.length != held.length:
        return "a 206 whose Content-Length and Content-Range differ"
    if said.complete is not None:
        meant = sent.resolve(said.complete)
        fits = meant is not None and held.start == meant.start and held.stop <= meant.stop
    elif isinstance(sent, FromTo):
        fits = held.start == sent.start and (sent.stop is None or held.stop <= sent.stop)
    else:
        fits = held.length == sent.length or (held.length < sent.length and held.start == 0)
    return held if fits else "a 206 with another range than the one asked for"


def _conditional(asked: RequestedRange, answer: ResponseSummary) -> Conditional | None:
    status = precondition(asked.fields, answer.validators)
    return None if status is None else Conditional(status)


def _after_part(asked: RequestedRange, sent: Spec | None, answer: ResponseSummary) -> Plan:
    if sent is None:
        return Refuse("a 206 though no range was asked for")
    held = held_range(sent, answer)
    if isinstance(held, str):
        return Refuse(held)
    if (conditional := _conditional(asked, answer)) is not None:
        return conditional
    if asked.probe is None:  # a cache asked for what it lacks of another version
        return AskAgain(None)
    if not _if_range_holds(asked, answer):
        if asked.path is None:
            return AskAgain(None)
        asked = asked._replace(header=None)
    complete = answer.content_range.complete if answer.content_range else None
    if complete is None:
        return _part_of_unknown(asked, sent, held)
    plan = _resolve(asked, complete)
    if isinstance(plan, Whole) or not (_reachable(plan, held, answer.validators) or asked.head):
        return AskAgain(None)
    return plan


def _part_of_unknown(asked: RequestedRange, sent: Spec, held: Range) -> Plan:
    """Plan the response to a 206 without a complete length: only what was requested can be sent.

    A cache may have requested more than the client's range.
    """
    meant = (asked.header or ()) if asked.path is None else (asked.path,)
    if asked.hopeless or (asked.path is not None and asked.header not in (None, meant)):
        return Unsatisfiable(None, None if asked.hopeless else _conflict(asked))
    if meant == (sent,):
        return Part(held, None)
    return AskAgain(meant[0] if len(meant) == 1 else None)


def _reachable(plan: Plan, held: Range, validators: Validators) -> bool:
    """Whether all bytes of the plan are available, here or by resuming the same version."""
    if isinstance(plan, Part):
        if held.start <= plan.range.start and plan.range.stop <= held.stop:
            return True
    elif not isinstance(plan, Parts):
        return True
    return validators.strong() is not None


def _if_range_holds(asked: RequestedRange, answer: ResponseSummary) -> bool:
    """Whether the Range field may be obeyed, by If-Range.

    That an upstream answered 206 proves nothing: there are those that don't know If-Range.
    """
    return asked.if_range is None or asked.if_range.matches(answer.validators)


def _after_whole(asked: RequestedRange, sent: Spec | None, answer: ResponseSummary) -> Plan:
    ranged = asked.header is not None and _if_range_holds(asked, answer)
    if asked.path is None and not ranged:
        return Whole(answer.length)
    if answer.length is None:
        return _whole_of_unknown(asked, sent)
    if not ranged:
        asked = asked._replace(header=None)
    return as_one_pass(_resolve(asked, answer.length))


def _whole_of_unknown(asked: RequestedRange, sent: Spec | None) -> Plan:
    if asked.hopeless:
        return Unsatisfiable(None)
    if asked.path is None:
        return Whole(None)
    if asked.head and sent is None:
        return AskAgain(asked.probe)
    return Refuse("a whole file of unknown length, in which the path's range can't be placed")


def _after_unsatisfiable(asked: RequestedRange, sent: Spec, answer: ResponseSummary) -> Plan:
    """Plan the response to a 416. It shows no validators and may be wrong, so it is believed only
    if its length confirms it.
    """
    said = answer.content_range
    complete = said.complete if said is not None and said.range is None else None
    believed = complete is not None and sent.resolve(complete) is None
    if asked.head:
        return Unsatisfiable(complete if believed else None)
    if complete is None or not believed or asked.probe is None or is_conditional(asked.fields):
        return AskAgain(None)
    if asked.path is not None:
        return Unsatisfiable(complete)
    if asked.if_range is not None:
        return AskAgain(None)
    for spec in asked.header or ():
        if spec.resolve(complete) is not None:
            return AskAgain(spec)
    return Unsatisfiable(complete)


def _resolve(asked: RequestedRange, complete: int) -> Plan:
    ranges = [found for spec in asked.header or () if (found := spec.resolve(complete))]
    if asked.path is not None:
        meant = asked.path.resolve(complete)
        if meant is None:
            return Unsatisfiable(complete)
        if asked.header is not None and ranges != [meant]:
            return Unsatisfiable(complete, _conflict(asked))
        return Part(meant, complete)
    if not ranges:
        return Unsatisfiable(complete)
    if len(ranges) == 1:
        return Part(ranges[0], complete)
    if covers_too_much(ranges, complete):
        return Whole(complete)
    return Parts(tuple(ranges), complete)


def _conflict(asked: RequestedRange) -> str:
    path, header = (
        ",".join(spec.header().decode("ascii").removeprefix("bytes=") for spec in specs)
        for specs in ((asked.path,) if asked.path else (), asked.header or ())
    )
    return f"the path asks for the bytes {path}, and the Range field for {header}"
