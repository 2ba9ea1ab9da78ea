"""What is expected of each source at one moment, worked out once while nothing changes."""

from __future__ import annotations

from dataclasses import field

from aprp.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is expected of one source; times are on the clock of the scheduler.

    ``first`` is the seconds until the first byte of a request made now, ``ends`` when each attempt
    will be complete, ``lanes`` when each lane has nothing left to do, ``frees`` when the first byte
    of another block could come on it.
    """

    first: float
    ends: dict[int, float]
    lanes: list[float]
    frees: list[float]


@dataclass(slots=True)
class Outlooks:
    """The outlooks that were worked out so far, by the order of the source.

    ``dues`` has when the next request is due, ``rates`` the total rate of the usable sources.
    """

    sources: dict[int, Outlook] = field(default_factory=dict)
    dues: dict[int, float | None] = field(default_factory=dict)
    rates: float | None = None

    def found_rates(self, rates: float) -> None:
        """Keep the total rate."""
        self.rates = rates
