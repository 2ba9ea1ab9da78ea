"""The named scenarios, and sets of random ones by seed. Rates in MB/s, latencies in ms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import inf
from random import Random

from aprp.core.scheduling.messages import MIB
from aprp.core.values import dataclass
from aprp.simulator.mirror import Mirror, loss_limit

MB = 1_000_000
SIZE = 100 * MB


@dataclass(frozen=True, slots=True)
class Scenario:
    """One transfer to simulate.

    Args:
        name: for the table.
        mirrors: the sources.
        size: bytes.
        window: bytes.
        drain: bytes a second that the client takes.
        seed: of what is random in the run itself.
        faulty: whether something dies, stalls or lies on the way.
    """

    name: str
    mirrors: tuple[Mirror, ...]
    size: int = SIZE
    window: int = 32 * MIB
    drain: float = inf
    seed: int = 0
    faulty: bool = False


def mirrors(*rates: float, latency: float = 20) -> tuple[Mirror, ...]:
    """Mirrors a, b, c ... of these rates in MB/s, all at one latency in ms."""
    return tuple(Mirror("abcdefghij"[i], rate * MB, latency / 1000) for i, rate in enumerate(rates))


def at(*pairs: tuple[float, float]) -> tuple[Mirror, ...]:
    """Mirrors of (MB/s, ms)."""
    return tuple(
        Mirror("abcdefghij"[i], rate * MB, latency / 1000)
        for i, (rate, latency) in enumerate(pairs)
    )


def _stalled(mirror: Mirror, start: float, seconds: float) -> Mirror:
    return replace(mirror, changes=((start, 0.0), (start + seconds, mirror.rate)))


def named() -> tuple[Scenario, ...]:
    """All named scenarios."""
    ten = mirrors(10, 5, 1)
    crossing = (
        replace(ten[0], changes=((4.5, 1.0 * MB),)),
        replace(mirrors(1, 1)[1], changes=((4.5, 10.0 * MB),)),
    )
    kills = tuple(
        Scenario(
            f"10 5 1, {ten[i].name} dies at {time} s",
            tuple(replace(m, dies_at=time) if j == i else m for j, m in enumerate(ten)),
            faulty=True,
        )
        for i in range(3)
        for time in (0.03, 0.5, 3.0)
    )
    return (
        Scenario("8 8 8", mirrors(8, 8, 8)),
        Scenario("10 5 1", ten),
        Scenario("10 0.3", mirrors(10, 0.3)),
        Scenario("0.3 10", mirrors(0.3, 10)),
        Scenario("20 2 2 2", mirrors(20, 2, 2, 2)),
        Scenario("eight 3s", mirrors(3, 3, 3, 3, 3, 3, 3, 3)),
        Scenario("9@60 4@180 2@30", at((9, 60), (4, 180), (2, 30))),
        Scenario("8@5 8@50 8@200", at((8, 5), (8, 50), (8, 200))),
        Scenario("10 1 becomes 1 10", crossing),
        Scenario("10 5 1, window 4 MiB", ten, window=4 * MIB),
        Scenario("8@5 8@50 8@200, window 4 MiB", at((8, 5), (8, 50), (8, 200)), window=4 * MIB),
        Scenario("10 5 1, three blocks", ten, size=3 * MIB),
        Scenario("10 5 1, slow client at 4", ten, drain=4 * MB),
        Scenario("10 5 1, slow start", tuple(replace(m, slow_start=True) for m in ten)),
        Scenario(
            "eight connections of 2 each",
            (replace(mirrors(100)[0], per_connection=2.0 * MB, connections=8),),
        ),
        Scenario(
            "two names for one bottleneck",
            tuple(replace(m, bottleneck="x") for m in mirrors(10, 10)),
        ),
        Scenario(
            "10 5 1, silent stall of a",
            (_stalled(ten[0], 2.0, 60.0), *ten[1:]),
            faulty=True,
        ),
        Scenario(
            "10 5 1, a stalls for 1 s",
            (_stalled(ten[0], 2.0, 1.0), *ten[1:]),
            faulty=True,
        ),
        Scenario("10 5 1, b lies", (ten[0], replace(ten[1], lies_at=1.0), ten[2]), faulty=True),
        *kills,
        *_over_both_versions(),
    )


def _over_both_versions() -> Iterator[Scenario]:
    """Where one connection is better, and where several are: by HTTP/1.1, and by HTTP/2, whose
    requests share connections."""
    far = replace(mirrors(20, latency=50)[0], slow_start=True, connections=8)
    limit = loss_limit(0.03, 0.01)
    lossy = replace(mirrors(20, latency=30)[0], per_connection=limit, connections=8)
    for version, shared in (("HTTP/1.1", False), ("HTTP/2", True)):
        one, many = replace(far, shared=shared), replace(lossy, shared=shared)
        yield Scenario(f"20@50, 3 MB, {version}", (one,), size=3 * MB)
        yield Scenario(f"20@30, 1% loss, {version}", (many,), size=30 * MB)


def _random_mirrors(draw: Random) -> tuple[Mirror, ...]:
    return tuple(
        Mirror(
            "abcdefghij"[i],
            0.5 * MB * 40 ** draw.random(),
            0.005 * 40 ** draw.random(),
        )
        for i in range(draw.randint(2, 6))
    )


def _expected(mirrors: tuple[Mirror, ...]) -> float:
    return SIZE / sum(mirror.rate for mirror in mirrors)


def _plain(mirrors: tuple[Mirror, ...], draw: Random) -> tuple[Mirror, ...]:
    return mirrors


def _jitter(mirrors: tuple[Mirror, ...], draw: Random) -> tuple[Mirror, ...]:
    """Rates change to ±50% of their mean every 0.1 to 0.5 s, latencies by ±50% each time."""

    def changes(mirror: Mirror) -> Iterator[tuple[float, float]]:
        time = 0.0
        while time < 4 * _expected(mirrors) + 10:
            yield time, mirror.rate * draw.uniform(0.5, 1.5)
            time += draw.uniform(0.1, 0.5)

    return tuple(replace(m, changes=tuple(changes(m)), jitter=0.5) for m in mirrors)


def _kill(mirrors: tuple[Mirror, ...], draw: Random) -> tuple[Mirror, ...]:
    victim, time = draw.randrange(len(mirrors)), draw.uniform(0, 0.9) * _expected(mirrors)
    return tuple(replace(m, dies_at=time) if i == victim else m for i, m in enumerate(mirrors))


def _stall(mirrors: tuple[Mirror, ...], draw: Random) -> tuple[Mirror, ...]:
    victim, time = draw.randrange(len(mirrors)), draw.uniform(0, 0.9) * _expected(mirrors)
    return tuple(
        _stalled(m, time, draw.choice([1.0, 600.0])) if i == victim else m
        for i, m in enumerate(mirrors)
    )


def _shuffle(mirrors: tuple[Mirror, ...], draw: Random) -> tuple[Mirror, ...]:
    rates = [mirror.rate for mirror in mirrors]
    draw.shuffle(rates)
    time = draw.uniform(0.2, 0.8) * _expected(mirrors)
    return tuple(
        replace(m, changes=((time, rate),)) for m, rate in zip(mirrors, rates, strict=True)
    )


SETS: dict[str, Callable[[tuple[Mirror, ...], Random], tuple[Mirror, ...]]] = {
    "random": _plain,
    "random jitter": _jitter,
    "random kill": _kill,
    "random stall": _stall,
    "random shuffle": _shuffle,
}


def random_set(name: str, count: int, first_seed: int = 0) -> Iterator[Scenario]:
    """``count`` scenarios of a set: 2 to 6 sources, 0.5 to 20 MB/s, 5 to 200 ms, drawn evenly on
    a logarithmic scale; the same seed gives the same one."""
    for seed in range(first_seed, first_seed + count):
        draw = Random(f"{name} {seed}")
        drawn = SETS[name](_random_mirrors(draw), draw)
        yield Scenario(
            f"{name} {seed}", drawn, seed=seed, faulty=name in ("random kill", "random stall")
        )
