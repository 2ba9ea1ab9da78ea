"""The daemon: listening ports, the admin port and the logs around the proxy, as one service.

What can be wrong is told before anything is served, in plain words and with exit status 1: faults
of the configuration, files that can't be opened, ports that can't be had. SIGHUP opens the log
files anew. To stop, the ports are closed first, then clients that are still being served are cut,
at once or when they have had the time that the settings give, then connections to sources end.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.application.service import IService, IServiceCollection, MultiService
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.web.server import Site

from aprp.config import ConfigFaults, Fault, Settings, find, load
from aprp.daemon.listening import CannotServe, Listener
from aprp.daemon.logging import Logs, standard_output
from aprp.daemon.notify import notify
from aprp.daemon.options import Options
from aprp.demo.files import CLIP, demo_files
from aprp.demo.origins import Mirrors
from aprp.demo.settings import RATES, demo_settings
from aprp.upstream.http.agent import Agent
from aprp.upstream.transfer.shared import SharedResources
from aprp.web.access_log import AccessLog
from aprp.web.access_record import AccessRecord
from aprp.web.admin.metrics import Metrics
from aprp.web.admin.site import Health, admin_site
from aprp.web.site import make_site

__all__ = ["Daemon", "Options", "makeService"]

_NO_TWISTD: Mapping[str, Any] = {}
BESIDES = 10.0
"""Seconds that stopping may take beside the time that answers have."""
OTHER_PORT = "end what holds the port, or choose another with --port"


class Daemon(MultiService):
    """All of aprp for these settings. Making it and starting it raise `CannotServe`.

    `advice` is said where a port can't be had. Warnings are logged once it serves.
    """

    _log = Logger()

    def __init__(
        self,
        settings: Settings,
        reactor: Any,
        logs: Logs,
        advice: str = "end what holds the port, or name another in the configuration",
        warnings: tuple[Fault, ...] = (),
    ) -> None:
        super().__init__()
        self._settings = settings
        self._logs = logs
        self._reactor = reactor
        self._warnings = warnings
        self._access: AccessLog | None = None
        if logs.access is not None:
            self._access = AccessLog(logs.access.write, settings.log.access_format)
        self._health = Health()
        self._metrics = Metrics()
        self._agent = Agent(reactor)
        shared = SharedResources(self._agent, reactor, settings.memory)
        self._hang_up_before: Any = None
        self._site = site = make_site(
            settings, self._agent, self._observe, reactor, listening=self.listening, shared=shared
        )
        self._metrics.in_flight.set_function(lambda: len(site.in_flight))
        ports: list[tuple[str, Site]] = [(where, site) for where in settings.listen]
        if settings.admin is not None:
            ports.append((settings.admin, admin_site(self._health, self._metrics, shared)))
        self._listeners = [Listener(*port, reactor, advice) for port in ports]
        for listener in self._listeners:
            listener.setServiceParent(self)

    @property
    def addresses(self) -> list[str]:
        """Where it listens, for clients and for its admin: host and port, or an endpoint string."""
        return [listener.address for listener in self._listeners]

    def listening(self) -> list[tuple[str, int]]:
        """Addresses and ports that are its own."""
        return [listener.bound for listener in self._listeners if listener.bound is not None]

    def _observe(self, record: AccessRecord) -> None:
        self._metrics.observe(record)
        if self._access is not None:
            self._access(record)

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

    def startService(self) -> None:
        super().startService()
        self._hang_up_before = signal.signal(signal.SIGHUP, self._hang_up)
        self._reactor.callWhenRunning(self._serving)

    def _serving(self) -> None:
        for warning in self._warnings:
            self._log.warn("{warning}", warning=str(warning))
        self._health.state = "serving"
        count = len(self._settings.listen)
        where = "serving on " + ", ".join(self.addresses[:count])
        where += "".join(f"; admin on {address}" for address in self.addresses[count:])
        self._log.info("{where}", where=where)
        notify("READY=1", f"STATUS={where}")

    def _hang_up(self, *_: object) -> None:
        self._reactor.callFromThread(self._reopen)

    def _reopen(self) -> None:
        self._logs.reopen()
        self._log.info("log files opened anew")

    def stopService(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._health.state = "stopping"
        notify("STOPPING=1", "STATUS=stopping")
        await super().stopService()
        if self._settings.stop_timeout:
            await self._let_end(self._settings.stop_timeout)
        for request in tuple(self._site.in_flight):
            request.cut()
        await self._agent.close()
        if self._hang_up_before is not None:
            signal.signal(signal.SIGHUP, self._hang_up_before)

    async def _let_end(self, seconds: float) -> None:
        """Wait for the answers that were begun; a second signal says to wait no longer."""
        ended = self._site.come_to_an_end()
        ended.addTimeout(seconds, self._reactor)

        def enough(*_: object) -> None:
            self._reactor.callFromThread(ended.cancel)

        before = [(each, signal.signal(each, enough)) for each in (signal.SIGTERM, signal.SIGINT)]
        notify(f"EXTEND_TIMEOUT_USEC={int((seconds + BESIDES) * 1e6)}")
        try:
            await ended
        finally:
            for each, handler in before:
                signal.signal(each, handler)


def _already_told(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """An excepthook: what the daemon ends with has been said, and needs no traceback."""
    if not isinstance(error, CannotServe):
        sys.__excepthook__(kind, error, trace)


def makeService(options: Options) -> IService:
    """The daemon as the command line has it; ends the process where it can't be made."""
    from twisted.internet import reactor

    twistd: Mapping[str, Any] = options.parent or {}
    try:
        if options["demo"]:
            return make_demo(reactor, options["port"], twistd, bool(options["demo-fault"]))
        if options.quick is not None:
            return Daemon(options.quick, reactor, _open(options.quick, twistd), OTHER_PORT)
        loaded = load(options["config"] or find())
        logs = _open(loaded.settings, twistd)
        return Daemon(loaded.settings, reactor, logs, warnings=loaded.warnings)
    except ConfigFaults as faults:
        sys.exit(str(faults))
    except CannotServe as error:
        sys.exit(f"aprp: {error}")


def make_demo(
    reactor: Any, port: int, twistd: Mapping[str, Any] = _NO_TWISTD, fault: bool = False
) -> Daemon:
    """Embedded mirrors of a clip and the proxy in front, at `port` of loopback.

    With `fault`, the fastest mirror dies when half of the clip was sent.
    """
    files, out = demo_files(), standard_output()
    half = len(files[CLIP].content) // 2

    def told() -> None:
        out.write(b"The fastest mirror has died; the film goes on.\n")

    mirrors = Mirrors(files, RATES, reactor, half if fault else None, told)
    settings = demo_settings(mirrors.urls, port)
    daemon = Daemon(settings, reactor, _open(settings, twistd), OTHER_PORT)
    mirrors.setServiceParent(daemon)

    def invite() -> None:
        where = daemon.addresses[0]
        out.write(f"Open http://{where}/ in a browser (Control-C ends the demo)\n".encode())

    reactor.callWhenRunning(invite)
    return daemon


def _open(settings: Settings, twistd: Mapping[str, Any]) -> Logs:
    """The logs, as the settings and twistd's own options have them.

    In the background there is no standard error: as with twistd, it is twistd.log then.
    """
    log = settings.log
    if log.file is None and twistd and not twistd["nodaemon"]:
        log = log.model_copy(update={"file": Path("twistd.log")})
    try:
        return Logs(log)
    except OSError as error:
        raise CannotServe(f"can't open the log {error.filename}: {error.strerror}") from None
