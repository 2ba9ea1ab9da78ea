"""``duplicate: off``: no block is requested twice."""

from __future__ import annotations

from aprp.core.scheduling.assignment import Assignment
from aprp.core.scheduling.attempt_state import AttemptState
from aprp.core.scheduling.settings import SchedulingSettings
from aprp.core.scheduling.source_state import SourceState
from aprp.core.scheduling.state import TransferState


class Off:
    """The policy ``duplicate: off``: waits for a late block, however long it takes."""

    def __init__(self, settings: SchedulingSettings) -> None:
        pass

    def choose(self, state: TransferState, source: SourceState, now: float) -> Assignment | None:
        """Return the range to request a second time: none."""
        return None

    def doubtful(self, state: TransferState, now: float) -> list[AttemptState]:
        """Return the attempts that were silent for too long: none, timeouts end them."""
        return []

    def overlong(self, state: TransferState, now: float) -> list[tuple[AttemptState, int]]:
        """Return the attempts to cut back, and to where: none."""
        return []

    def wake(self, state: TransferState, now: float) -> float | None:
        """Return when to look again: never."""
        return None

    def heard_from(self, source: SourceState) -> None:
        """Record that bytes arrived from the source."""

    def ask_again_at(self, state: TransferState, source: SourceState, now: float) -> float:
        """Return when a silent source may get another request: at once, no attempt is doubted."""
        return now

    def completed(self, state: TransferState, source: SourceState, advanced: bool) -> None:
        """Note that a block is complete; ``advanced`` if the client can now take more."""
