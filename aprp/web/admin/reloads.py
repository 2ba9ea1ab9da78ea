"""The outcome of the last reload, for the admin port."""

from __future__ import annotations

from typing import Any

from aprp.core.values import dataclass
from aprp.web.admin.times import rfc3339


@dataclass(frozen=True, slots=True)
class ReloadOutcome:
    """A reload at a time (Unix seconds): done, or refused with the reasons, a line each."""

    at: float
    ok: bool
    message: str

    def json(self) -> dict[str, Any]:
        """The same as a member of ``/status``."""
        return {"at": rfc3339(self.at), "ok": self.ok, "message": self.message}
