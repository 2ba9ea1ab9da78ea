"""How a transfer is scheduled: the part of a route's settings that the scheduler acts on."""

from __future__ import annotations

from aprp.core.choices import Delay, Duplicate
from aprp.core.scheduling.messages import MIB
from aprp.core.values import dataclass


@dataclass(frozen=True, slots=True)
class SchedulingSettings:
    """The settings of one transfer's schedule; the defaults are those of a route.

    Args:
        window: bytes in flight or waiting, at most; not less than 256 KiB.
        block_size: bytes of a block of the older policies; a hint for ``adaptive``.
        delay: which block a source gets next.
        duplicate: when a block is requested twice.
        duplicate_threshold: blocks, for nibib and ibrc.
        resume_for: seconds without progress by a block after which a transfer whose sources all
            fail is given up.
        leave_late: for nibib and ibrc: whether a source is left out once its block had to be
            requested again.
        sparing: whether to read little ahead, as for a cache that others fetch into.
        initial_delay: for diff: blocks that a source begins further ahead, for each multiple of
            the least latency by which its own is longer.
        at_once: sources used at the same time; the others are in reserve and take the place of
            those that fail. None: all.
    """

    window: int = 32 * MIB
    block_size: int = MIB
    delay: Delay = Delay.ADAPTIVE
    duplicate: Duplicate = Duplicate.ADAPTIVE
    duplicate_threshold: int = 20
    resume_for: float = 30.0
    leave_late: bool = False
    initial_delay: int = 10
    sparing: bool = False
    at_once: int | None = None
