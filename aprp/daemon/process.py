"""The base of every process of aprp that twistd starts: its logs, SIGHUP, and where it listens.

If it can't start, it prints why, without a traceback, and exits with status 1.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from twisted.application.service import IServiceCollection, MultiService
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized

from aprp.config import Settings
from aprp.daemon.all_ports import AllPorts
from aprp.daemon.listening import CannotServe
from aprp.daemon.logging import Logs
from aprp.daemon.reload import Reloader
from aprp.web.admin.overview import Health

STOP_MARGIN = 10.0
"""Seconds that stopping may take beyond `stop_timeout`."""
OTHER_PORT = "end the program that uses the port, or choose another with --port"
"""What to do if a port that the command line names can't be opened."""


class Process(MultiService):
    """The base of the daemon, and of the parent of several workers."""

    _log = Logger()
    _settings: Settings
    _logs: Logs
    _health: Health
    _reloader: Reloader
    _ports: AllPorts
    _reactor: Any
    _hang_up_before: Any = None

    @property
    def settings(self) -> Settings:
        """The settings in use."""
        return self._settings

    @property
    def log_observer(self) -> ILogObserver:
        """Writes events to the log."""
        return self._logs.observer

    @property
    def addresses(self) -> list[str]:
        """The addresses of the ports for clients and of the admin port: host and port, or an
        endpoint string.
        """
        return self._ports.addresses

    served_by = ""
    """What serves instead of this process, for `describe`."""

    def describe(self) -> str:
        """Return where it listens, in words."""
        where = "serving on " + ", ".join(self._ports.clients.addresses) + self.served_by
        return where + "".join(f"; admin on {address}" for address in self._ports.admin.addresses)

    def setServiceParent(self, parent: IServiceCollection | Componentized) -> None:
        """Under twistd, also has the log written as the settings say."""
        if isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._logs.observer)
        super().setServiceParent(parent)

    def privilegedStartService(self) -> None:
        try:
            super().privilegedStartService()
        except CannotServe as error:
            self._log.critical("{reason}", reason=str(error))
            if not self._logs.on_standard_error:
                print(f"aprp: {error}", file=sys.__stderr__)
            sys.excepthook = _already_told
            raise

    def _take_hang_up(self) -> None:
        """Reload at SIGHUP from now on."""
        self._hang_up_before = signal.signal(signal.SIGHUP, self._hang_up)

    def _give_back_hang_up(self) -> None:
        """Restore the earlier handler of SIGHUP."""
        if self._hang_up_before is not None:
            signal.signal(signal.SIGHUP, self._hang_up_before)

    def _hang_up(self, *_: object) -> None:
        self._reactor.callFromThread(self._reload)

    def _reload(self) -> None:
        if self._health.state == "stopping":
            self.reopen_logs()
        else:
            Deferred.fromCoroutine(self._reloader.reload()).addErrback(
                lambda failure: self._log.failure("reloading", failure)
            )

    def reopen_logs(self) -> None:
        """Reopen the log files after an external rotation."""
        self._logs.reopen()


def _already_told(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """An excepthook that prints nothing for `CannotServe`, whose message was printed already."""
    if not isinstance(error, CannotServe):
        sys.__excepthook__(kind, error, trace)


def count_of(settings: Settings) -> int:
    """Return how many processes are to serve clients; for auto, one for each core."""
    if settings.workers:
        return settings.workers
    return min(len(os.sched_getaffinity(0)), 256)
