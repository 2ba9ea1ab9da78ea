"""From a seed to a scenario. Each profile weights a world towards one kind of trouble.

To have the simulation look at something new, write a profile: a function that takes the random
source and a plain world and gives back the world with its trouble in it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from tests.simulation.besetting import beset
from tests.simulation.faults import BREAKS, FRAMES, LIES, REFUSALS, SILENT
from tests.simulation.operated import OPERATED, profile_of
from tests.simulation.parts import (
    any_ask,
    any_change,
    any_client,
    any_fault,
    any_file,
    any_link,
    any_origin,
    any_outage,
    any_route,
    good_origin,
    plain_world,
)
from tests.simulation.scenario import (
    ANY,
    GONE,
    Ask,
    Change,
    Client,
    Disk,
    DiskFault,
    Fault,
    Names,
    Route,
    Scenario,
)

Random = random.Random


CUT_AFTER = (None, None, None, 0.0, 0.5, 3.0)
"""Seconds from the stop to a second signal, in turn."""


def scenario_of(seed: int, profile: str | None = None) -> Scenario:
    """The scenario of a seed; `profile` is picked by the seed unless given."""
    rng = random.Random(f"aprp {seed}")
    name = rng.choice(_LOTS)
    name = profile_of(seed) or name
    if seed % VERIFIED_EVERY == VERIFIED_TURN:
        name = "verified"
    if seed % CACHED_EVERY == CACHED_TURN:
        name = "cached"
    if seed % HTTP2_EVERY == HTTP2_TURN:
        name = "http2"
    if profile is not None:
        name = profile
    cut_after = CUT_AFTER[seed // 8 % len(CUT_AFTER)]
    world = PROFILES[name](rng, plain_world(rng))
    if name == "limited":
        world = beset(random.Random(f"beset {seed}"), world)
    return replace(world, seed=seed, name=name, cut_after=cut_after)


def _anything(rng: Random, world: Scenario) -> Scenario:
    """A little of everything."""
    count, files = len(world.origins), len(world.files)
    kinds = {**SILENT, **BREAKS, **BREAKS, **REFUSALS, **LIES}
    faults = tuple(
        any_fault(rng, rng.randrange(count), files, kinds) for _ in range(rng.choice((0, 1, 2, 4)))
    )
    if rng.random() < 0.15:
        faults += (any_outage(rng, rng.randrange(count)),)
    changes = []
    for _ in range(rng.choice((0, 0, 1, 2))):
        file = rng.randrange(files)
        version = rng.choice((GONE, 1, 1, 1, 2))
        changes += [
            any_change(rng, origin, file, version) for origin in range(count) if rng.random() < 0.6
        ]
    names = tuple(
        Names(origin, rng.choice((0.5, 8.0, -1.0)), rng.random() < 0.7)
        for origin in range(count)
        if rng.random() < 0.04
    )
    stop_at = rng.random() * 3 if rng.random() < 0.1 else None
    memory = rng.choice((512 << 20,) * 6 + (256 << 10,))
    return replace(
        world,
        faults=faults,
        changes=tuple(changes),
        names=names,
        stop_at=stop_at,
        memory=memory,
        stop_timeout=rng.choice((0.0, 5.0)),
    )


def _replaced(rng: Random, world: Scenario) -> Scenario:
    """A file is replaced while it is read, with every set of validators."""
    size = rng.choice((200_000, 300_000, 700_000))
    files = (any_file(rng, size, same_size=True),)
    one = rng.random() < 0.5
    origins = tuple(
        replace(
            any_origin(rng),
            etag=rng.choice(("none", "none", "weak", "own", "strong")),
            modified=rng.choice(("none", "date", "mtime")),
            ranges=True,
        )
        for _ in range(1 if one else 2)
    )
    route = replace(any_route(rng, "sources", tuple(range(len(origins)))), block_size=65536)
    if route.same == "length":
        route = replace(route, same="modified")
    clients = (Client("http", 0.0, (Ask(0, 0), Ask(0, 0, wait=1.0)), link=any_link(rng)),)
    when = rng.choice((1, 2, 3))
    changes = tuple(Change(origin, 0, 1, after=when) for origin in range(len(origins)))
    return replace(
        world, files=files, origins=origins, routes=(route,), clients=clients, changes=changes
    )


def _rejoined(rng: Random, world: Scenario) -> Scenario:
    """A client leaves, the file is replaced, and the client asks for the rest by If-Range."""
    files = (any_file(rng, rng.choice((4096, 100_000, 300_000)), same_size=True),)
    origin = replace(
        any_origin(rng),
        etag=rng.choice(("none", "weak", "strong", "own")),
        modified=rng.choice(("none", "date", "mtime")),
        digests=("sha-256",),
    )
    count = rng.choice((1, 2))
    kind = rng.choice(("sources", "sources", "upstream"))
    route = any_route(rng, kind, tuple(range(count)) if kind == "sources" else (0,))
    route = replace(route, same=rng.choice(("modified", "length", "digest")), path_ranges="off")
    half = files[0].versions[0].size // 2
    asks = (
        Ask(0, 0, range=rng.choice(("", f"bytes=0-{half}"))),
        Ask(0, 0, range=f"bytes={half}-", if_range="held", wait=5.0),
        Ask(0, 0, range=f"bytes={half}-", if_range="held", wait=5.0),
    )
    changes = tuple(Change(each, 0, 1, at=rng.choice((3.0, 6.0))) for each in range(count))
    return replace(
        world,
        files=files,
        origins=(origin,) * count,
        routes=(route,),
        clients=(Client("http", 0.0, asks, link=any_link(rng)),),
        changes=changes,
    )


def _resumed(rng: Random, world: Scenario) -> Scenario:
    """An answer breaks, and what comes after that may be of another version."""
    files = (any_file(rng, rng.choice((100_000, 300_000)), same_size=True),)
    origin = replace(
        any_origin(rng),
        ranges=True,
        length="declared",
        if_range=rng.random() < 0.5,
        repeats=rng.choice(("all", "none")),
        etag=rng.choice(("strong", "own", "none", "none")),
        modified=rng.choice(("mtime", "mtime", "none")),
        dated=True,
    )
    kind = rng.choice(("upstream", "sources"))
    route = replace(any_route(rng, kind, (0,)), block_size=1 << 20, resume_for=30.0)
    fault = Fault(0, rng.choice(("reset", "cut", "stall")), first=0, after=rng.randrange(1, 90_000))
    changes = (Change(0, 0, 1, after=1),) if rng.random() < 0.8 else ()
    clients = (Client("http", 0.0, (Ask(0, 0),), link=any_link(rng)),)
    return replace(
        world,
        files=files,
        origins=(origin,),
        routes=(route,),
        clients=clients,
        changes=changes,
        faults=(fault,),
    )


def _redirected(rng: Random, world: Scenario) -> Scenario:
    """Sources lead elsewhere, and elsewhere again after a while."""
    files = (any_file(rng, rng.choice((4096, 300_000))),)
    count = rng.choice((1, 2, 3))
    origins = []
    for index in range(count):
        origin = replace(any_origin(rng), etag=rng.choice(("strong", "own", "none")), head=True)
        if index == 0 or rng.random() < 0.3:
            permanent = rng.random() < 0.3
            to = tuple(rng.sample(range(count), rng.randint(0, count)))
            origin = replace(
                origin,
                redirect=rng.choice((301, 308) if permanent else (302, 307)),
                redirect_to=to,
                pinned=not permanent,
            )
        origins.append(origin)
    kind = rng.choice(("sources", "sources", "query"))
    route = replace(any_route(rng, kind, (0,)), redirects=rng.choice(("public", "same-host")))
    if count > 1 and rng.random() < 0.4:
        route = replace(route, origins=(0, 1))
    asks = (Ask(0, 0), Ask(0, 0, wait=5.0, range=rng.choice(("", "bytes=10-"))))
    changes = tuple(Change(each, 0, 1, at=rng.choice((2.5, 3.0))) for each in range(count))
    if rng.random() < 0.3:
        changes = tuple(Change(each, 0, 1, after=1) for each in range(count))
    return replace(
        world,
        files=files,
        origins=tuple(origins),
        routes=(route,),
        clients=(Client("http", 0.0, asks, link=any_link(rng)),),
        changes=changes,
    )


def _stopped(rng: Random, world: Scenario) -> Scenario:
    """The daemon is stopped while slow clients are served, some of them in HTTP/1.0."""
    files = (any_file(rng, rng.choice((200_000, 300_000, 700_000))),)
    origin = replace(good_origin(rng), length=rng.choice(("close", "chunked", "declared")))
    kind = rng.choice(("upstream", "upstream", "sources"))
    routes = (any_route(rng, kind, (0,)),)
    clients = tuple(
        Client(
            "http",
            rng.random(),
            (Ask(0, 0, minor=rng.choice((0, 0, 1)), pace=rng.choice((2e4, 1e5, 0.0))),),
            link=any_link(rng),
        )
        for _ in range(rng.choice((1, 2)))
    )
    return replace(
        world,
        files=files,
        origins=(origin,),
        routes=routes,
        clients=clients,
        stop_at=rng.choice((0.5, 1.0, 2.0, 4.0)),
        stop_timeout=rng.choice((0.0, 0.0, 2.0, 60.0)),
    )


def _parked(rng: Random, world: Scenario) -> Scenario:
    """A mirror asks for patience on one path; others of its paths are needed."""
    files = tuple(any_file(rng, rng.choice((4096, 300_000))) for _ in range(2))
    origins = (good_origin(rng), good_origin(rng))
    route = replace(any_route(rng, "sources", (0, 1)), same="modified", resume_for=30.0)
    faults = (
        Fault(0, "status", file=0, count=100, seconds=3600.0, status=rng.choice((429, 503))),
        Fault(1, rng.choice(("reset-at-once", "hang-up", "silent")), file=1, count=100),
    )
    changes = (Change(1, 0, GONE, at=0.0),)
    asks = (Ask(0, 0), Ask(0, 1, wait=5.0))
    clients = (Client("http", 0.0, asks, link=any_link(rng)),)
    return replace(
        world,
        files=files,
        origins=origins,
        routes=(route,),
        clients=clients,
        faults=faults,
        changes=changes,
    )


def _huge(rng: Random, world: Scenario) -> Scenario:
    """Numbers that no file has, in Range and in the path."""
    number = rng.choice(
        (2**31, 2**53, 2**62 - 1, 2**62, 2**63 - 1, 2**63, 10**19, 10**30, 10**5000)
    )
    text = str(number) if number < 10**100 else "9" * 5001
    routes = tuple(replace(route, path_ranges="end") for route in world.routes)
    asks = []
    for _ in range(3):
        ask = any_ask(rng, routes, world.files)
        form = rng.choice(("{}-", "0-{}", "-{}", "{}-{}", "0-0,{}-", "1-{},{}-"))
        ask = replace(ask, range="bytes=" + form.replace("{}", text), in_path="", leave_at=-1)
        if rng.random() < 0.4:
            path = rng.choice((f"/{text}/{text}", f"/0/{text}", f"/{text}"))
            ask = replace(ask, range="", in_path=path)
        asks.append(ask)
    clients = (Client("http", 0.0, tuple(asks), link=any_link(rng)),)
    return replace(world, routes=routes, clients=clients)


def _looped(rng: Random, world: Scenario) -> Scenario:
    """A route whose upstream is the daemon itself, beside others."""
    routes = (*world.routes, Route("loop", (), first_byte_timeout=10.0))
    ask = Ask(len(routes) - 1, 0, range=rng.choice(("", "bytes=0-5")))
    clients = (*world.clients, Client("http", rng.random(), (ask,)))
    return replace(world, routes=routes, clients=clients)


def _read(rng: Random, world: Scenario) -> Scenario:
    """Programs that read through the library, and go on to read when it failed."""
    world = _anything(rng, world)
    route = any_route(rng, "sources", tuple(range(len(world.origins))))
    asks = tuple(
        replace(any_ask(rng, (route,), world.files), range="", again=3)
        for _ in range(rng.choice((1, 2)))
    )
    kinds = {**SILENT, **BREAKS, **REFUSALS}
    faults = tuple(
        replace(any_fault(rng, index, 1, kinds), file=ANY, count=rng.choice((1, 100)))
        for index in range(len(world.origins))
    )
    return replace(
        world,
        routes=(route,),
        clients=(Client("library", 0.0, asks),),
        faults=faults,
        names=(),
        stop_at=None,
    )


def _survives(rng: Random, world: Scenario) -> Scenario:
    """One good source among bad ones, all with the same file: the film has to go on."""
    count = rng.choice((2, 3))
    good = rng.randrange(count)
    origins = tuple(good_origin(rng) for _ in range(count))
    files = (any_file(rng), any_file(rng, 300_000))
    kinds = {**SILENT, **BREAKS, **BREAKS, **REFUSALS, **LIES}
    faults = []
    for index in range(count):
        if index != good:
            faults += [any_fault(rng, index, 2, kinds) for _ in range(rng.choice((1, 2)))]
            if rng.random() < 0.3:
                faults.append(any_outage(rng, index))
    kind = rng.choice(("sources", "sources", "query"))
    routes = (replace(any_route(rng, kind, tuple(range(count))), resume_for=30.0),)
    clients = tuple(any_client(rng, routes, files) for _ in range(rng.choice((1, 2))))
    return replace(
        world, files=files, origins=origins, routes=routes, clients=clients, faults=tuple(faults)
    )


def _verified(rng: Random, world: Scenario) -> Scenario:
    """Sources send wrong bytes of a file whose pieces have hashes."""
    count = rng.choice((1, 2, 2, 3, 4))
    good = rng.choice((ANY, *(tuple(range(count)) * 4)))
    origins = tuple(
        replace(good_origin(rng), etag=rng.choice(("strong", "none"))) for _ in range(count)
    )
    files = (any_file(rng, rng.choice((1, 65536, 200_001, 300_000, 700_000))), any_file(rng))
    piece = rng.choice((16_384, 65_536, 100_000, 300_000, 1 << 20))
    route = any_route(rng, "sources", tuple(range(rng.randint(1, count))))
    route = replace(route, compare="off", resume_for=30.0, pieces=piece)
    kinds = {**SILENT, **BREAKS, **BREAKS, **REFUSALS, **LIES}
    faults = []
    for index in range(count):
        if index == good:
            continue
        for _ in range(rng.choice((1, 1, 2))):
            first, many = rng.choice((0, 0, 1, 3)), rng.choice((1, 2, 100))
            wrong = rng.choice(("flip", "flip", "other"))
            at = rng.randrange(700_000)
            faults.append(Fault(index, wrong, first=first, count=many, after=at))
        if rng.random() < 0.3:
            faults.append(any_fault(rng, index, 2, kinds))
    clients = tuple(
        replace(any_client(rng, (route,), files), kind="http") for _ in range(rng.choice((1, 2)))
    )
    return replace(
        world,
        files=files,
        origins=origins,
        routes=(route,),
        clients=clients,
        faults=tuple(faults),
    )


def _cached(rng: Random, world: Scenario) -> Scenario:
    """Several clients view the same files through a cache whose disk has its troubles."""
    world = rng.choice((_survives, _survives, _anything, _replaced))(rng, world)
    valid = rng.choice((0.0, 3.0, 3600.0))
    routes = tuple(
        replace(route, valid=valid) if route.kind in ("upstream", "sources") else route
        for route in world.routes
    )
    clients = tuple(any_client(rng, routes, world.files) for _ in range(rng.choice((1, 2, 4))))
    kinds: tuple[str, ...] = ("eio-read", "eio-write", "eio-open", "eio-unlink", "full", "denied")
    kinds += ("flip", "flip", "flip", "lose", "lose", "lose", "index", "malformed", "hang")
    faults = []
    for _ in range(rng.choice((0, 1, 1, 2))):
        since = rng.choice((0.0, rng.random() * 5))
        faults.append(DiskFault(rng.choice(kinds), since, since + rng.choice((0.5, 3.0, 30.0))))
    crash = rng.choice((0.0, 0.0, rng.random() * 8))
    power = rng.random() < 0.5
    disk = Disk(
        size=rng.choice((16 << 20, 64 << 20)),
        latency=rng.choice((0.0001, 0.001, 0.02)),
        faults=tuple(faults),
        killed=0.0 if power else crash,
        unpowered=crash if power else 0.0,
    )
    changes = () if crash else world.changes
    again = [replace(each, start=each.start + rng.choice((2.0, 6.0))) for each in clients]
    more = (replace(each, kind="http") for each in (*clients, *again))
    clients = (*world.clients, *more)
    return replace(world, routes=routes, clients=clients, changes=changes, disk=disk)


VERIFIED_EVERY, VERIFIED_TURN = 16, 7
"""Every so many seeds have the profile of that name."""

CACHED_EVERY, CACHED_TURN = 16, 11
HTTP2_EVERY, HTTP2_TURN = 16, 3
"""The same."""


def _http2(rng: Random, world: Scenario) -> Scenario:
    """Any of the other worlds, with origins and clients that speak HTTP/2."""
    name = rng.choice((*_LOTS, *OPERATED, "verified", "cached"))
    world = PROFILES[name](rng, world)
    routes = tuple(
        replace(route, http2=route.kind != "loop" and rng.random() < 0.8) for route in world.routes
    )
    clients = tuple(
        replace(client, http2=rng.random() < 0.6 and _speaks_http2(client))
        for client in world.clients
    )
    faults = list(world.faults)
    for index in range(len(world.origins)):
        if rng.random() < 0.3 and any(fault.origin == index for fault in faults):
            faults.append(any_fault(rng, index, len(world.files), FRAMES))
    return replace(world, routes=routes, clients=clients, faults=tuple(faults))


def _speaks_http2(client: Client) -> bool:
    return client.kind == "http" and all(ask.upload < 0 for ask in client.asks)


PROFILES: dict[str, Callable[[Random, Scenario], Scenario]] = {
    "anything": _anything,
    "replaced": _replaced,
    "rejoined": _rejoined,
    "resumed": _resumed,
    "redirected": _redirected,
    "stopped": _stopped,
    "parked": _parked,
    "huge": _huge,
    "looped": _looped,
    "read": _read,
    "survives": _survives,
    "verified": _verified,
    "cached": _cached,
    "http2": _http2,
    **OPERATED,
}
_LOTS = (
    *("anything",) * 8,
    *("survives",) * 5,
    *("replaced", "rejoined", "resumed", "redirected", "read") * 2,
    *("stopped", "parked", "huge", "looped"),
)
