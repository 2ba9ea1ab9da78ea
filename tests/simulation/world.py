"""One world: the real daemon and the library on a simulated network, run to its end and judged.

The daemon is `aprp.daemon.daemon.Daemon` as it is, from its settings down. Only its reactor, its
clock, its log files and its process are simulated.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from zope.interface import implementer

from aprp.daemon.daemon import Daemon
from aprp.daemon.process import STOP_MARGIN
from aprp.library.open_transfer import open_transfer
from tests.simulation import listings
from tests.simulation.clients import Asked, HttpClient, text_of
from tests.simulation.clock import Livelock, SimulatedClock
from tests.simulation.disks import SimulatedDisk, simulated
from tests.simulation.http2_client import Http2Client
from tests.simulation.listings import ListingServer
from tests.simulation.machine import machine
from tests.simulation.network import Address, Link, Network
from tests.simulation.operator import FILE, Operator
from tests.simulation.oracle import Oracle
from tests.simulation.origins import PORT, SimulatedOrigin, address_of, host_of
from tests.simulation.programs import LibraryClient
from tests.simulation.progress import watched_progress
from tests.simulation.reactor import SimulatedReactor
from tests.simulation.scenario import EPOCH, Ask, Scenario
from tests.simulation.settings import BALANCED, HOST, NAME, OCCUPIED, settings_of, transfer_settings
from tests.simulation.uploads import ASK, uploaded

HORIZON = 20_000.0
"""Seconds after which a world whose clients aren't done is stuck."""
QUIET = 140.0
"""Seconds after the last client in which every timer runs out."""
MOST_STEPS = 300_000
MOST_HELD = 2 << 20
"""Bytes that may wait for one client in the transport of the daemon."""
LOOK = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a world. `trace` tells whether two runs were the same."""

    wrong: tuple[str, ...]
    seconds: float
    """Simulated."""
    steps: int
    trace: str
    answers: tuple[str, ...]

    @property
    def kinds(self) -> frozenset[str]:
        """The failures without what differs from seed to seed."""
        return frozenset(_kind(each) for each in self.wrong)


def _kind(text: str) -> str:
    return "".join("" if each.isdigit() else each for each in text.partition(" (")[0])[:40]


class _NoLogs:
    """The daemon's log files, of which there are none."""

    access = None
    observer = None
    on_standard_error = True

    def open(self, *_: object) -> _NoLogs:
        return self

    def adopt(self, logs: object) -> None:
        """Nothing to do."""

    def reopen(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""

    def dropped(self) -> dict[str, int]:
        return {}


class _Daemon(Daemon):
    """The daemon, whose memory is as the world says."""

    def __init__(self, resident: Callable[[], int], *args: Any, **kwargs: Any) -> None:
        self.resident = resident
        super().__init__(*args, **kwargs)


class World:
    def __init__(self, scenario: Scenario, disk: SimulatedDisk | None = None) -> None:
        self.scenario = scenario
        self.disk = disk or SimulatedDisk(scenario)
        self.clock = SimulatedClock(EPOCH)
        self.network = Network(self.clock)
        self.network.link_to = self._link_to
        self.reactor = SimulatedReactor(self.network, HOST)
        self.reactor.nameResolver.answer = self.addresses
        self.origins = [
            SimulatedOrigin(scenario, index, self.clock) for index in range(len(scenario.origins))
        ]
        self._by_address = {address_of(each.index): each for each in self.origins}
        self._by_address[listings.ADDRESS] = listing = ListingServer(scenario, self.clock)
        self.network.listen((listings.ADDRESS, PORT), listing.accept)
        for origin in self.origins:
            self.network.listen((address_of(origin.index), PORT), origin.accept)
        self.asked: list[Asked] = []
        self.wrong: list[str] = []
        self.stopped: float | None = None
        self._ended = False
        self.operator = Operator(scenario, self.clock, self.wrong)
        self.daemon: Any = None
        self.clients: list[HttpClient | LibraryClient] = []
        self._left = 0

    def begin(self) -> None:
        """Start the daemon, and have the clients come when they do."""
        scenario = self.scenario
        logs: Any = _NoLogs()
        self.network.listen((HOST, OCCUPIED), lambda end: end.close())
        settings = settings_of(scenario)
        self.daemon = _Daemon(self._resident, settings, self.reactor, logs, path=FILE)
        self.operator.begin(self.daemon, lambda: self.stopped is not None)
        self.daemon.privilegedStartService()
        self.daemon.startService()
        self.clients += [self._client(number) for number in range(len(scenario.clients))]
        self._left = len(self.clients)
        if scenario.stop_at is not None:
            self.clock.callLater(scenario.stop_at, self._stop)
        self.clock.callLater(LOOK, self._look)

    # What the world is made of

    def _link_to(self, where: Address, source: str) -> Link | str | None:
        origin = self._by_address.get(where[0])
        if origin is None:
            return Link(latency=0.0001, rate=1e9)
        fault = origin.way()
        if fault is not None:
            return "lost" if fault.kind == "lost" else None
        return origin.spec.link

    def addresses(self, name: str) -> tuple[tuple[str, ...], float | None]:
        if name == NAME:
            return (HOST,), 0.001
        if name == listings.HOST:
            return (listings.ADDRESS,), 0.001
        for index in range(len(self.origins)):
            if name == host_of(index):
                for told in self.scenario.names:
                    if told.origin == index:
                        found = (address_of(index),) if told.found else ()
                        return found, None if told.delay < 0 else told.delay
                return (address_of(index),), 0.002
        return (), 0.01

    def _client(self, number: int) -> HttpClient | LibraryClient:
        spec = self.scenario.clients[number]
        if spec.kind == "library":
            return LibraryClient(number, spec, self.clock, self._open, self._told)
        where = (HOST, BALANCED if spec.proxy else PORT)
        kind = Http2Client if spec.http2 else HttpClient
        return kind(number, spec, self.network, where, self._write, self._told)

    def _resident(self) -> int:
        """Return the memory of the process."""
        now = self.clock.rightNow - EPOCH
        short = any(each.since <= now < each.until for each in self.scenario.shortages)
        return 1 << 40 if short else 100 << 20

    def _open(self, ask: Ask) -> Any:
        route = self.scenario.routes[ask.route]
        urls = [f"http://{host_of(index)}/f{ask.file}" for index in route.origins]
        first, _, last = ask.range.removeprefix("bytes=").partition("-")
        return open_transfer(
            urls,
            start=int(first or 0),
            stop=int(last) + 1 if last else None,
            reactor=self.reactor,
            **transfer_settings(route),
        )

    def _write(self, asked: Asked) -> bytes:
        """A request as it goes out."""
        ask, route = asked.ask, self.scenario.routes[asked.ask.route]
        target = f"/r{ask.route}/f{ask.file}{ask.in_path}"
        if route.kind == "query":
            urls = ",".join(f"http://{host_of(each)}/f{ask.file}" for each in route.origins)
            target = f"/r{ask.route}?host={urls}"
        lines = [f"{asked.answer.method} {target} HTTP/1.{ask.minor}", "Host: proxy.sim"]
        if ask.range:
            lines.append(f"Range: {ask.range}")
            if asked.if_range:
                lines.append(f"If-Range: {asked.if_range}")
        body = b""
        if ask.upload >= 0:
            body = uploaded(ask.upload)
            lines += [f"Content-Length: {ask.upload}", f"{ASK}: {asked.client}-{asked.number}"]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + body

    def _told(self, asked: Asked) -> None:
        asked.after_stop = self._ended
        self.asked.append(asked)

    # The run

    def run(self) -> Outcome:
        """Let everything happen, and judge it."""
        with _watched_log(self.wrong), watched_progress(self.clock):
            try:
                self.clock.run(EPOCH + HORIZON, MOST_STEPS, self._all_done)
                if not all(client.done for client in self.clients):
                    self.wrong.append("a client isn't done after all that time")
                self.clock.run(self.clock.rightNow + QUIET, MOST_STEPS)
                if not self._ended:
                    self._nothing_left()
                    self._stop()
                    self.clock.run(self.clock.rightNow + QUIET, MOST_STEPS, self._is_gone)
                if not self._ended:
                    self.wrong.append("the daemon doesn't stop")
                self._nothing_at_all()
            except Livelock as livelock:
                self.wrong.append(f"livelock: {livelock}")
            finally:
                self._clean_up()
                gc.collect()  # an unhandled error in a Deferred is logged when it is collected
        oracle = Oracle(self.operator.eras, self.origins, self.clients)
        self.wrong += oracle.judge(self.asked, self.stopped)
        self.wrong += self.operator.judge(self.origins)
        answers = tuple(text_of(asked) for asked in self.asked)
        trace = hashlib.sha256("\n".join([*answers, *self.wrong]).encode())
        trace.update(str(self.clock.steps).encode())
        return Outcome(
            tuple(self.wrong),
            self.clock.rightNow - EPOCH,
            self.clock.steps,
            trace.hexdigest()[:16],
            answers,
        )

    def _all_done(self) -> bool:
        if self._left and self.clients[self._left - 1].done:
            self._left -= 1
        return not self._left

    def _is_gone(self) -> bool:
        return self._ended

    def _stop(self) -> None:
        """SIGTERM: the service is stopped, then the reactor, then the process is gone."""
        if self.stopped is None:
            self.stopped = self.clock.rightNow
            stopping: Deferred[Any] = self.daemon.stopService()
            if self.scenario.cut_after is not None:
                self.clock.callLater(self.scenario.cut_after, self._signal_again)
            stopping.addCallbacks(self._exit, self._cannot_stop)

    def _signal_again(self) -> None:
        if not self._ended:
            self.daemon.cut()

    def _cannot_stop(self, failure: Any) -> None:
        self.wrong.append(f"stopping fails: {failure.value!r}")
        self._exit(None)

    def _exit(self, _: object) -> None:
        for callable, args, kw in self.reactor.triggers("before shutdown"):
            callable(*args, **kw)
        self.reactor.disconnect_all()
        self.clock.callLater(0, self._gone)

    def _gone(self) -> None:
        self._ended = True
        assert self.stopped is not None
        took = self.clock.rightNow - self.stopped
        if took > self.scenario.drain_seconds + STOP_MARGIN:
            self.wrong.append(f"stopping takes {took:.0f} s")
        self.reactor.end_process()

    def _clean_up(self) -> None:
        """A world that failed leaves nothing to the next one."""
        if not self._ended and self.stopped is None:
            with contextlib.suppress(Exception):
                self._stop()

    # What may not be

    def _look(self) -> None:
        """Now and then, at what must be bounded at all times."""
        shared, wrong = self._shared, self.wrong
        most = max(era.scenario.memory for era in self.operator.eras)
        if shared is not None and shared.held > most + (1 << 20):
            wrong.append(f"{shared.held} bytes are held")
        for descriptor in self.reactor.selectables():
            waiting = len(getattr(descriptor, "dataBuffer", b""))
            waiting += getattr(descriptor, "_tempDataLen", 0)
            if waiting > MOST_HELD:
                wrong.append(f"{waiting} bytes wait in one transport")
        if self.disk.used > self.scenario.disk.size:
            wrong.append(f"the cache has {self.disk.used} bytes on disk")
        if self.reactor.starved:
            wrong.append("descriptors ran out")
        elif not wrong and not self._all_done():
            self.clock.callLater(LOOK, self._look)

    @property
    def _shared(self) -> Any:
        route = next((each for each in self._site._tree._routes if hasattr(each, "_shared")), None)
        return None if route is None else route._shared

    @property
    def _site(self) -> Any:
        return self.daemon._site

    def _nothing_left(self) -> None:
        """No client is there any more, and everything that waits has run out."""
        checked = len(self.daemon._checks._running)  # each may have a connection
        sources = self.daemon._agent.connections
        others = len(self.reactor.descriptors) - len(self.daemon._ports.clients.listeners) - sources
        left = {
            "requests in flight": len(self._site.in_flight),
            "channels": len(self._site.channels),
            "descriptors": others,
            "connections to sources": max(0, sources - checked),
            "open data files": max(0, len(self.disk.open_files) - 1),
        }
        if self._shared is not None:
            left["transfers"] = self._shared.transfers
            left["bytes held"] = self._shared.held
            left["slots"] = sum(self._shared.connections.values())
        self.wrong += [f"left behind: {count} {name}" for name, count in left.items() if count]
        if self.reactor.starved and "descriptors ran out" not in self.wrong:
            self.wrong.append("descriptors ran out")

    def _nothing_at_all(self) -> None:
        """The daemon is gone."""
        for call in self.clock.getDelayedCalls():
            function = getattr(call, "func", None)
            owner = getattr(function, "__self__", None)
            module = type(owner).__module__ if owner is not None else function.__module__
            if module.startswith(("aprp", "twisted")):
                self.wrong.append(f"left behind: a timer of {module}")
                return


@contextlib.contextmanager
def _watched_log(wrong: list[str]) -> Iterator[None]:
    """A traceback in the log is a failure."""

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        if event["log_level"] is LogLevel.critical or "log_failure" in event:
            failure = event.get("log_failure")
            wrong.append(f"in the log: {failure.value!r}" if failure else "in the log: a fault")

    globalLogPublisher.addObserver(observe)
    try:
        yield
    finally:
        globalLogPublisher.removeObserver(observe)


@contextlib.contextmanager
def _in(world: World) -> Iterator[None]:
    """Have all that a daemon uses be of this world."""
    descriptors = world.reactor.descriptors
    with (
        machine(world.clock, world.addresses, world.operator.load, descriptors),
        simulated(world.disk, world.clock, descriptors),
    ):
        yield


def run(scenario: Scenario) -> Outcome:
    """The outcome of a scenario: always the same for the same one."""
    gc.freeze()  # what was there before needn't be looked through
    try:
        disk = SimulatedDisk(scenario)
        crash = scenario.disk.killed or scenario.disk.unpowered
        if crash:
            earlier = World(scenario, disk)
            with _in(earlier):
                earlier.begin()
                earlier.clock.run(EPOCH + crash, MOST_STEPS)
            disk.crash(power=bool(scenario.disk.unpowered))
        world = World(scenario, disk)
        with _in(world):
            world.begin()
            return world.run()
    finally:
        gc.unfreeze()
