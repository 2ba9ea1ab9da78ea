"""What besets a daemon with limits: memory that runs short, and clients behind a balancer."""

from __future__ import annotations

import random
import socket
from dataclasses import replace
from struct import pack

from tests.simulation.scenario import Scenario, Shortage

BALANCER = "10.9.9.9"
"""The address from which those come that a balancer tells of."""


def hello(version: int, host: str, where: tuple[str, int]) -> bytes:
    """Return the header of the PROXY protocol (its specification, 2.1 and 2.2)."""
    if version == 1:
        return f"PROXY TCP4 {host} {where[0]} 1000 {where[1]}\r\n".encode()
    addresses = socket.inet_aton(host) + socket.inet_aton(where[0])
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + addresses + pack(">HH", 1000, where[1])


def beset(rng: random.Random, world: Scenario) -> Scenario:
    """Have the clients of a limited daemon come through a balancer, or its memory run short."""
    if rng.random() < 0.4:
        clients = tuple(replace(each, proxy=rng.choice((1, 2))) for each in world.clients)
        world = replace(world, clients=clients)
    if rng.random() < 0.4:
        since = rng.choice((0.0, 0.1, 0.5, 299.0))
        shortage = Shortage(since, since + rng.choice((0.2, 1.0, 5.0, 100.0)))
        operations = tuple(
            replace(each, limits=replace(each.limits, memory=rng.choice((0, 1 << 30))))
            for each in world.operations
        )
        limits = replace(world.limits, memory=1 << 30)
        world = replace(world, limits=limits, operations=operations, shortages=(shortage,))
    return world
