"""The daemon: listening ports, the admin port and the logs around the proxy, as one service.

SIGHUP reloads the configuration and reopens the log files (`aprp.daemon.reload`). To stop, the
daemon closes the ports for clients, cuts clients that are still being served when `stop_timeout`
is over or at a second signal, and closes the admin port and the connections to sources last.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from aprp.config import DataPlane, Fault, Loaded, Settings
from aprp.core.limits import Others
from aprp.daemon.all_ports import ADVICE, AllPorts
from aprp.daemon.cache_commands import CacheCommands
from aprp.daemon.caching import ALONE, Place, change_cache, open_cache, store_of
from aprp.daemon.commands import Commands
from aprp.daemon.listening import CannotServe
from aprp.daemon.log_opener import LogOpener
from aprp.daemon.notify import notify
from aprp.daemon.prefetching import Begun, own_address, prefetch
from aprp.daemon.process import STOP_MARGIN, Process, count_of
from aprp.daemon.reload import Reloader
from aprp.daemon.signals import StopSignals
from aprp.upstream.health_checks import Check, HealthChecks, checks_of
from aprp.upstream.http.agent import Agent
from aprp.upstream.transfer.route_options import names_of
from aprp.upstream.transfer.shared import SharedResources
from aprp.web.access_log import AccessLog
from aprp.web.access_record import AccessRecord
from aprp.web.admin.actions import CannotDo
from aprp.web.admin.metrics import Metrics
from aprp.web.admin.overview import Health, Overview
from aprp.web.admin.reloads import ReloadOutcome
from aprp.web.admin.site import admin_tree
from aprp.web.bandwidth import Bandwidths
from aprp.web.memory_watch import keep_freed, resident
from aprp.web.site import make_site, make_tree
from aprp.web.tallies import Tallies

if TYPE_CHECKING:
    from aprp.cache.peers import Peers


class Daemon(Process):
    """The whole daemon for these settings. Creating and starting it raise `CannotServe`.

    `logs` opens the logs of the settings. `path` is the file that a reload reads, or None.
    `advice` is logged if a port can't be opened, `warnings` once the daemon serves. `sockets`
    opens the ports for clients, if that isn't the reactor. `place` is its place among workers.
    """

    _log = Logger()
    stop_signals: ClassVar[tuple[int, ...]] = (signal.SIGTERM, signal.SIGINT)
    """The signals that stop the daemon."""
    others: Others | None = None
    """The processes that share the limits of clients."""
    leads = True
    """Whether this process checks the health of sources, and tells what all processes notice."""
    resident: Callable[[], int] = staticmethod(resident)
    """Measures the memory that `limits.memory` is about."""

    def __init__(
        self,
        settings: Settings,
        reactor: Any,
        logs: LogOpener,
        advice: str = ADVICE,
        warnings: tuple[Fault, ...] = (),
        path: Path | None = None,
        sockets: Any = None,
        place: Place = ALONE,
    ) -> None:
        super().__init__()
        self._settings = settings
        self._logs = logs.open(settings.log)
        self._log_opener = logs
        self._reactor = reactor
        self._warnings = warnings
        self._access = self._access_log()
        self._health = Health()
        self._tallies = Tallies()
        self._bandwidths = Bandwidths(reactor)
        self._agent = Agent(reactor)
        self._agent.pipes.enabled = settings.data_plane is DataPlane.AUTO
        self._shared = self._share(settings.memory)
        self._checks = HealthChecks(self._shared, reactor)
        budget = self._shared.budget
        self._cache = open_cache(settings.cache, reactor, place, self._peers, budget)
        self._signals: StopSignals | None = None
        self._site = site = make_site(
            settings,
            self._agent,
            self._observe,
            reactor,
            listening=self.listening,
            shared=self._shared,
            tallies=self._tallies,
            bandwidths=self._bandwidths,
            others=self.others,
            resident=self.resident,
            quiet=not self.leads,
            cache=self._cache,
        )
        self.overview = Overview(
            self._health,
            self._tallies,
            self._shared,
            lambda: site.in_flight,
            lambda: len(site.channels),
        )
        """What the admin port shows."""
        self.overview.http2_of_clients = lambda: site.http2_counts
        self._metrics = Metrics(self.overview)
        self._metrics.watch_logs(self._logs.dropped)
        self._metrics.watch_connections(self._agent)
        self._metrics.watch_clients(site.clients.refused)
        if (store := store_of(self._cache)) is not None:
            self.overview.cache = store
            self._metrics.watch_cache(store, self._tallies)
        self._reloader = Reloader(path, self, reactor, self._reloaded)
        commands = self._commands().handlers()
        self._ports = AllPorts(
            settings,
            reactor,
            site,
            admin_tree(self.overview, self._metrics, commands),
            commands,
            advice,
            sockets,
            quiet=self.others is not None,
        )
        self._ports.setServiceParent(self)
        site.accept = self._ports.clients.accept

    def _share(self, memory: int) -> SharedResources:
        """Return what all transfers share."""
        return SharedResources(self._agent, self._reactor, memory)

    def _peers(self) -> Peers | None:
        """Return the caches of the processes that share the directory."""
        return None

    def _commands(self) -> Commands:
        return Commands(
            self.overview,
            self._logs,
            lambda: self._settings,
            lambda: self.addresses,
            self._reloader.reload,
            CacheCommands(store_of(self._cache), self._prefetch),
            quiet=not self.leads,
        )

    async def _prefetch(self, url: str) -> Begun:
        where = own_address(self._settings.listen, self.listening())
        if where is None:
            raise CannotDo("no endpoint of listen: is without TLS; the daemon can't ask itself")
        return await prefetch(self._reactor, where, url)

    def _access_log(self) -> AccessLog | None:
        access = self._logs.access
        return None if access is None else AccessLog(access.write, self._settings.log.access_format)

    def listening(self) -> list[tuple[str, int]]:
        """Return the addresses and ports that the daemon listens on."""
        return self._ports.bound

    def _observe(self, record: AccessRecord) -> None:
        if self._access is not None:
            self._access(record)

    def startService(self) -> None:
        super().startService()
        keep_freed()
        self.overview.start()
        self._take_hang_up()
        self._reactor.callWhenRunning(self._serving)

    def _serving(self) -> None:
        self._signals = StopSignals(self._reactor, self.stop_signals)
        for warning in self._warnings:
            self._log.warn("{warning}", warning=str(warning))
        self._health.state = "serving"
        self._check_sources(list(checks_of(self._settings)))
        where = self.describe()
        if self.others is None:
            self._log.info("{where}", where=where)
        notify("READY=1", f"STATUS={where}")

    def _check_sources(self, checks: Collection[Check]) -> None:
        """Make these checks, and forget the sources that the settings don't have."""
        names = {name for route in self._settings.routes for name in names_of(route)}
        self._shared.in_service.keep(names, {check.key for check in checks})
        self._shared.service_changed()
        self._checks.change(checks if self.leads else ())

    def _reloaded(self, outcome: ReloadOutcome) -> None:
        self._health.reload = outcome
        self._metrics.reloaded(outcome)

    async def change(self, loaded: Loaded) -> None:
        """Use these settings from now on; if that raises `CannotServe`, nothing has changed.

        Requests in flight end under the old settings.
        """
        if self._health.state == "stopping":
            raise CannotServe("aprp is stopping")
        settings = loaded.settings
        logs = self._log_opener.open(settings.log, self._logs)
        try:
            tree = make_tree(
                settings,
                self._shared,
                self._reactor,
                self.listening,
                self._tallies,
                self._bandwidths,
                self._cache,
            )
            checks = list(checks_of(settings))
            change = await self._ports.open(settings)
        except BaseException:
            logs.close()
            self._tallies.keep(self._settings.routes)
            self._bandwidths.keep(self._settings.routes)
            raise
        self._settings = settings
        if count_of(settings) != 1:
            self._log.warn("the number of workers stays 1 until aprp is restarted")
        if (later := change_cache(self._cache, settings.cache)) is not None:
            self._log.warn("{later}", later=later)
        self._logs.adopt(logs)
        self._access = self._access_log()
        self._shared.limit_memory(settings.memory)
        self._agent.pipes.enabled = settings.data_plane is DataPlane.AUTO
        self._site.change_routes(tree)
        self._check_sources(checks)
        self._site.change_clients(settings)
        self._tallies.keep(settings.routes)
        self._bandwidths.keep(settings.routes)
        await self._ports.make(change)

    def cut(self) -> None:
        """Cut the responses in flight, as a second signal does while the daemon stops."""
        if self._signals is not None:
            self._signals.fire()

    def stopService(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        """Accept no more clients, let responses end, cut the rest, and close everything else.

        The admin port stays open to the end, and so do the mirrors of a demonstration, which
        responses are still read from.
        """
        self._health.state = "stopping"
        seconds = self._settings.stop_timeout
        notify("STOPPING=1", "STATUS=stopping")
        notify(f"EXTEND_TIMEOUT_USEC={int((seconds + STOP_MARGIN) * 1e6)}")
        await self._ports.clients.stopService()
        if seconds:
            await self._let_end(seconds)
        await self._site.cut_off()
        self._checks.stop()
        self.overview.stop()
        await super().stopService()
        if self._cache is not None:
            await self._cache.close()
        await self._agent.close()
        self._give_back_hang_up()

    async def _let_end(self, seconds: float) -> None:
        """Wait for the responses in flight; a second signal ends the wait."""
        ended = self._site.drain()
        if not ended.called:
            self._log.info(
                "stopping: responses in flight have {seconds:g} s; a second signal cuts them",
                seconds=seconds,
            )
        ended.addTimeout(seconds, self._reactor)
        if self._signals is not None:
            self._signals.again.addBoth(lambda _: ended.cancel())
        await ended
