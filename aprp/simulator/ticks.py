"""Round numbers for the axis of a plot. Pure."""

from __future__ import annotations

import math

MOST = 6
"""Ticks on one axis, besides that at zero."""


def ticks(end: float) -> list[tuple[float, str]]:
    """Return the places in [0, `end`] that get a number, and the numbers.

    They are multiples of 1, 2 or 5 times a power of ten, six at most and two at least besides 0.
    """
    step, digits = _step(end)
    return [(count * step, f"{count * step:.{digits}f}") for count in range(int(end / step) + 1)]


def _step(end: float) -> tuple[float, int]:
    """Return the step between ticks, and the decimals that it needs."""
    power = math.floor(math.log10(end / MOST))
    for factor in (1, 2, 5, 10):
        step = factor * 10.0**power
        if end / step < MOST + 1:
            return step, max(0, -power - (factor == 10))
    raise AssertionError("ten steps of a power of ten reach the next one")
