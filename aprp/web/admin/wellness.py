"""The state of a source, from its counters. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from aprp.upstream.tally import SourceTally

DOWN_AFTER = 3
"""Failures in a row after which a source is down; one is enough if it couldn't be connected to."""
BELIEVED = 30.0
"""Seconds after its last failure for which a source that is down counts against `/readyz`. After
that it doesn't: only requests would show that it is up again, and a route that isn't ready gets
none."""

STATES = ("out", "down", "parked", "failing", "ok", "unused")
"""The states of a source, the worst first; out: out of service."""


def worst(states: Iterable[str]) -> str:
    """Return the worst of at least one state."""
    return min(states, key=STATES.index)


def state_of(source: SourceTally, parked: bool = False) -> str:
    """Return unused, ok, failing, down, or parked (by its Retry-After)."""
    if parked:
        return "parked"
    if not source.failures:
        return "unused" if source.answered_at is None else "ok"
    if source.failures >= DOWN_AFTER or source.kind in ("connect", "tls"):
        return "down"
    return "failing"


def is_well(source: SourceTally, now: float) -> bool:
    """Return whether the source counts as up at `now`."""
    if state_of(source) != "down" or source.failed_at is None:
        return True
    return now - source.failed_at > BELIEVED
