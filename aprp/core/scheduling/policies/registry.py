"""The two decisions that can be exchanged, and their names in the configuration.

A delay policy says which block a source is asked for next; a duplicate policy, what is asked
twice. Everything else (slots, windows, failures, which bytes are new) is the scheduler's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from aprp.core.scheduling.policies import classic
from aprp.core.scheduling.policies.adaptive import Adaptive
from aprp.core.scheduling.policies.rescue import AdaptiveRescue, Assignment
from aprp.core.scheduling.state import AttemptState, SourceState, TransferState


class DelayPolicy(Protocol):
    """Which block next. ``choose`` may be called without its answer being used."""

    def choose(
        self, state: TransferState, source: SourceState, now: float
    ) -> tuple[int, int] | None: ...

    def due(self, state: TransferState, source: SourceState, now: float) -> float | None: ...

    def opens_ahead(self, state: TransferState, source: SourceState, now: float) -> bool: ...


class DuplicatePolicy(Protocol):
    """What twice. ``choose`` may be called without its answer being used."""

    def choose(
        self, state: TransferState, source: SourceState, now: float
    ) -> Assignment | None: ...

    def doubtful(self, state: TransferState, now: float) -> list[AttemptState]: ...

    def overlong(self, state: TransferState, now: float) -> list[tuple[AttemptState, int]]: ...

    def wake(self, state: TransferState, now: float) -> float | None: ...

    def arrived(self, state: TransferState, advanced: bool) -> None: ...


DELAYS: dict[str, Callable[[int], DelayPolicy]] = {
    "adaptive": Adaptive,
    "normal": classic.Normal,
    "diff": classic.Diff,
    "inv": classic.Inverse,
    "static": classic.Static,
}
"""Name to maker; the argument is the block size in bytes."""

DUPLICATES: dict[str, Callable[[int, int], DuplicatePolicy]] = {
    "adaptive": lambda threshold, size: AdaptiveRescue(),
    "nibib": classic.WaitingBlocks,
    "ibrc": classic.VainReads,
    "off": lambda threshold, size: classic.NoDuplicates(),
}
"""Name to maker; the arguments are the threshold in blocks and the block size in bytes."""
