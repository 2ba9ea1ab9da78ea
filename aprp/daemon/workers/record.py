"""What the supervisor knows of each worker, and the plan that workers are configured by."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IDelayedCall

from aprp.core.values import dataclass
from aprp.daemon.workers.messages import Configuration, Requests


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """The configuration of each worker, and the descriptors of the sockets that all share."""

    configurations: tuple[Configuration, ...]
    descriptors: tuple[int, ...]


@dataclass(slots=True)
class WorkerRecord:
    """One worker, or its replacements in turn. `number` counts from 0."""

    number: int
    requests: Requests
    pid: int = 0
    process: Any = None
    began: float = 0.0
    pause: float = 0.0
    serving: bool = False
    plan: WorkerPlan | None = None
    restart: IDelayedCall | None = None

    @property
    def state(self) -> str:
        """`waiting` (for its next process), `starting` or `serving`."""
        if self.serving:
            return "serving"
        return "starting" if self.pid else "waiting"

    def described(self, now: float) -> dict[str, Any]:
        """Return what is listed of it: number from 1, pid, state, and age in seconds."""
        return {
            "number": self.number + 1,
            "pid": self.pid or None,
            "serving": self.serving,
            "state": self.state,
            "seconds": round(now - self.began, 1) if self.pid else None,
        }
