"""How a source does, from what was counted of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from aprp.upstream.tally import SourceTally

DOWN_AFTER = 3
"""Failures in a row; of those to connect, one is enough."""
BELIEVED = 30.0
"""Seconds after its last failure in which a source that is down makes its route not ready. Then
only a request can tell, and where none comes no one would learn that it is back."""

STATES = ("out", "down", "parked", "failing", "ok", "unused")
"""The states of a source, the worst first; out: out of service."""


def worst(states: Iterable[str]) -> str:
    """Return the worst of some states, of which there is one."""
    return min(states, key=STATES.index)


def state_of(source: SourceTally, parked: bool = False) -> str:
    """Return unused, ok, failing, down, or parked (it asked to be left alone for a while)."""
    if parked:
        return "parked"
    if not source.failures:
        return "unused" if source.answered_at is None else "ok"
    if source.failures >= DOWN_AFTER or source.kind in ("connect", "tls"):
        return "down"
    return "failing"


def is_well(source: SourceTally, now: float) -> bool:
    """Whether requests may be sent its way, as far as is known at `now`."""
    if state_of(source) != "down" or source.failed_at is None:
        return True
    return now - source.failed_at > BELIEVED
