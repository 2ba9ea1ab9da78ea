"""The parent of several workers: it opens the ports, and serves no client itself.

It owns what exists once: the sockets, the log files, the admin port, the control socket, the
signals and the connection to the service manager. A reload is validated here first; if one worker
can't carry it out, it is undone in all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory

from aprp.config import Loaded, Settings
from aprp.daemon.all_ports import AllPorts
from aprp.daemon.caching import Place
from aprp.daemon.listening import CannotServe, Listener
from aprp.daemon.log_opener import LogOpener
from aprp.daemon.notify import notify
from aprp.daemon.process import STOP_MARGIN, Process, count_of
from aprp.daemon.reload import Reloader
from aprp.daemon.signals import StopSignals
from aprp.daemon.workers.bandwidths import SharedBandwidths
from aprp.daemon.workers.fleet import Fleet
from aprp.daemon.workers.messages import Configuration
from aprp.daemon.workers.record import WorkerPlan
from aprp.daemon.workers.shares import settings_of
from aprp.daemon.workers.sockets import SharedSockets
from aprp.daemon.workers.supervisor import Supervisor
from aprp.upstream.transfer.route_options import names_of
from aprp.web.admin.overview import Health
from aprp.web.admin.reloads import ReloadOutcome

LATE = 5.0
"""Of `STOP_MARGIN`, the seconds after which workers that haven't ended are killed."""


class _Nothing(Factory):
    """A protocol factory for ports on which the parent accepts no connection."""

    noisy = False


class Parent(Process):
    """All of aprp for these settings, with `count` workers. Making and starting it raise
    `CannotServe`."""

    def __init__(self, loaded: Loaded, count: int, reactor: Any, logs: LogOpener) -> None:
        super().__init__()
        self._settings = settings = loaded.settings
        self._count = count
        self.served_by = f"; {count} workers"
        self._warnings = loaded.warnings
        self._logs = logs.open(settings.log)
        self._log_opener = logs
        self._reactor = reactor
        self._health = Health()
        self._reloader = Reloader(loaded.path, self, reactor, self._reloaded)
        self._signals: StopSignals | None = None
        self._workers = Supervisor(
            count,
            reactor,
            lambda line: self._logs.write(line),
            self._write_access,
            lambda number: self._fleet.merged.worker_ended(number),
            lambda: self._fleet.commanded(),
        )
        self._fleet = Fleet(
            self._health,
            self._workers,
            self._logs,
            lambda: self.addresses,
            self._reloader.reload,
            reactor,
        )
        self._bandwidths = SharedBandwidths(self._workers, reactor)
        tree, commands = self._fleet.tree(reactor), self._fleet.handlers()
        shared = SharedSockets(reactor)
        self._ports = AllPorts(settings, reactor, _Nothing(), tree, commands, sockets=shared)
        self._ports.setServiceParent(self)

    def _write_access(self, line: bytes) -> None:
        if self._logs.access is not None:
            self._logs.access.write(line)

    def _plan(
        self, settings: Settings, listeners: Sequence[Listener], admin: Sequence[Listener]
    ) -> WorkerPlan:
        """Return the configuration of the workers; raise `CannotServe`."""
        sockets = []
        for listener in listeners:
            if listener.socket is None:
                raise CannotServe(f"can't share {listener.where} among workers; use tcp: or tls:")
            sockets.append(listener.socket)
        ports = (*listeners, *admin)
        bound = tuple(each.bound for each in ports if each.bound is not None)
        families = tuple(family for _, family in sockets)
        return WorkerPlan(
            tuple(
                Configuration(
                    settings_of(settings, number, self._count),
                    families,
                    bound,
                    Place(number, self._count),
                )
                for number in range(self._count)
            ),
            tuple(descriptor for descriptor, _ in sockets),
        )

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        self._ports.clients.accept(False)

    def startService(self) -> None:
        super().startService()
        self._ports.clients.accept(False)
        self._take_hang_up()
        self._reactor.callWhenRunning(self._begin)

    def _begin(self) -> None:
        self._signals = StopSignals(self._reactor)
        for warning in self._warnings:
            self._log.warn("{warning}", warning=str(warning))
        try:
            ports = self._ports
            plan = self._plan(self._settings, ports.clients.listeners, ports.admin.listeners)
        except CannotServe as error:
            self._log.critical("{reason}", reason=str(error))
            self._reactor.stop()
            return
        self._workers.start(plan).addCallback(lambda _: self._serving())

    def _serving(self) -> None:
        if self._health.state != "starting":
            return
        self._health.state = "serving"
        self._bandwidths.change(self._settings.routes)
        self._fleet.findings.start()
        where = self.describe()
        self._log.info("{where}", where=where)
        notify("READY=1", f"STATUS={where}")

    def _reloaded(self, outcome: ReloadOutcome) -> None:
        self._fleet.reloaded(outcome)

    def reopen_logs(self) -> None:
        """Reopen the log files; the workers have none of their own."""
        self._logs.reopen()

    async def change(self, loaded: Loaded) -> None:
        """Have all workers run by these settings; raises `CannotServe`, and nothing has changed."""
        if self._health.state != "serving":
            raise CannotServe(f"aprp is {self._health.state}")
        settings = loaded.settings
        logs = self._log_opener.open(settings.log, self._logs)
        try:
            change = await self._ports.open(settings)
        except BaseException:
            logs.close()
            raise
        try:
            for listener in change.opened_for_clients:
                listener.accept(False)
            await self._workers.change(self._plan(settings, change.for_clients, change.for_admin))
        except BaseException:
            await self._ports.undo(change)
            logs.close()
            raise
        self._adopt(settings)
        self._logs.adopt(logs)
        await self._ports.make(change)
        self._ports.clients.accept(False)

    def _adopt(self, settings: Settings) -> None:
        self._settings = settings
        self._bandwidths.change(settings.routes)
        self._fleet.drained &= {name for route in settings.routes for name in names_of(route)}
        if count_of(settings) != self._count:
            self._log.warn(
                "the number of workers stays {count} until aprp is restarted", count=self._count
            )

    def stopService(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        """Accept no more clients, let the workers drain; the admin port tells to the end."""
        self._health.state = "stopping"
        seconds = self._settings.stop_timeout
        notify("STOPPING=1", "STATUS=stopping")
        notify(f"EXTEND_TIMEOUT_USEC={int((seconds + STOP_MARGIN) * 1e6)}")
        if self._signals is not None:
            self._signals.again.addBoth(lambda _: self._workers.cut())
        await self._ports.clients.stopService()
        self._bandwidths.stop()
        self._fleet.findings.stop()
        await self._workers.stop(seconds + LATE)
        await super().stopService()
        self._give_back_hang_up()
