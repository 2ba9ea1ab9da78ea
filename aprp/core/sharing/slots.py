"""Whether a worker may take a slot at a host, by what all workers have and want there. Pure.

Rules:
- never more slots in use over all workers than the asking source's `connections`;
- a slot that a worker gave back stays with it as a spare, together with the connection that it
  keeps, until another worker wants one: so there are never more connections than slots;
- what a worker wants is announced with its place in the order of the arbiter, which holds over all
  workers: whoever is first takes what is free, and the others wait;
- among equals, a worker keeps a slot for `TENURE`, since another would have to open a connection;
- a worker that is waited for but doesn't react is passed over after `PATIENCE`, until it reacts:
  what a worker wants is numbered anew each time that it looks for a slot;
- never more slots in use at all hosts together than a fixed number, half of which is divided
  among the workers beforehand, so that each of them always has some.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

from aprp.core.values import dataclass

PATIENCE = 0.25
"""Seconds for which a worker waits for another that could take or give a slot."""
TENURE = 1.0
"""Seconds for which a worker may use a slot again and again though another waits for one."""

_HERE = 12  # bits
_TIME = 44
_LOOKS = 4


@dataclass(frozen=True, slots=True)
class Stake:
    """What one worker has at a host: slots `used` and `spare`; `order` and `most` (its limit) are
    those of the slot that it wants first, 0 for none."""

    used: int = 0
    spare: int = 0
    order: int = 0
    most: int = 0


class Verdict(Enum):
    """Whether a slot may be taken now."""

    TAKE = "take"
    FULL = "full"
    """All are in use."""
    YIELD = "yield"
    """Another worker comes first, and hasn't taken it yet."""
    SPARED = "spared"
    """Another worker has a spare one, and has to give it up first."""


def order_of(urgency: int, here: int, since: float, looks: int = 0) -> int:
    """Return the place in the order: lower numbers come first.

    By urgency, then by the slots that the transfer holds `here`, then by the time since when it
    waits. `looks` counts how often the worker has looked, so that others see that it did.
    """
    held = min(here, (1 << _HERE) - 1)
    place = (urgency << _HERE | held) << _TIME | max(1, int(since * 1000))
    return place << _LOOKS | looks % (1 << _LOOKS)


def since_of(order: int) -> float:
    """Return the time that is part of an order."""
    return (order >> _LOOKS & ((1 << _TIME) - 1)) / 1000


def decide(
    own: Stake,
    others: Sequence[Stake],
    most: int,
    order: int,
    *,
    impatient: bool = False,
    keeps: bool = False,
) -> Verdict:
    """Decide about a slot where `most` may be in use.

    `impatient`: others have had their time; `keeps`: this worker has a spare one within `TENURE`.
    """
    used = own.used + sum(each.used for each in others)
    if used >= most:
        return Verdict.FULL
    if impatient:
        return Verdict.TAKE
    for each in others:
        if 0 < each.order < order and used < each.most:
            equal = _urgency(each.order) == _urgency(order) and each.used >= own.used
            if not (keeps and equal):
                return Verdict.YIELD
    if own.spare or used + sum(each.spare for each in others) < most:
        return Verdict.TAKE
    return Verdict.SPARED


def has_room(own: int, others: Sequence[int], most: int) -> bool:
    """Return whether a worker may use one more slot, at whichever host.

    It uses `own`, and each of the others so many, of at most `most`.
    """
    sure = most // (2 * (1 + len(others)))
    return own < sure or sum(max(each, sure) for each in (own, *others)) < most


def wanting(own: Stake, others: Mapping[int, Stake]) -> list[int]:
    """Return the numbers of the other workers that could use a slot at once."""
    used = own.used + sum(each.used for each in others.values())
    return [number for number, each in others.items() if each.order and used < each.most]


def _urgency(order: int) -> int:
    return order >> (_HERE + _TIME + _LOOKS)
