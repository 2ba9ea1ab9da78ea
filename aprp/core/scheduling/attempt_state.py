"""The state of one attempt."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class AttemptState:
    """One fetch of ``[start, stop)``; ``wire_stop`` is the end of the range that was requested.

    ``at`` is the next byte to come, ``since`` when it was requested, ``began`` when its head came,
    ``heard_at`` when anything of it arrived last. One that ``took_over`` relieves another attempt.
    A ``doubted`` one has been silent for too long: its bytes may be requested from other sources,
    and are kept if they arrive after all. Those of the same ``connection`` share its rate; one with
    None has its own.
    """

    number: int
    source: str
    start: int
    stop: int
    wire_stop: int
    at: int
    since: float
    heard_at: float
    warm: bool
    took_over: bool = False
    began: float | None = None
    doubted: bool = False
    connection: object | None = None

    @property
    def left(self) -> int:
        """The number of bytes that it has still to fetch."""
        return max(0, self.stop - self.at)

    @property
    def whole(self) -> bool:
        """Whether everything that was requested has arrived."""
        return self.began is not None and self.at >= self.wire_stop

    def answered(self, stop: int, now: float, connection: object | None = None) -> None:
        """Note its response head, which promises bytes up to ``stop``, and its connection."""
        self.began = self.heard_at = now
        self.wire_stop = stop
        self.connection = connection

    def heard(self, now: float) -> None:
        """Record that bytes of it arrived."""
        self.heard_at = now
