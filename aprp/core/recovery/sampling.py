"""Which blocks of a file to compare between mirrors, and what that comparison may miss.

The file is divided into blocks of BLOCK bytes. The first and the last are always compared, because
truncation and padding show there; the others are picked at random for each check, so that a mirror
can't know them beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aprp.core.http.ranges import Range

BLOCK = 16384

Pick = Callable[[range, int], Sequence[int]]
"""Picks that many different numbers of a range, as `random.SystemRandom().sample` does."""


def blocks_in(complete: int) -> int:
    """Return how many blocks a file of `complete` bytes has; the last may be shorter."""
    return -(-complete // BLOCK)


def sampled(complete: int, count: int, pick: Pick) -> tuple[Range, ...]:
    """Return at most `count` blocks, two at least, in ascending order."""
    last = blocks_in(complete) - 1
    if last < 0:
        return ()
    inner = range(1, last)
    picked = pick(inner, min(max(count - 2, 0), len(inner)))
    return tuple(
        Range(number * BLOCK, min((number + 1) * BLOCK, complete))
        for number in sorted({0, last, *picked})
    )


def chance_missed(complete: int, compared: int, differing: int) -> float:
    """Return the probability that none of the `compared` blocks is one of the `differing` ones.

    The differing blocks may lie anywhere except at the file's ends, which are always compared.
    """
    inner = max(blocks_in(complete) - 2, 0)
    picked = min(max(compared - 2, 0), inner)
    if differing > inner - picked:
        return 0.0
    chance = 1.0
    for each in range(picked):
        chance *= (inner - differing - each) / (inner - each)
    return chance
