"""The outcome of the last reload, for the admin port."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class ReloadOutcome:
    """A reload at a time (Unix seconds): done, or refused with the reasons, a line each."""

    at: float
    ok: bool
    message: str

    def json(self) -> dict[str, Any]:
        """The same as a member of ``/status``."""
        at = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="seconds")
        return {"at": at.replace("+00:00", "Z"), "ok": self.ok, "message": self.message}
