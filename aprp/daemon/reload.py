"""Reload the configuration, entirely or not at all.

The file is validated by the function that `aprp check` uses, so that both report the same. What the
check can't see (a port in use, a log file that can't be opened) is tried before anything changes.
The log files are reopened in any case, for external rotation.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import monotonic_ns, time
from typing import Any, Protocol

from twisted.internet.defer import DeferredLock
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from aprp.config import ConfigFaults, Loaded, load
from aprp.daemon.listening import CannotServe
from aprp.daemon.notify import notify
from aprp.web.admin.reloads import ReloadOutcome

OWN_FAULT = "internal error; the traceback is in the log"


class Reloadable(Protocol):
    """The daemon as a reload sees it."""

    async def change(self, loaded: Loaded) -> None:
        """Apply these settings, or raise `CannotServe` and change nothing."""
        ...

    def reopen_logs(self) -> None:
        """Reopen the log files."""
        ...

    def describe(self) -> str:
        """Return where it listens."""
        ...


class Reloader:
    """Reloads a daemon from `path`; None: it was started without a file.

    One reload runs at a time. `on_outcome` is called with each outcome.
    """

    _log = Logger()

    def __init__(
        self,
        path: Path | None,
        daemon: Reloadable,
        reactor: Any,
        on_outcome: Callable[[ReloadOutcome], object],
    ) -> None:
        self._path = None if path is None else path.absolute()
        self._daemon = daemon
        self._reactor = reactor
        self._on_outcome = on_outcome
        self._lock: DeferredLock = DeferredLock()
        self._requested = 0
        self._read = 0
        self._last: ReloadOutcome | None = None

    async def reload(self) -> ReloadOutcome:
        """Load the file and apply it.

        Calls during a reload share a single reload that follows it.
        """
        self._requested += 1
        mine = self._requested
        await self._lock.acquire()
        try:
            if self._last is None or self._read < mine:
                self._read = self._requested
                self._last = await self._reload()
            return self._last
        finally:
            self._lock.release()

    async def _reload(self) -> ReloadOutcome:
        notify("RELOADING=1", f"MONOTONIC_USEC={monotonic_ns() // 1000}")
        if self._path is None:
            self._daemon.reopen_logs()
            outcome = ReloadOutcome(time(), True, "log files reopened; there is no file to reload")
        else:
            reasons = await self._refused(self._path)
            if reasons:
                self._daemon.reopen_logs()
            said = "\n".join(reasons) if reasons else f"{self._path} reloaded; log files reopened"
            outcome = ReloadOutcome(time(), not reasons, said)
        self._on_outcome(outcome)
        self._say(outcome)
        return outcome

    async def _refused(self, path: Path) -> list[str]:
        """Apply the file. Return the reasons if that is refused, or an empty list."""
        try:
            pool = self._reactor.getThreadPool()
            loaded = await deferToThreadPool(self._reactor, pool, load, path)
            await self._daemon.change(loaded)
        except ConfigFaults as faults:
            return [str(fault) for fault in faults.faults]
        except CannotServe as error:
            return [str(error)]
        except Exception:
            self._log.failure("internal error while reloading {path}", path=path)
            return [OWN_FAULT]
        for warning in loaded.warnings:
            self._log.warn("{warning}", warning=str(warning))
        return []

    def _say(self, outcome: ReloadOutcome) -> None:
        where = self._daemon.describe()
        lines = outcome.message.split("\n")
        if outcome.ok:
            self._log.info("{message}; {where}", message=outcome.message, where=where)
            notify("READY=1", f"STATUS={where}")
            return
        for line in lines:
            self._log.error("reload refused: {line}", line=line)
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        notify(
            "READY=1",
            f"STATUS=reload refused, the configuration before it stays: {lines[0]}{more}; {where}",
        )
