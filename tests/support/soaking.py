"""Many clients through one proxy to an upstream that breaks every second response.

Every body is compared by hash. What is left over at the end is counted: descriptors, delayed calls,
connections. `python -m benchmarks.soak` runs it for a minute, a test for a few seconds.
"""

from __future__ import annotations

import hashlib
import os
import random
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from aprp.web.access_record import AccessRecord
from tests.support.client import Client, connect, get
from tests.support.origin import Origin
from tests.support.proxied_case import Proxy
from tests.support.replies import Close, File, Pattern, Received, Reply, Reset

SIZE = 400_000
CONTENT = Pattern(SIZE)
ALL = CONTENT[0:SIZE]


@dataclass
class Outcome:
    """What happened. `wrong` are requests whose answer wasn't whole and right."""

    requests: int = 0
    bytes: int = 0
    broken: int = 0
    resumes: int = 0
    wrong: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)


class Breaking:
    """The upstream's behaviour."""

    def __init__(self, dice: random.Random, outcome: Outcome) -> None:
        self._dice = dice
        self._outcome = outcome
        self._file = File(CONTENT)

    def __call__(self, received: Received) -> Reply:
        reply = self._file.reply(received)
        if received.number % 2 or not reply.length:
            return reply
        self._outcome.broken += 1
        return reply.broken(
            self._dice.randrange(reply.length), self._dice.choice((Close(), Reset()))
        )


async def soak(reactor: Any, seconds: float, clients: int = 64, seed: int = 1) -> Outcome:
    """Run it for so long; all that it opened is closed when it returns."""
    outcome = Outcome()
    dice = random.Random(seed)
    origin = Origin(Breaking(dice, outcome))
    await origin.start()  # the reactor's first port has it open some files of its own
    await origin.stop()
    await deferLater(reactor, 0.0)
    before = _held(reactor)
    await origin.start()

    def observe(record: AccessRecord) -> None:
        outcome.resumes += record.resumes

    proxy = Proxy(origin.url, observe)
    until = reactor.seconds() + seconds
    running = [
        _client(reactor, proxy.port, random.Random(seed + n), until, outcome)
        for n in range(clients)
    ]
    await gatherResults([Deferred.fromCoroutine(each) for each in running], consumeErrors=True)
    await proxy.stop()
    await origin.stop()
    outcome.leaked = await _left_over(reactor, before)
    if proxy.agent.connections or origin.open:
        outcome.leaked.append(f"connections: {proxy.agent.connections}, {origin.open}")
    return outcome


def _held(reactor: Any) -> dict[str, int]:
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "delayed calls": len(reactor.getDelayedCalls()),
    }


async def _left_over(reactor: Any, before: dict[str, int]) -> list[str]:
    """What is held more than before, once closes that are under way have been seen."""
    deadline = reactor.seconds() + 5.0
    while True:
        more = [
            f"{name}: {before[name]} to {n}"
            for name, n in _held(reactor).items()
            if n > before[name]
        ]
        if not more or reactor.seconds() > deadline:
            return more
        await deferLater(reactor, 0.0)


async def _client(
    reactor: Any, port: int, dice: random.Random, until: float, outcome: Outcome
) -> None:
    client: Client | None = None
    while reactor.seconds() < until:
        if client is None or client.closed:
            client = await connect(port)
        client.forget()
        line, expected = _request(dice)
        await client.send(get(b"/film", *line))
        seen = (await client.answers([b"GET"]))[-1:]
        outcome.requests += 1
        outcome.bytes += len(expected)
        whole = bool(seen) and seen[0].whole and seen[0].status == (206 if line else 200)
        if not whole or _digest(seen[0].body) != _digest(expected):
            outcome.wrong.append(f"{line}: {seen[0].status if seen else client.closed}")
        if dice.random() < 0.05:
            await _leave(client)
    if client is not None:
        await _leave(client)


async def _leave(client: Client) -> None:
    if not client.closed:
        client.transport.abortConnection()
        await client.until(lambda: client.closed is not None)


def _request(dice: random.Random) -> tuple[tuple[bytes, ...], bytes]:
    if dice.random() < 0.3:
        return (), ALL
    start = dice.randrange(SIZE)
    stop = dice.randrange(start + 1, SIZE + 1)
    return (b"Range: bytes=%d-%d" % (start, stop - 1),), ALL[start:stop]


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
