"""Profiles of daemons that are operated: reloaded, drained, limited, stopped, sent bodies.

They are as those of `tests.simulation.generate`, but drawn apart from them, so that the seeds of
either keep their meaning when the other list grows.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from tests.simulation.faults import BREAKS, LIES, REFUSALS, SILENT
from tests.simulation.parts import (
    any_ask,
    any_client,
    any_fault,
    any_file,
    any_link,
    any_origin,
    any_outage,
    any_route,
    good_origin,
)
from tests.simulation.scenario import (
    ANY,
    Ask,
    Change,
    Client,
    Fault,
    Limits,
    Operation,
    Origin,
    Route,
    Scenario,
)

Random = random.Random


def _slow_asks(rng: Random, routes: tuple[Route, ...], world: Scenario) -> tuple[Ask, ...]:
    """Requests of one client: some of them take a while, others come later."""
    first = replace(any_ask(rng, routes, world.files), wait=0.0)
    if rng.random() < 0.6:
        first = replace(first, pace=float(rng.choice((50_000, 100_000))), method="GET")
    later = replace(any_ask(rng, routes, world.files), wait=rng.choice((0.0, 1.0, 5.0)))
    return (first, later) if rng.random() < 0.7 else (first,)


def _slow_clients(rng: Random, routes: tuple[Route, ...], world: Scenario) -> tuple[Client, ...]:
    return tuple(
        Client("http", rng.random() * 2, _slow_asks(rng, routes, world), link=any_link(rng))
        for _ in range(rng.choice((1, 2, 3)))
    )


def _changed_route(rng: Random, route: Route, origins: int) -> Route:
    """What the route is after a reload."""
    what = rng.choice(("same", "settings", "settings", "origins", "origins", "none", "kind"))
    if what in ("kind", "origins") and route.kind == "query":  # clients name the sources
        what = "same"
    every = tuple(range(origins))
    if what == "settings":
        return replace(
            any_route(rng, route.kind, route.origins),
            limit_rate=rng.choice((0, 100_000)),
            path_ranges=route.path_ranges,
        )
    if what == "origins":
        count = 1 if route.kind == "upstream" else rng.randint(1, origins)
        return replace(route, origins=tuple(sorted(rng.sample(every, count))))
    if what == "none":
        return Route("none", ())
    if what == "kind":
        kind = rng.choice(("upstream", "sources"))
        changed = any_route(rng, kind, (rng.choice(every),) if kind == "upstream" else every)
        return replace(changed, path_ranges=route.path_ranges)
    return route


def _reload(rng: Random, world: Scenario, routes: tuple[Route, ...], at: float) -> Operation:
    changed = tuple(_changed_route(rng, route, len(world.origins)) for route in routes)
    if all(route.kind == "none" for route in changed):
        changed = routes
    return Operation(
        at,
        "reload",
        routes=changed,
        memory=rng.choice((512 << 20, 512 << 20, 256 << 10)),
        bad=rng.choice(("", "", "", "faulty", "unbound")),
        ports=rng.choice((0, 0, 1, 2)),
    )


def _reloads(rng: Random, world: Scenario) -> tuple[Operation, ...]:
    """Reloads, one after the other; what a refused one would have changed is changed by none."""
    found, at, routes = [], rng.random() * 2, world.routes
    for _ in range(rng.choice((1, 1, 2, 3))):
        found.append(_reload(rng, world, routes, at))
        routes = found[-1].routes if not found[-1].bad else routes
        at += rng.choice((0.3, 1.0, 4.0))
    return tuple(found)


def _reloaded(rng: Random, world: Scenario) -> Scenario:
    """The file changes, and is good or bad, while clients are served; origins have versions."""
    count = rng.choice((2, 3))
    origins = tuple(good_origin(rng) for _ in range(count))
    files = (any_file(rng, rng.choice((200_000, 300_000, 700_000))), any_file(rng, 4096))
    changes = tuple(Change(origin, 0, 1, at=0.0) for origin in range(count) if rng.random() < 0.4)
    kind = rng.choice(("sources", "sources", "upstream", "query"))
    every = tuple(range(count))
    routes = (
        replace(any_route(rng, kind, (0,) if kind == "upstream" else every), resume_for=30.0),
        any_route(rng, "sources", tuple(sorted(rng.sample(every, 1)))),
    )
    world = replace(world, origins=origins, files=files, routes=routes, changes=changes)
    kinds = {**BREAKS, **SILENT}
    faults = tuple(
        any_fault(rng, rng.randrange(count), 2, kinds) for _ in range(rng.choice((0, 0, 1, 2)))
    )
    clients = _slow_clients(rng, routes, world)
    return replace(world, clients=clients, faults=faults, operations=_reloads(rng, world))


def _limited(rng: Random, world: Scenario) -> Scenario:
    """Many clients, some of one address; limits of connections, requests and rates."""
    files = (any_file(rng, rng.choice((100_000, 300_000))),)
    origins = (good_origin(rng), good_origin(rng))
    kind = rng.choice(("sources", "upstream", "query"))
    route = any_route(rng, kind, (0,) if kind == "upstream" else (0, 1))
    route = replace(
        route,
        limit_rate=rng.choice((0, 0, 50_000, 100_000)),
        limit_rate_after=rng.choice((0, 65536)),
    )
    limits = Limits(
        rng.choice((0, 2, 3, 10_000)), rng.choice((0, 1, 2, 64)), rng.choice((0, 1, 2, 32))
    )
    waves = (0.0, 0.0, 0.0, 0.2, 1.0, 300.0, 300.0, 300.5)
    clients = []
    for number in range(rng.choice((2, 4, 6))):
        client = any_client(rng, (route,), files)
        asks = tuple(replace(ask, route=0, file=0) for ask in client.asks)
        address = rng.choice((ANY, 0, 0, 1)) if number else ANY
        clients.append(
            replace(client, kind="http", start=rng.choice(waves), asks=asks, address=address)
        )
    world = replace(world, files=files, origins=origins, routes=(route,), clients=tuple(clients))
    operations: tuple[Operation, ...] = ()
    if rng.random() < 0.4:
        changed = Limits(rng.choice((0, 1, 3)), rng.choice((1, 64)), rng.choice((1, 32)))
        at = rng.choice((0.1, 0.5, 100.0))
        operations = (Operation(at, "reload", routes=(route,), limits=changed),)
    world = replace(world, limits=limits, operations=operations)
    return _with_bandwidth(rng, world) if rng.random() < 0.3 else world


def _with_bandwidth(rng: Random, world: Scenario) -> Scenario:
    """Have the clients of a route share a bandwidth, which a reload may change."""

    def shared(routes: tuple[Route, ...]) -> tuple[Route, ...]:
        bandwidth = rng.choice((70_000, 200_000, 200_000))
        return tuple(replace(route, bandwidth=bandwidth) for route in routes)

    operations = tuple(replace(each, routes=shared(each.routes)) for each in world.operations)
    return replace(world, routes=shared(world.routes), operations=operations)


def _drained(rng: Random, world: Scenario) -> Scenario:
    """Sources are drained and resumed, fail their health checks and recover, and are reloaded."""
    count = rng.choice((2, 2, 3))
    origins = tuple(good_origin(rng) for _ in range(count))
    files = (any_file(rng, rng.choice((200_000, 700_000))), any_file(rng))
    every = tuple(range(count))
    kind = rng.choice(("sources", "sources", "sources", "upstream"))
    route = any_route(rng, kind, every if kind == "sources" else (0,))
    route = replace(
        route, same="modified", resume_for=30.0, health_interval=rng.choice((0.0, 0.0, 2.0, 5.0))
    )
    operations = []
    faults = []
    for index in every:
        if rng.random() < 0.5:
            at = rng.random() * 3
            operations.append(Operation(at, "drain", index))
            if rng.random() < 0.6:
                operations.append(Operation(at + rng.choice((0.2, 3.0, 10.0)), "resume", index))
        if route.health_interval and rng.random() < 0.5:
            since = rng.random() * 5
            until = since + rng.choice((1.0, 20.0, 1000.0))
            faults.append(Fault(index, "sick", since=since, until=until))
    if rng.random() < 0.3:
        operations.append(Operation(5.0, "reload", routes=(route,)))
    kinds = {**BREAKS, **BREAKS, **SILENT}
    if rng.random() < 0.4:
        faults.append(any_fault(rng, rng.choice(every), 2, kinds))
    if rng.random() < 0.2:
        faults.append(any_outage(rng, rng.choice(every)))
    world = replace(world, files=files, origins=origins, routes=(route,))
    return replace(
        world,
        clients=_slow_clients(rng, (route,), world),
        operations=tuple(operations),
        faults=tuple(faults),
    )


def _ended(rng: Random, world: Scenario) -> Scenario:
    """The daemon stops while slow answers are under way, and gives them time, or none."""
    files = (any_file(rng, rng.choice((200_000, 700_000))),)
    origins = (good_origin(rng), good_origin(rng))
    kind = rng.choice(("sources", "upstream", "query"))
    route = any_route(rng, kind, (0,) if kind == "upstream" else (0, 1))
    route = replace(route, limit_rate=rng.choice((0, 50_000, 100_000)), resume_for=30.0)
    world = replace(world, files=files, origins=origins, routes=(route,))
    faults = tuple(
        any_fault(rng, rng.randrange(2), 1, {**BREAKS, **SILENT})
        for _ in range(rng.choice((0, 1, 2)))
    )
    operations = _reloads(rng, world) if rng.random() < 0.3 else ()
    world = replace(
        world,
        clients=_slow_clients(rng, (route,), world),
        faults=faults,
        operations=operations,
        stop_at=rng.choice((0.5, 1.0, 2.0, 4.0)),
        stop_timeout=rng.choice((0.0, 2.0, 5.0, 30.0, 60.0)),
    )
    return _with_bandwidth(rng, world) if rng.random() < 0.2 else world


def _sent(rng: Random, world: Scenario) -> Scenario:
    """Clients send bodies: large ones, small ones, slowly, to upstreams that answer too soon."""
    origin: Origin = replace(any_origin(rng), redirect=0)
    limit = rng.choice((64 << 20, 64 << 20, 100_000))
    buffering = rng.choice(("on", "off"))
    route = any_route(rng, "upstream", (0,))
    route = replace(route, request_buffering=buffering, max_body=limit, path_ranges="off")
    sizes = (0, 1, 4096, 65536, 99_999, 100_001, 300_000, 700_000)
    clients = []
    for _ in range(rng.choice((1, 2))):
        asks = tuple(
            Ask(0, 0, upload=rng.choice(sizes), wait=rng.choice((0.0, 0.0, 2.0)))
            if rng.random() < 0.8
            else Ask(0, 0)
            for _ in range(rng.choice((1, 2, 3)))
        )
        small = sum(max(0, ask.upload) for ask in asks) < 5000
        trickle = rng.choice((0, 0, 7)) if small else rng.choice((0, 0, 0, 40_000))
        pipelined = rng.random() < 0.2
        clients.append(
            Client("http", 0.0, asks, link=any_link(rng), trickle=trickle, pipelined=pipelined)
        )
    faults = []
    if rng.random() < 0.5:
        kinds = {**SILENT, **BREAKS, **REFUSALS, **LIES}
        faults = [any_fault(rng, 0, 1, kinds) for _ in range(rng.choice((1, 2)))]
    if rng.random() < 0.25:  # what came on a kept connection may not be sent again
        clients = [Client("http", 0.0, (Ask(0, 0), Ask(0, 0, upload=rng.choice(sizes))))]
        faults = [Fault(0, rng.choice(("hang-up", "reset-at-once")), first=1)]
    if rng.random() < 0.2:
        faults.append(Fault(0, "early", until=rng.choice((0.5, 1e9))))
    if rng.random() < 0.15:
        faults.append(any_outage(rng, 0))
    return replace(
        world,
        files=(any_file(rng),),
        origins=(origin,),
        routes=(route,),
        clients=tuple(clients),
        faults=tuple(faults),
        stop_at=rng.choice((None, None, None, 0.5)),
        stop_timeout=rng.choice((0.0, 5.0)),
    )


OPERATED: dict[str, Callable[[Random, Scenario], Scenario]] = {
    "reloaded": _reloaded,
    "limited": _limited,
    "drained": _drained,
    "ended": _ended,
    "sent": _sent,
}
EVERY = 8
TURN = 1


def profile_of(seed: int) -> str | None:
    """The profile among these that a seed has; None: one of the others. An eighth has one."""
    if seed % EVERY != TURN:
        return None
    return random.Random(f"operated {seed}").choice(list(OPERATED))
