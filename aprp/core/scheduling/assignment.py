"""What a policy has a source fetch next."""

from __future__ import annotations

from aprp.core.scheduling.attempt_state import AttemptState
from aprp.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Assignment:
    """The range ``[start, stop)`` for one source.

    ``relieved`` is the attempt at another source from which the range is taken: it ends at
    ``start`` from then on, and is abandoned if it is already there. None where nothing is taken
    from an attempt.
    """

    start: int
    stop: int
    relieved: AttemptState | None = None
