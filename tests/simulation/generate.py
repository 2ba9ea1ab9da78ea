"""From a seed to a scenario. Each profile weights a world towards one kind of trouble.

To have the simulation look at something new, write a profile: a function that takes the random
source and a plain world and gives back the world with its trouble in it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace

from tests.simulation.faults import BREAKS, LIES, REFUSALS, SILENT
from tests.simulation.network import Link
from tests.simulation.scenario import (
    ANY,
    GONE,
    Ask,
    Change,
    Client,
    Fault,
    File,
    Names,
    Origin,
    Route,
    Scenario,
    Version,
)

Random = random.Random


def scenario_of(seed: int, profile: str | None = None) -> Scenario:
    """The scenario of a seed; `profile` is picked by the seed unless given."""
    rng = random.Random(f"aprp {seed}")
    name = rng.choice(_LOTS)
    if profile is not None:
        name = profile
    return replace(PROFILES[name](rng, _plain(rng)), seed=seed, name=name)


# The parts of a plain world


def _size(rng: Random) -> int:
    return rng.choice(
        (0, 1, 100, 4096, 4097, 65536, 65537, 100_000, 100_001, 200_000, 200_001, 300_000, 700_000)
    )


def _file(rng: Random, size: int | None = None, same_size: bool | None = None) -> File:
    first = _size(rng) if size is None else size
    alike = rng.random() < 0.6 if same_size is None else same_size
    mtime = -rng.randrange(5000, 10_000_000)
    versions = []
    for number in range(rng.choice((2, 2, 3))):
        length = first if alike or not number else _size(rng)
        start = rng.randrange(1 << 40)
        versions.append(Version(length, start, mtime, f"v{number}-{start:x}"))
        mtime += rng.randrange(1, 1000)
    return File(tuple(versions))


def _link(rng: Random) -> Link:
    return Link(
        latency=rng.choice((0.0005, 0.005, 0.02, 0.1, 0.3)),
        rate=rng.choice((2e5, 1e6, 4e6, 4e7)),
        segment=rng.choice((16384, 65536, 65536)),
        small=rng.choice((0, 0, 0, 4)),
        crumb=rng.choice((1, 30, 200)),
    )


def _origin(rng: Random) -> Origin:
    return Origin(
        link=_link(rng),
        think=rng.choice((0.0, 0.0, 0.01, 0.2)),
        ranges=rng.random() < 0.92,
        if_range=rng.random() < 0.9,
        etag=rng.choice(("strong", "strong", "strong", "own", "weak", "none")),
        modified=rng.choice(("mtime", "mtime", "mtime", "date", "none")),
        repeats=rng.choice(("all", "all", "all", "none")),
        digests=rng.choice(((), (), ("sha-256",), ("sha-512",), ("sha-256", "sha-512"))),
        length=rng.choice(("declared",) * 8 + ("chunked", "close")),
        keeps=rng.random() < 0.9,
        head=rng.random() < 0.85,
        dated=rng.random() < 0.93,
    )


def _good_origin(rng: Random) -> Origin:
    return Origin(link=_link(rng), digests=("sha-256",))


def _route(rng: Random, kind: str, origins: tuple[int, ...]) -> Route:
    timeout = rng.choice((3.0, 10.0))
    return Route(
        kind,
        origins,
        same=rng.choice(("modified", "modified", "modified", "digest", "length")),
        redirects=rng.choice(("same-host", "public", "off")),
        compare=rng.choice(("off", "off", "off", "sample")),
        block_size=rng.choice((65536, 1 << 18, 1 << 20)),
        window=rng.choice((1 << 18, 1 << 20, 32 << 20)),
        delay=rng.choice(("adaptive",) * 5 + ("normal", "diff", "inv", "static")),
        duplicate=rng.choice(("adaptive",) * 5 + ("off", "nibib", "ibrc")),
        path_ranges=rng.choice(("off", "off", "end")),
        connections=rng.choice((1, 2, 4)),
        first_byte_timeout=timeout,
        between_bytes_timeout=timeout,
        send_timeout=rng.choice((10.0, 60.0)),
        resume_for=rng.choice((0.0, 10.0, 30.0)),
    )


def _routes(rng: Random, count: int) -> tuple[Route, ...]:
    every = tuple(range(count))
    found = []
    for _ in range(rng.choice((1, 1, 2))):
        kind = rng.choice(("upstream", "sources", "sources", "sources", "query"))
        if kind == "upstream":
            found.append(_route(rng, kind, (rng.choice(every),)))
        else:
            picked = tuple(sorted(rng.sample(every, rng.randint(1, count))))
            found.append(_route(rng, kind, picked))
    return tuple(found)


def _range(rng: Random, size: int) -> str:
    at, length = rng.randrange(max(1, size)), rng.choice((1, 1000, 70_000, 300_000))
    kind = rng.randrange(9)
    if kind < 3:
        return f"bytes={at}-{at + length - 1}"
    if kind < 5:
        return f"bytes={at}-"
    if kind == 5:
        return f"bytes=-{length}"
    if kind == 6:
        last = at + length
        return f"bytes={at}-{at + 9},{last + 5}-{last + 500}"
    if kind == 7:
        return f"bytes={size + rng.randrange(3)}-"
    return f"bytes=0-{max(0, size // 2)}"


def _ask(rng: Random, routes: tuple[Route, ...], files: tuple[File, ...]) -> Ask:
    route, file = rng.randrange(len(routes)), rng.randrange(len(files))
    size = files[file].versions[0].size
    ranged = rng.random() < 0.45
    ask = Ask(
        route,
        file,
        method="HEAD" if rng.random() < 0.05 else "GET",
        range=_range(rng, size) if ranged else "",
        if_range=rng.choice(("", "", "held")),
        minor=0 if rng.random() < 0.12 else 1,
        wait=rng.choice((0.0, 0.0, 0.0, 0.3, 2.0, 20.0)),
    )
    if rng.random() < 0.1:
        ask = replace(ask, leave_at=rng.randrange(1 + size), leave=rng.choice(("fin", "rst")))
    if rng.random() < 0.12:
        ask = replace(ask, pace=float(rng.choice((20_000, 100_000, 500_000))))
    if rng.random() < 0.08:
        ask = replace(ask, pause_at=rng.randrange(1 + size), pause_for=rng.choice((1.0, 5.0, 40.0)))
    if routes[route].path_ranges == "end" and rng.random() < 0.4:
        first = rng.randrange(1 + size)
        ask = replace(ask, range="", in_path=f"/{first}/{first + rng.randrange(100_000)}")
    return ask


def _client(rng: Random, routes: tuple[Route, ...], files: tuple[File, ...]) -> Client:
    asks = tuple(_ask(rng, routes, files) for _ in range(rng.choice((1, 1, 2))))
    library = [each for each in range(len(routes)) if routes[each].kind != "upstream"]
    start = rng.choice((0.0, 0.0, rng.random() * 3))
    if library and rng.random() < 0.15:
        asks = tuple(
            replace(ask, route=rng.choice(library), range="", method="GET", again=2) for ask in asks
        )
        return Client("library", start, asks)
    return Client(
        "http",
        start,
        asks,
        link=_link(rng),
        pipelined=rng.random() < 0.1,
        trickle=rng.choice((0,) * 12 + (7,)),
    )


def _fault(rng: Random, origin: int, files: int, kinds: Mapping[str, object]) -> Fault:
    count = rng.choice((1, 1, 1, 2, 3, 100))
    return Fault(
        origin,
        rng.choice(list(kinds)),
        file=rng.choice((ANY, *range(files))),
        first=rng.choice((0, 0, 1, 2, 3)),
        count=count,
        after=rng.choice((0, 1, 1000, rng.randrange(1_000_000))),
        seconds=rng.choice((0.0, 0.5, 5.0, 30.0, 3600.0)),
        status=rng.choice((403, 404, 410, 429, 500, 503, 503)),
    )


def _outage(rng: Random, origin: int) -> Fault:
    since = rng.choice((0.0, 0.0, rng.random() * 2))
    until = rng.choice((since + 1.0, since + 20.0, 1e9))
    return Fault(origin, rng.choice(("refuse", "lost")), since=since, until=until)


def _change(rng: Random, origin: int, file: int, version: int) -> Change:
    if rng.random() < 0.6:
        return Change(origin, file, version, after=rng.choice((1, 1, 2, 3, 5)))
    return Change(origin, file, version, at=rng.random() * rng.choice((0.3, 3.0, 20.0)))


def _plain(rng: Random) -> Scenario:
    count = rng.choice((1, 2, 2, 3))
    files = tuple(_file(rng) for _ in range(rng.choice((1, 1, 2))))
    origins = tuple(_origin(rng) for _ in range(count))
    routes = _routes(rng, count)
    clients = tuple(_client(rng, routes, files) for _ in range(rng.choice((1, 1, 2))))
    return Scenario(0, "", files, origins, routes, clients)


# Profiles


def _anything(rng: Random, world: Scenario) -> Scenario:
    """A little of everything."""
    count, files = len(world.origins), len(world.files)
    kinds = {**SILENT, **BREAKS, **BREAKS, **REFUSALS, **LIES}
    faults = tuple(
        _fault(rng, rng.randrange(count), files, kinds) for _ in range(rng.choice((0, 1, 2, 4)))
    )
    if rng.random() < 0.15:
        faults += (_outage(rng, rng.randrange(count)),)
    changes = []
    for _ in range(rng.choice((0, 0, 1, 2))):
        file = rng.randrange(files)
        version = rng.choice((GONE, 1, 1, 1, 2))
        changes += [
            _change(rng, origin, file, version) for origin in range(count) if rng.random() < 0.6
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
    files = (_file(rng, size, same_size=True),)
    one = rng.random() < 0.5
    origins = tuple(
        replace(
            _origin(rng),
            etag=rng.choice(("none", "none", "weak", "own", "strong")),
            modified=rng.choice(("none", "date", "mtime")),
            ranges=True,
        )
        for _ in range(1 if one else 2)
    )
    route = replace(_route(rng, "sources", tuple(range(len(origins)))), block_size=65536)
    if route.same == "length":
        route = replace(route, same="modified")
    clients = (Client("http", 0.0, (Ask(0, 0), Ask(0, 0, wait=1.0)), link=_link(rng)),)
    when = rng.choice((1, 2, 3))
    changes = tuple(Change(origin, 0, 1, after=when) for origin in range(len(origins)))
    return replace(
        world, files=files, origins=origins, routes=(route,), clients=clients, changes=changes
    )


def _rejoined(rng: Random, world: Scenario) -> Scenario:
    """A client leaves, the file is replaced, and the client asks for the rest by If-Range."""
    files = (_file(rng, rng.choice((4096, 100_000, 300_000)), same_size=True),)
    origin = replace(
        _origin(rng),
        etag=rng.choice(("none", "weak", "strong", "own")),
        modified=rng.choice(("none", "date", "mtime")),
    )
    count = rng.choice((1, 2))
    kind = rng.choice(("sources", "sources", "upstream"))
    route = _route(rng, kind, tuple(range(count)) if kind == "sources" else (0,))
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
        clients=(Client("http", 0.0, asks, link=_link(rng)),),
        changes=changes,
    )


def _resumed(rng: Random, world: Scenario) -> Scenario:
    """An answer breaks, and what comes after that may be of another version."""
    files = (_file(rng, rng.choice((100_000, 300_000)), same_size=True),)
    origin = replace(
        _origin(rng),
        ranges=True,
        length="declared",
        if_range=rng.random() < 0.5,
        repeats=rng.choice(("all", "none")),
        etag=rng.choice(("strong", "own", "none", "none")),
        modified=rng.choice(("mtime", "mtime", "none")),
        dated=True,
    )
    kind = rng.choice(("upstream", "sources"))
    route = replace(_route(rng, kind, (0,)), block_size=1 << 20, resume_for=30.0)
    fault = Fault(0, rng.choice(("reset", "cut", "stall")), first=0, after=rng.randrange(1, 90_000))
    changes = (Change(0, 0, 1, after=1),) if rng.random() < 0.8 else ()
    clients = (Client("http", 0.0, (Ask(0, 0),), link=_link(rng)),)
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
    files = (_file(rng, rng.choice((4096, 300_000))),)
    count = rng.choice((1, 2, 3))
    origins = []
    for index in range(count):
        origin = replace(_origin(rng), etag=rng.choice(("strong", "own", "none")), head=True)
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
    route = replace(_route(rng, kind, (0,)), redirects=rng.choice(("public", "same-host")))
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
        clients=(Client("http", 0.0, asks, link=_link(rng)),),
        changes=changes,
    )


def _stopped(rng: Random, world: Scenario) -> Scenario:
    """The daemon is stopped while slow clients are served, some of them in HTTP/1.0."""
    files = (_file(rng, rng.choice((200_000, 300_000, 700_000))),)
    origin = replace(_good_origin(rng), length=rng.choice(("close", "chunked", "declared")))
    kind = rng.choice(("upstream", "upstream", "sources"))
    routes = (_route(rng, kind, (0,)),)
    clients = tuple(
        Client(
            "http",
            rng.random(),
            (Ask(0, 0, minor=rng.choice((0, 0, 1)), pace=rng.choice((2e4, 1e5, 0.0))),),
            link=_link(rng),
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
    files = tuple(_file(rng, rng.choice((4096, 300_000))) for _ in range(2))
    origins = (_good_origin(rng), _good_origin(rng))
    route = replace(_route(rng, "sources", (0, 1)), same="modified", resume_for=30.0)
    faults = (
        Fault(0, "status", file=0, count=100, seconds=3600.0, status=rng.choice((429, 503))),
        replace(_outage(rng, 1), since=2.0, until=1e9),
    )
    asks = (Ask(0, 0), Ask(0, 1, wait=5.0))
    clients = (Client("http", 0.0, asks, link=_link(rng)),)
    return replace(
        world, files=files, origins=origins, routes=(route,), clients=clients, faults=faults
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
        ask = _ask(rng, routes, world.files)
        form = rng.choice(("{}-", "0-{}", "-{}", "{}-{}", "0-0,{}-", "1-{},{}-"))
        ask = replace(ask, range="bytes=" + form.replace("{}", text), in_path="", leave_at=-1)
        if rng.random() < 0.4:
            path = rng.choice((f"/{text}/{text}", f"/0/{text}", f"/{text}"))
            ask = replace(ask, range="", in_path=path)
        asks.append(ask)
    clients = (Client("http", 0.0, tuple(asks), link=_link(rng)),)
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
    route = _route(rng, "sources", tuple(range(len(world.origins))))
    asks = tuple(
        replace(_ask(rng, (route,), world.files), range="", again=3)
        for _ in range(rng.choice((1, 2)))
    )
    kinds = {**SILENT, **BREAKS, **REFUSALS}
    faults = tuple(
        replace(_fault(rng, index, 1, kinds), file=ANY, count=rng.choice((1, 100)))
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
    origins = tuple(_good_origin(rng) for _ in range(count))
    files = (_file(rng), _file(rng, 300_000))
    kinds = {**SILENT, **BREAKS, **BREAKS, **REFUSALS, **LIES}
    faults = []
    for index in range(count):
        if index != good:
            faults += [_fault(rng, index, 2, kinds) for _ in range(rng.choice((1, 2)))]
            if rng.random() < 0.3:
                faults.append(_outage(rng, index))
    kind = rng.choice(("sources", "sources", "query"))
    routes = (replace(_route(rng, kind, tuple(range(count))), resume_for=30.0),)
    clients = tuple(_client(rng, routes, files) for _ in range(rng.choice((1, 2))))
    return replace(
        world, files=files, origins=origins, routes=routes, clients=clients, faults=tuple(faults)
    )


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
}
_LOTS = (
    *("anything",) * 8,
    *("survives",) * 5,
    *("replaced", "rejoined", "resumed", "redirected", "read") * 2,
    *("stopped", "parked", "huge", "looped"),
)
