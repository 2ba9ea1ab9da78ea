"""Where blocks begin and end, and how large they are.

Rules:
- edges lie on multiples of EDGE counted from offset 0 of the file, clipped by the range that was
  asked for, so that blocks of different transfers of one file fit together;
- a block is what a source delivers in HORIZON, or less if the window is small; more where all
  its connections are in use, and each has to wait for its next block; never so small that asking
  for it costs more time than fetching it; never over LARGEST;
- near the end no source takes more than half of what it could deliver until all are done.
"""

from __future__ import annotations

from aprp.core.scheduling.messages import KIB, MIB

EDGE = 64 * KIB
LARGEST = 8 * MIB
HORIZON = 0.25
"""Seconds that a block takes to come, and the lead another source needs to be left a block."""

_LONGEST, _WORTH = 1.0, 40
"""Seconds, and latencies, that a block takes where none can be asked for while it comes."""

OVERTIME = 0.005
"""Seconds by which one source may be done later than the others, for the sake of whole edges."""


def edge_after(offset: float) -> int:
    """The first edge at or after the offset."""
    return -int(-offset // EDGE) * EDGE


def edge_before(offset: float) -> int:
    """The last edge at or before the offset."""
    return int(offset // EDGE) * EDGE


def wanted_size(
    rate: float, all_rates: float, latency: float, window: int, *, spare: bool = True
) -> int:
    """Return how many bytes to request from a source at once, away from the end of the file.

    Args:
        rate: bytes a second of the connection that will fetch it.
        all_rates: bytes a second of all connections together.
        latency: seconds from the request to its first byte on a warm connection.
        window: bytes.
        spare: whether another connection can wait for the next block while this one comes;
            otherwise each block costs a latency, and has to be worth it.
    """
    horizon = HORIZON if spare else max(HORIZON, min(_LONGEST, _WORTH * latency))
    seconds = min(horizon, window / (3 * max(all_rates, rate)))
    size = max(edge_after(rate * seconds), smallest_size(rate, latency))
    return max(EDGE, min(size, LARGEST, edge_before(window / 3)))


def smallest_size(rate: float, latency: float) -> int:
    """The size below which a block costs more time to ask for than to fetch."""
    return max(EDGE, edge_after(rate * latency))


def tail_size(wanted: int, share: float, floor: int, rate: float, *, spare: bool = True) -> int:
    """``wanted``, cut to what the end of the file leaves to the source.

    Args:
        wanted: bytes, away from the end.
        share: bytes that the source can deliver until all are done at the same time.
        floor: bytes; a share near this is taken whole.
        rate: bytes a second of the connection, which may be done a little later than the others.
        spare: as above; otherwise the share is taken whole.

    Returns:
        Bytes; 0 if nothing is left to this source.
    """
    if share <= 0:
        return 0
    if share <= 2 * floor or not spare:
        return min(wanted, edge_before(share + rate * OVERTIME))
    return min(wanted, max(floor, edge_after(share / 2)))
