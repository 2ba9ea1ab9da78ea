"""Open the logs at startup and on reload."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aprp.config import LogSettings
from aprp.core.values import dataclass
from aprp.daemon.listening import CannotServe
from aprp.daemon.logging import Logs


@dataclass(frozen=True, slots=True)
class LogOpener:
    """Opens logs as settings and twistd's own options have them; raises `CannotServe`.

    In the background there is no standard error: as with twistd, it is twistd.log then.
    """

    twistd: Mapping[str, Any]

    def open(self, log: LogSettings, now: Logs | None = None) -> Logs:
        """Open the logs of the settings; `now` are those in use."""
        if log.file is None and self.twistd and not self.twistd["nodaemon"]:
            log = log.model_copy(update={"file": Path("twistd.log")})
        try:
            return Logs(log) if now is None else now.opened(log)
        except OSError as error:
            raise CannotServe(f"can't open the log {error.filename}: {error.strerror}") from None
