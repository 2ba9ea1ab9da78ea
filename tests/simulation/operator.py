"""The simulated operator: reloads the daemon with good and bad files, drains and resumes sources.

What a reload must not touch is compared at the moment of the change: ratings, what the clients of
the time before are doing, kept connections; after a refused one, everything.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from aprp.config import ConfigFaults, Fault, Loaded
from aprp.config.faults import Position
from aprp.web.admin.actions import CannotDo
from tests.simulation.clock import SimulatedClock
from tests.simulation.origins import SimulatedOrigin, host_of
from tests.simulation.scenario import Operation, Scenario
from tests.simulation.settings import settings_of

FILE = Path("/simulated/aprp.yaml")
SOON = 1.0
"""Seconds in which what was under way when a source was drained may still reach it."""


@dataclass
class Era:
    """The time in which some settings are in force: from `since` until the next era is `settled`.

    Requests that come between the two may be served by either.
    """

    scenario: Scenario
    since: float
    settled: float


@dataclass
class Drained:
    """When a source was drained."""

    origin: int
    since: float
    until: float = float("inf")


class Operator:
    """Carries out the operations of a scenario on its daemon."""

    def __init__(self, scenario: Scenario, clock: SimulatedClock, wrong: list[str]) -> None:
        self.eras = [Era(scenario, 0.0, 0.0)]
        self.drained: list[Drained] = []
        self._scenario = scenario
        self._clock = clock
        self._wrong = wrong
        self._file: Operation | None = None
        self._daemon: Any = None
        self._change: Any = None
        self._stopping: Callable[[], bool] = lambda: False

    def begin(self, daemon: Any, stopping: Callable[[], bool]) -> None:
        """Operate this daemon until it is `stopping`."""
        self._daemon, self._stopping = daemon, stopping
        self._change, daemon.change = daemon.change, self._changed
        for operation in self._scenario.operations:
            self._clock.callLater(operation.at, self._operate, operation)

    def load(self, path: object) -> Loaded:
        """Read the configuration file."""
        assert self._file is not None
        if self._file.bad == "faulty":
            fault = Fault(str(FILE), Position(1, 1), "routes", "is no list")
            raise ConfigFaults([fault])
        scenario = self._read(self._file)
        settings = settings_of(scenario, self._file.ports, self._file.bad == "unbound")
        return Loaded(FILE, settings, ())

    def _read(self, operation: Operation) -> Scenario:
        return dataclasses.replace(
            self._scenario,
            routes=operation.routes,
            limits=operation.limits,
            memory=operation.memory,
        )

    def _operate(self, operation: Operation) -> None:
        if self._stopping():
            return
        if operation.kind == "reload":
            Deferred.fromCoroutine(self._reload(operation)).addErrback(self._crashed)
        else:
            self._serve(operation)

    def _crashed(self, failure: Any) -> None:
        self._wrong.append(f"operating fails: {failure.value!r}")

    # Reloads

    async def _reload(self, operation: Operation) -> None:
        self._file = operation
        before = self._everything()
        outcome = await self._daemon._reloader.reload()
        if self._stopping():
            return
        good = self._file is not None and not self._file.bad
        if outcome.ok is not good:
            self._wrong.append(f"a reload ends otherwise than the file says: {outcome.message}")
        if not outcome.ok and self._everything() != before:
            self._wrong.append("a refused reload changes something")

    def _everything(self) -> tuple[object, ...]:
        """What a refused reload leaves as it is."""
        daemon = self._daemon
        ports = tuple(daemon._ports.clients.listeners)
        tree, limits = daemon._site.resource, daemon._site.clients.limits
        return (daemon._settings, tree, limits, daemon._shared.memory, ports)

    async def _changed(self, loaded: Loaded) -> None:
        """In the place of the daemon's own `change`."""
        operation, since = self._file, self._clock.rightNow
        before, steps = self._kept(), self._clock.steps
        await self._change(loaded)
        assert operation is not None
        after = self._kept()
        stayed = set(self._origins(operation))
        for name, value in before.items():
            if name[1] in stayed and value != after.get(name) and steps == self._clock.steps:
                self._wrong.append(f"a reload doesn't keep the {name[0]} of {name[1]}")
        self.eras.append(Era(self._read(operation), since, self._clock.rightNow))

    def _origins(self, operation: Operation) -> Iterator[str]:
        for route in operation.routes:
            yield from map(host_of, route.origins)

    def _kept(self) -> dict[tuple[str, str], object]:
        """What is known of each source, and connected to it, by host."""
        shared, found = self._daemon._shared, dict[tuple[str, str], object]()
        for index in range(len(self._scenario.origins)):
            host = host_of(index)
            rating = shared.ratings.known(f"http://{host}/")
            if rating is not None:
                found["rating", host] = (id(rating), rating.rate, rating.failures)
            there = [each for each in self._daemon._agent._there._open if host in each.where]
            found["connections", host] = frozenset(map(id, there))
        return found

    # Sources in service and out of it

    def _serve(self, operation: Operation) -> None:
        host, now = host_of(operation.origin), self._clock.rightNow
        commands = self._daemon._commands()
        try:
            if operation.kind == "drain":
                commands.drain(host)
                self.drained.append(Drained(operation.origin, now))
            else:
                commands.resume(host)
                for each in self.drained:
                    if each.origin == operation.origin:
                        each.until = min(each.until, now)
        except CannotDo as error:
            routes = self.eras[-1].scenario.routes
            if any(operation.origin in route.origins for route in routes if _named(route.kind)):
                self._wrong.append(f"the operator can't {operation.kind}: {error}")

    def judge(self, origins: list[SimulatedOrigin]) -> list[str]:
        """Whether sources that were drained were asked, though there were others."""
        return [
            f"a drained source is asked: origin {period.origin} at {served.at:.3f}"
            for period in self.drained
            for served in origins[period.origin].served
            if self._is_idle(period, served.at) and self._has_others(period.origin)
        ]

    def _is_idle(self, period: Drained, at: float) -> bool:
        spec = self._scenario.origins[period.origin]
        slack = 3 * spec.link.latency + spec.think + SOON
        return period.since + slack < at < period.until

    def _has_others(self, origin: int) -> bool:
        """Whether each route with that origin has others, all of them in service all the time."""
        drained = {period.origin for period in self.drained}
        routes = [route for era in self.eras for route in era.scenario.routes]
        return all(
            route.kind == "sources" and not route.health_interval and set(route.origins) - drained
            for route in routes
            if origin in route.origins
        )


def _named(kind: str) -> bool:
    """Whether sources of such a route are known by name."""
    return kind in ("sources", "upstream")
