"""The responses that can be planned for a client."""

from __future__ import annotations

from dataclasses import field
from typing import NamedTuple

from aprp.core.http.ranges import Range, Spec, in_one_pass
from aprp.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Relay:
    """Relay the response as it is."""


@dataclass(frozen=True, slots=True)
class Whole:
    """Respond 200 with the whole file; `complete` is its length, if known."""

    complete: int | None


class Part(NamedTuple):
    """Respond 206 with one range. `complete` is None if the upstream doesn't know it."""

    range: Range
    complete: int | None


@dataclass(frozen=True, slots=True)
class Parts:
    """Respond 206 with several ranges, in the requested order."""

    ranges: tuple[Range, ...]
    complete: int


@dataclass(frozen=True, slots=True)
class Conditional:
    """Respond 304 or 412, by a precondition."""

    status: int


@dataclass(frozen=True, slots=True)
class Unsatisfiable:
    """Respond 416; `complete` goes into its Content-Range, `reason` is a sentence if it isn't
    obvious.
    """

    complete: int | None
    reason: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class AskAgain:
    """Plan another request, because this response can't be used: a GET for `spec`, or for the
    whole file if it is None.
    """

    spec: Spec | None


@dataclass(frozen=True, slots=True)
class Refuse:
    """Refuse the upstream's response, which can't be trusted; `reason` says why."""

    reason: str


Plan = Relay | Whole | Part | Parts | Conditional | Unsatisfiable | AskAgain | Refuse


def ranges_of(plan: Plan) -> tuple[Range, ...]:
    """Return the ranges that a plan sends, in its order; nothing where it sends no bytes."""
    if isinstance(plan, Whole):
        return (Range(0, plan.complete),) if plan.complete else ()
    if isinstance(plan, Part):
        return (plan.range,)
    return plan.ranges if isinstance(plan, Parts) else ()


def as_one_pass(plan: Plan) -> Plan:
    """Return a plan whose bytes can be cut out of one response, which comes from its start."""
    if not isinstance(plan, Parts):
        return plan
    ranges = in_one_pass(plan.ranges)
    return Part(ranges[0], plan.complete) if len(ranges) == 1 else Parts(ranges, plan.complete)
