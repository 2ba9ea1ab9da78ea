"""The two decisions that can be exchanged, and the policy for each word of the configuration.

A delay policy decides which block a source fetches next; a duplicate policy, which bytes are
requested twice. Everything else (slots, windows, failures, which bytes are new) is the scheduler's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from aprp.core.choices import Delay, Duplicate
from aprp.core.scheduling.assignment import Assignment
from aprp.core.scheduling.attempt_state import AttemptState
from aprp.core.scheduling.policies.adaptive import Adaptive
from aprp.core.scheduling.policies.diff import Diff
from aprp.core.scheduling.policies.ibrc import Ibrc
from aprp.core.scheduling.policies.inverse import Inverse
from aprp.core.scheduling.policies.nibib import Nibib
from aprp.core.scheduling.policies.normal import Normal
from aprp.core.scheduling.policies.off import Off
from aprp.core.scheduling.policies.rescue import AdaptiveRescue
from aprp.core.scheduling.policies.static import Static
from aprp.core.scheduling.settings import SchedulingSettings
from aprp.core.scheduling.source_state import SourceState
from aprp.core.scheduling.state import TransferState


class DelayPolicy(Protocol):
    """Decides which block a source fetches next; its choice may go unused."""

    def choose(
        self, state: TransferState, source: SourceState, now: float
    ) -> tuple[int, int] | None: ...

    def due(self, state: TransferState, source: SourceState, now: float) -> float | None: ...

    def opens_ahead(self, state: TransferState, source: SourceState, now: float) -> bool: ...

    def begun(self, source: SourceState) -> None: ...

    def completed(self, source: SourceState) -> None: ...


class DuplicatePolicy(Protocol):
    """Decides which bytes are requested twice; its choice may go unused."""

    def choose(
        self, state: TransferState, source: SourceState, now: float
    ) -> Assignment | None: ...

    def doubtful(self, state: TransferState, now: float) -> list[AttemptState]: ...

    def overlong(self, state: TransferState, now: float) -> list[tuple[AttemptState, int]]: ...

    def wake(self, state: TransferState, now: float) -> float | None: ...

    def heard_from(self, source: SourceState) -> None: ...

    def ask_again_at(self, state: TransferState, source: SourceState, now: float) -> float: ...

    def completed(self, state: TransferState, source: SourceState, advanced: bool) -> None: ...


DELAYS: dict[Delay, Callable[[SchedulingSettings], DelayPolicy]] = {
    Delay.ADAPTIVE: Adaptive,
    Delay.NORMAL: Normal,
    Delay.DIFF: Diff,
    Delay.INV: Inverse,
    Delay.STATIC: Static,
}

DUPLICATES: dict[Duplicate, Callable[[SchedulingSettings], DuplicatePolicy]] = {
    Duplicate.ADAPTIVE: AdaptiveRescue,
    Duplicate.NIBIB: Nibib,
    Duplicate.IBRC: Ibrc,
    Duplicate.OFF: Off,
}
