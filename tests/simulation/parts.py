"""The parts that worlds are made of, picked by a random source."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

from tests.simulation.network import Link
from tests.simulation.scenario import (
    ANY,
    Ask,
    Change,
    Client,
    Fault,
    File,
    Origin,
    Route,
    Scenario,
    Version,
)

Random = random.Random


def any_size(rng: Random) -> int:
    return rng.choice(
        (0, 1, 100, 4096, 4097, 65536, 65537, 100_000, 100_001, 200_000, 200_001, 300_000, 700_000)
    )


def any_file(rng: Random, size: int | None = None, same_size: bool | None = None) -> File:
    first = any_size(rng) if size is None else size
    alike = rng.random() < 0.6 if same_size is None else same_size
    mtime = -rng.randrange(5000, 10_000_000)
    versions = []
    for number in range(rng.choice((2, 2, 3))):
        length = first if alike or not number else any_size(rng)
        start = rng.randrange(1 << 40)
        versions.append(Version(length, start, mtime, f"v{number}-{start:x}"))
        mtime += rng.randrange(1, 1000)
    return File(tuple(versions))


def any_link(rng: Random) -> Link:
    return Link(
        latency=rng.choice((0.0005, 0.005, 0.02, 0.1, 0.3)),
        rate=rng.choice((4e5, 2e6, 4e6, 4e7)),
        segment=rng.choice((16384, 65536, 65536)),
        small=rng.choice((0, 0, 0, 4)),
        crumb=rng.choice((1, 30, 200)),
    )


def any_origin(rng: Random) -> Origin:
    return Origin(
        link=any_link(rng),
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


def good_origin(rng: Random) -> Origin:
    return Origin(link=any_link(rng), digests=("sha-256",))


def any_route(rng: Random, kind: str, origins: tuple[int, ...]) -> Route:
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


def any_routes(rng: Random, count: int) -> tuple[Route, ...]:
    every = tuple(range(count))
    found = []
    for _ in range(rng.choice((1, 1, 2))):
        kind = rng.choice(("upstream", "sources", "sources", "sources", "query"))
        if kind == "upstream":
            found.append(any_route(rng, kind, (rng.choice(every),)))
        else:
            picked = tuple(sorted(rng.sample(every, rng.randint(1, count))))
            found.append(any_route(rng, kind, picked))
    return tuple(found)


def any_range(rng: Random, size: int) -> str:
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


def any_ask(rng: Random, routes: tuple[Route, ...], files: tuple[File, ...]) -> Ask:
    route, file = rng.randrange(len(routes)), rng.randrange(len(files))
    size = files[file].versions[0].size
    ranged = rng.random() < 0.45
    ask = Ask(
        route,
        file,
        method="HEAD" if rng.random() < 0.05 else "GET",
        range=any_range(rng, size) if ranged else "",
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


def any_client(rng: Random, routes: tuple[Route, ...], files: tuple[File, ...]) -> Client:
    asks = tuple(any_ask(rng, routes, files) for _ in range(rng.choice((1, 1, 2))))
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
        link=any_link(rng),
        pipelined=rng.random() < 0.1,
        trickle=rng.choice((0,) * 12 + (7,)),
    )


def any_fault(rng: Random, origin: int, files: int, kinds: Mapping[str, object]) -> Fault:
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


def any_outage(rng: Random, origin: int) -> Fault:
    since = rng.choice((0.0, 0.0, rng.random() * 2))
    until = rng.choice((since + 1.0, since + 20.0, 1e9))
    return Fault(origin, rng.choice(("refuse", "lost")), since=since, until=until)


def any_change(rng: Random, origin: int, file: int, version: int) -> Change:
    if rng.random() < 0.6:
        return Change(origin, file, version, after=rng.choice((1, 1, 2, 3, 5)))
    return Change(origin, file, version, at=rng.random() * rng.choice((0.3, 3.0, 20.0)))


def plain_world(rng: Random) -> Scenario:
    count = rng.choice((1, 2, 2, 3))
    files = tuple(any_file(rng) for _ in range(rng.choice((1, 1, 2))))
    origins = tuple(any_origin(rng) for _ in range(count))
    routes = any_routes(rng, count)
    clients = tuple(any_client(rng, routes, files) for _ in range(rng.choice((1, 1, 2))))
    return Scenario(0, "", files, origins, routes, clients)
