"""A worker: the daemon without ports of its own, as its parent configures it.

It ends when the parent says so or is gone. Signals to stop or to reload, which a terminal or a
service manager may send to all processes at once, are for the parent alone.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IFileDescriptorReceiver
from twisted.internet.protocol import Factory
from twisted.logger import Logger, globalLogBeginner
from twisted.python.failure import Failure
from zope.interface import implementer

from aprp.config import Loaded, Settings
from aprp.core.sharing.findings import Findings
from aprp.daemon.cache_commands import LEARN, learn
from aprp.daemon.caching import store_of
from aprp.daemon.daemon import Daemon
from aprp.daemon.listening import CannotServe
from aprp.daemon.log_opener import LogOpener
from aprp.daemon.reload import OWN_FAULT
from aprp.daemon.workers.common import Common
from aprp.daemon.workers.memory import SharedMemory
from aprp.daemon.workers.messages import DESCRIPTOR, Configuration, Lines
from aprp.daemon.workers.slots import SharedSlots
from aprp.daemon.workers.sockets import PassedSockets
from aprp.upstream.transfer.shared import SharedResources
from aprp.web.admin.actions import CannotDo
from aprp.web.admin.snapshot import Snapshots
from aprp.web.admin.status import status_of

if TYPE_CHECKING:
    from aprp.cache.peers import Peers


class WorkerDaemon(Daemon):
    """The daemon in a worker. `bound` are the ports of the daemon as a whole."""

    stop_signals: ClassVar[tuple[int, ...]] = ()
    bound: tuple[tuple[str, int], ...] = ()
    _common: Common

    def __init__(self, settings: Settings, common: Common, *args: Any, **kwargs: Any) -> None:
        self._common = self.others = common
        self.leads = common.number == 0
        super().__init__(settings, *args, **kwargs)

    def _share(self, memory: int) -> SharedResources:
        slots = SharedSlots(
            self._common,
            self._reactor,
            self._agent.close_idle_at,
            lambda: self._shared.others_changed(),
        )
        self._common.answer(self._reactor, slots.rung)
        pool = SharedMemory(self._common)
        self.resident = pool.resident
        shared = SharedResources(self._agent, self._reactor, memory, ledger=slots, pool=pool)
        self._findings = Findings(shared.ratings, shared.in_service, self.leads)
        return shared

    def _peers(self) -> Peers:
        from aprp.daemon.workers.fetches import SharedFetches  # only with a cache

        return SharedFetches(self._common, self._reactor)

    def _exchange(self, told: str) -> Any:
        """Hear what the others found, and return what is new here."""
        if self._findings.hear(json.loads(told)):
            self._shared.service_changed()
        return self._findings.news()

    def listening(self) -> list[tuple[str, int]]:
        """Addresses and ports that requests must not lead back to."""
        return list(self.bound)

    def _take_hang_up(self) -> None:
        """Leave that signal to the parent."""

    def answers(self) -> dict[str, Any]:
        """Return what the parent may ask for, by name."""
        overview, snapshots = self.overview, Snapshots(self.overview)
        return self._commands().handlers() | {
            "admin-status": lambda: status_of(overview),
            "page": lambda: json.loads(snapshots.make()),
            "metrics": self._samples,
            "bandwidth": lambda parts: self._bandwidths.share(json.loads(parts)),
            "cut": self.cut,
            "findings": self._exchange,
            "log-reopen": self.reopen_logs,
            LEARN: lambda: learn(store_of(self._cache)),
        }

    def _samples(self) -> list[Any]:
        """Return every metric family: name, help, type, and samples with labels and values."""
        return [
            [
                family.name,
                family.documentation,
                family.type,
                [[each.name, each.labels, each.value] for each in family.samples],
            ]
            for family in self._metrics.registry.collect()
        ]


@implementer(IFileDescriptorReceiver)
class Worker(Lines):
    """The worker's end; requests are carried out one after the other."""

    _log = Logger()

    def __init__(self, reactor: Any, common: Common) -> None:
        self._reactor = reactor
        self._common = common
        self._sockets = PassedSockets(reactor)
        self._descriptors: list[int] = []
        self._daemon: WorkerDaemon | None = None
        self._answers: dict[str, Any] = {"configure": self._configure, "stop": self._stop}
        self._stopping = False
        self._last: Deferred[None] = Deferred()
        self._last.callback(None)

    def fileDescriptorReceived(self, descriptor: int) -> None:
        self._descriptors.append(descriptor)

    def lineReceived(self, line: bytes) -> None:
        self._last.addCallback(lambda _: Deferred.fromCoroutine(self._answer(json.loads(line))))

    def connectionLost(self, reason: Failure | None = None) -> None:
        self._stop()

    async def _answer(self, request: dict[str, Any]) -> None:
        answer: dict[str, Any] = {"id": request["id"]}
        try:
            result = self._answers[request["command"]](*request["arguments"])
            if isinstance(result, Awaitable):
                result = await result
            answer |= {"ok": True, "result": result}
        except (CannotDo, CannotServe) as error:
            answer |= {"ok": False, "error": str(error)}
        except Exception:
            self._log.failure("internal error in a command of the parent")
            answer |= {"ok": False, "error": OWN_FAULT}
        self.send(answer)

    async def _configure(self, packed: str) -> None:
        """Serve by these settings from now on; raises `CannotServe` where that can't be done."""
        configuration = Configuration.unpacked(packed)
        settings = configuration.settings
        descriptors, self._descriptors = self._descriptors, []
        self._sockets.offer(settings.listen, descriptors, configuration.families)
        listened = () if self._daemon is None else self._daemon.settings.listen
        try:
            if self._daemon is None:
                self._daemon = self._started(configuration)
            else:
                await self._daemon.change(Loaded(Path(), settings, ()))
                self._daemon.bound = configuration.bound
            listened = settings.listen
        finally:
            self._sockets.settle(listened)

    def _started(self, configuration: Configuration) -> WorkerDaemon:
        reactor = self._reactor
        daemon = WorkerDaemon(
            configuration.settings,
            self._common,
            reactor,
            LogOpener({}),
            sockets=self._sockets,
            place=configuration.place,
        )
        daemon.bound = configuration.bound
        globalLogBeginner.beginLoggingTo([daemon.log_observer], redirectStandardIO=False)
        daemon.privilegedStartService()
        daemon.startService()
        reactor.addSystemEventTrigger("before", "shutdown", daemon.stopService)
        self._answers |= daemon.answers()
        return daemon

    def _stop(self) -> None:
        if self._reactor.running and not self._stopping:
            self._stopping = True
            self._reactor.stop()


def main(number: int, count: int) -> None:
    """Run worker `number` of `count`, until the parent says to stop or is gone."""
    from twisted.internet import reactor as installed

    reactor: Any = installed
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    os.set_blocking(DESCRIPTOR, False)
    common = Common.inherited(number, count)
    factory = Factory.forProtocol(lambda: Worker(reactor, common))
    reactor.adoptStreamConnection(DESCRIPTOR, socket.AF_UNIX, factory)
    os.close(DESCRIPTOR)
    reactor.run(installSignalHandlers=False)
