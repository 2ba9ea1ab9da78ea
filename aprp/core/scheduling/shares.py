"""How a limit is shared by those who would like more than there is."""

from __future__ import annotations

from collections.abc import Sequence

from aprp.core.values import dataclass


@dataclass(frozen=True, slots=True)
class MemoryClaim:
    """The memory that one transfer uses and would like to use, in bytes.

    Args:
        wanted: what it would hold or have in flight if it could.
        used: what it holds or has in flight.
    """

    wanted: int
    used: int


def windows(memory: int, claims: Sequence[MemoryClaim]) -> list[int]:
    """Return the window of each transfer while all together would like more than ``memory``.

    Each may grow by an equal part of what is free, but not beyond its fair share of all of it.
    """
    fair = level(memory, [claim.wanted for claim in claims])
    free = max(0, memory - sum(claim.used for claim in claims))
    most = memory if fair is None else fair
    return [min(claim.used + free // len(claims), most) for claim in claims]


def level(limit: int, wants: Sequence[int]) -> int | None:
    """Return the most that each may have so that all together have at most `limit`; None: all.

    Who wants less than the level leaves the rest to the others (max-min fairness).
    """
    left = limit
    ordered = sorted(wants)
    for index, want in enumerate(ordered):
        share = left // (len(ordered) - index)
        if want > share:
            return share
        left -= want
    return None
