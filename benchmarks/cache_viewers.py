"""Many viewers of a few films, who seek, in front of mirrors of limited rate.

Which film a viewer chooses follows a Zipf law. Each watches at the film's own rate, seeks now and
then, and has two seconds to fill its buffer after each seek; from then on it stalls whenever a byte
comes later than it has to be shown. What the mirrors sent is compared with the distinct bytes that
viewers took from their sockets; what waits there when they leave was sent for nothing.
"""

from __future__ import annotations

import asyncio
import random
import socket
from dataclasses import dataclass, field

FILMS = 20
LENGTH = 32 << 20
RATE = 512 << 10
"""Bytes per second of a film."""
PIECE = 16 << 10
BUFFER = 2.0
"""Seconds."""


@dataclass
class Watched:
    """What viewers received, by film, in pieces; and how often they had to wait."""

    pieces: dict[str, set[int]] = field(default_factory=dict)
    stalls: int = 0
    views: int = 0
    failures: int = 0

    @property
    def distinct(self) -> int:
        return PIECE * sum(map(len, self.pieces.values()))


def film_name(number: int) -> str:
    return f"film{number}.mp4"


async def watch(port: int, viewers: int, seconds: float) -> Watched:
    """Have so many viewers watch for that long."""
    watched = Watched()
    weights = [1 / rank for rank in range(1, FILMS + 1)]
    chances = [random.Random(number) for number in range(viewers)]
    tasks = []
    for chance in chances:
        film = film_name(chance.choices(range(FILMS), weights)[0])
        tasks.append(_viewer(port, film, chance, seconds, watched))
    await asyncio.gather(*tasks)
    return watched


async def _viewer(
    port: int, film: str, chance: random.Random, seconds: float, watched: Watched
) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    await asyncio.sleep(chance.uniform(0, seconds / 4))
    at = 0
    while loop.time() < end:
        until = min(end, loop.time() + chance.uniform(10, 30))
        try:
            await _view(port, film, at, until, watched)
        except OSError:
            watched.failures += 1
        at = chance.randrange(0, LENGTH // 2, PIECE)


async def _view(port: int, film: str, at: int, until: float, watched: Watched) -> None:
    loop = asyncio.get_running_loop()
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2 * PIECE)
    client.setblocking(False)
    await loop.sock_connect(client, ("127.0.0.1", port))
    watched.views += 1
    try:
        request = f"GET /{film} HTTP/1.1\r\nHost: x\r\nRange: bytes={at}-\r\n\r\n"
        await loop.sock_sendall(client, request.encode())
        early = await _body_of(client)
        shown = loop.time() + BUFFER
        while at + PIECE <= LENGTH and loop.time() < until:
            await _read(client, PIECE - early)
            early = 0
            watched.pieces.setdefault(film, set()).add(at // PIECE)
            now = loop.time()
            if now > shown:
                watched.stalls += 1
                shown = now
            shown += PIECE / RATE
            at += PIECE
            await asyncio.sleep(max(0.0, shown - BUFFER - now))
    finally:
        client.close()


async def _body_of(client: socket.socket) -> int:
    """Read the head of a response, and return how many bytes of the body came with it."""
    loop, got = asyncio.get_running_loop(), b""
    while b"\r\n\r\n" not in got:
        more = await loop.sock_recv(client, 4096)
        if not more:
            raise OSError("closed before the body")
        got += more
    if b" 206 " not in got.split(b"\r\n", 1)[0]:
        raise OSError(got.split(b"\r\n", 1)[0].decode("latin-1"))
    return len(got.partition(b"\r\n\r\n")[2])


async def _read(client: socket.socket, count: int) -> None:
    """Take so many bytes from the socket, and leave the rest there."""
    while count:
        got = len(await asyncio.get_running_loop().sock_recv(client, count))
        if not got:
            raise OSError("closed in the body")
        count -= got
