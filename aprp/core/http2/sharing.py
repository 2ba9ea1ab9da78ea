"""Which connection carries the next request, where several may share one.

Rules:
- requests are spread over as many connections as make the source faster (``lanes``), if there are
  that many requests;
- one connection that is as fast as several is used alone: its window has grown, and nothing has to
  be opened; those beyond the lanes are left to close.
"""

from __future__ import annotations

from collections.abc import Sequence


def carrier(loads: Sequence[int], lanes: int) -> int | None:
    """Return the index of the connection for a further request; None if one more is to be opened.

    Args:
        loads: the requests under way on each connection that can take one more, the oldest first.
        lanes: how many connections are worth having, at least 1.
    """
    best = min(range(min(len(loads), lanes)), key=loads.__getitem__, default=None)
    if best is None or (loads[best] and len(loads) < lanes):
        return None
    return best
