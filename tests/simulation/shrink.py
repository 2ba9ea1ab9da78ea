"""Making a scenario that fails smaller while it goes on to fail in the same way."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from tests.simulation.network import Link
from tests.simulation.scenario import Ask, Client, Origin, Route, Scenario, Version

MOST_RUNS = 300


def shrink(
    scenario: Scenario, fails: Callable[[Scenario], bool], most: int = MOST_RUNS
) -> Scenario:
    """The smallest that was found; `fails` says whether one still fails as the first did."""
    runs = 0
    found = True
    while found:
        found = False
        for smaller in _smaller(scenario):
            runs += 1
            if runs > most:
                return scenario
            if _still(fails, smaller):
                scenario, found = smaller, True
                break
    return scenario


def _still(fails: Callable[[Scenario], bool], scenario: Scenario) -> bool:
    try:
        return fails(scenario)
    except Exception:
        return False  # what is left doesn't go together


def _smaller(scenario: Scenario) -> Iterator[Scenario]:
    """Scenarios with one thing less, the things that matter most first."""
    for name in ("clients", "operations", "faults", "changes", "names"):
        held = getattr(scenario, name)
        for at in range(len(held)):
            if name != "clients" or len(held) > 1:
                yield replace(scenario, **{name: held[:at] + held[at + 1 :]})
    if scenario.stop_at is not None:
        yield replace(scenario, stop_at=None)
    yield from _members(scenario, "clients", _simpler_client)
    yield from _members(scenario, "routes", _simpler_route)
    yield from _members(scenario, "origins", _simpler_origin)
    yield from _plainer(
        scenario, Scenario(0, "", (), (), (), ()), ("memory", "stop_timeout", "cut_after", "limits")
    )
    for at, file in enumerate(scenario.files):
        for size in (0, 100, 70_000, 200_000):
            longest = max(version.size for version in file.versions)
            if size < longest:
                versions = tuple(_cut(version, size) for version in file.versions)
                yield _with(scenario, "files", at, replace(file, versions=versions))


def _cut(version: Version, size: int) -> Version:
    return replace(version, size=min(version.size, size))


def _simpler_client(client: Client) -> Iterator[Client]:
    if len(client.asks) > 1:
        for at in range(len(client.asks)):
            yield replace(client, asks=client.asks[:at] + client.asks[at + 1 :])
    names = ("link", "pipelined", "trickle", "address")
    yield from _plainer(client, Client("http", 0.0, (), Link()), names)
    for at, ask in enumerate(client.asks):
        kept = Ask(ask.route, ask.file)
        fields = ("method", "range", "in_path", "if_range", "minor", "wait", "pace")
        for simpler in _plainer(ask, kept, (*fields, "pause_at", "leave_at", "again", "upload")):
            yield replace(client, asks=(*client.asks[:at], simpler, *client.asks[at + 1 :]))


def _simpler_route(route: Route) -> Iterator[Route]:
    if len(route.origins) > 1:
        for at in range(len(route.origins)):
            yield replace(route, origins=route.origins[:at] + route.origins[at + 1 :])
    names = [
        each.name for each in dataclasses.fields(Route) if each.name not in ("kind", "origins")
    ]
    yield from _plainer(route, Route(route.kind, route.origins), names)


def _simpler_origin(origin: Origin) -> Iterator[Origin]:
    yield from _plainer(origin, Origin(), [each.name for each in dataclasses.fields(Origin)])


def _plainer(value: Any, plain: Any, names: Any) -> Iterator[Any]:
    """The same with one of the fields as it is by default."""
    for name in names:
        if getattr(value, name) != getattr(plain, name):
            yield replace(value, **{name: getattr(plain, name)})


def _members(
    scenario: Scenario, name: str, simpler: Callable[[Any], Iterator[Any]]
) -> Iterator[Scenario]:
    for at, member in enumerate(getattr(scenario, name)):
        for each in simpler(member):
            yield _with(scenario, name, at, each)


def _with(scenario: Scenario, name: str, at: int, member: Any) -> Scenario:
    held = getattr(scenario, name)
    changed: dict[str, Any] = {name: (*held[:at], member, *held[at + 1 :])}
    return replace(scenario, **changed)
