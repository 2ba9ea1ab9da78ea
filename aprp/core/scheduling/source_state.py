"""The state of one source in one transfer."""

from __future__ import annotations

from dataclasses import dataclass, field

from aprp.core.reasons import Reason
from aprp.core.scheduling.attempt_state import AttemptState
from aprp.core.scheduling.messages import Source
from aprp.core.scheduling.ratings import Rating
from aprp.core.scheduling.slot import WantedSlot


@dataclass(slots=True, eq=False)
class SourceState:
    """The state of one source in one transfer's schedule.

    Only the planner writes ``slot``, and only the failure policy what follows it: ``failures``
    counts those since its last byte, and ``silences`` those of them that were silent attempts;
    ``left_out`` is set if it lied or doesn't have the file, ``banned`` if it sent wrong bytes, and
    ``out`` if it is out of service. It is ``excluded`` if it is banned, or is one of the others
    while another source can be used, and ``barred`` if it is excluded or waits for its turn. It
    isn't used before ``retry_at``, and is ``parked`` if that time comes from its Retry-After.
    """

    spec: Source
    rating: Rating
    order: int
    attempts: list[AttemptState] = field(default_factory=list)
    slot: WantedSlot = field(default_factory=WantedSlot)
    failures: int = 0
    silences: int = 0
    left_out: bool = False
    banned: bool = False
    out: bool = False
    excluded: bool = False
    barred: bool = False
    parked: bool = False
    retry_at: float = 0.0
    reason: Reason | None = None

    @property
    def name(self) -> str:
        """The name of the source."""
        return self.spec.name

    @property
    def spare(self) -> bool:
        """Whether it may have more connections than make it faster, so that one can wait for the
        next block.
        """
        return self.lanes < self.spec.connections

    @property
    def lanes(self) -> int:
        """The number of connections that make it faster, of those that this route allows."""
        return min(self.rating.lanes, self.spec.connections)

    @property
    def silent(self) -> bool:
        """Whether one of its attempts is doubted."""
        return any(attempt.doubted for attempt in self.attempts)

    @property
    def streaming(self) -> int:
        """The number of its attempts that have received their response head."""
        return sum(attempt.began is not None for attempt in self.attempts)

    @property
    def carrying(self) -> int:
        """The number of connections on which those are; attempts that share one count once."""
        own, shared = 0, set()
        for attempt in self.attempts:
            if attempt.began is None:
                continue
            if attempt.connection is None:
                own += 1
            else:
                shared.add(attempt.connection)
        return own + len(shared)

    @property
    def shared(self) -> int:
        """The number of connections that its attempts share."""
        return len({each.connection for each in self.attempts if each.connection is not None})

    def usable(self, now: float) -> bool:
        """Return whether it may be asked now, and be relied on by plans for others."""
        slot = self.slot
        if slot.urgency is not None and now >= slot.claim_until:
            return False
        return self.retry_at <= now and not self.barred and not (self.attempts and self.silent)
