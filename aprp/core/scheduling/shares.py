"""How a limit is shared by those who would like more than there is."""

from __future__ import annotations

from collections.abc import Sequence


def level(limit: int, wants: Sequence[int]) -> int | None:
    """The most that each may have so that all together have at most `limit`; None: all they want.

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
