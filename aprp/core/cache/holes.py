"""Which missing bytes of a cached file one fetch is to bring, and which running fetch to join.

A fetch brings one range in order. It begins and ends at the edges of blocks, since only whole
blocks are kept, and ends where the next bytes are there or will be brought by another fetch.
"""

from __future__ import annotations

from collections.abc import Iterable

from aprp.core.cache.extents import BLOCK, around
from aprp.core.http.ranges import FromTo, Range, Spec, Suffix
from aprp.core.values import dataclass

SHORT_WAIT = 2 * BLOCK
"""Bytes that are always waited for rather than requested a second time."""


@dataclass(frozen=True, slots=True)
class Running:
    """A running fetch: its next byte, its end, and what it has shown of its source.

    `rate` is in bytes per second and `latency` in seconds, both None until they are known. The
    bytes up to `ready` have arrived, and wait for the readers.
    """

    position: int
    stop: int
    ready: int
    rate: float | None
    latency: float | None


def hole_at(wanted: Range, complete: int, present: int | None, running: Iterable[int]) -> Range:
    """Return the range to fetch for a reader of `wanted`, whose first byte is missing.

    `present` is where the next bytes begin that are there, and `running` are the next bytes of the
    fetches that are under way.
    """
    blocks = around(wanted.start, wanted.stop, complete)
    ends = [each for each in running if each > wanted.start]
    if present is not None:
        ends.append(present)
    return Range(blocks.start, min(blocks.stop, *ends) if ends else blocks.stop)


def blocks_of(spec: Spec) -> Spec:
    """Return a range that has the blocks of this one, of a file whose length isn't known yet.

    A suffix is made longer by all that its first block may have before it.
    """
    if isinstance(spec, Suffix):
        return Suffix(spec.length + BLOCK - 1) if spec.length else spec
    if spec.stop is None:
        return FromTo(spec.start // BLOCK * BLOCK)
    blocks = around(spec.start, spec.stop, None)
    return FromTo(blocks.start, blocks.stop)


def joins(at: int, fetch: Running) -> bool:
    """Return whether a fetch brings the byte `at` sooner than a new request would.

    Bytes that have arrived, and the next few, are always waited for.
    """
    if not fetch.position <= at < fetch.stop:
        return False
    ready = max(fetch.ready, fetch.position)
    if at < ready + SHORT_WAIT:
        return True
    if fetch.rate is None or fetch.latency is None:
        return False
    return at - ready <= fetch.rate * fetch.latency
