"""Clients that mean no good, or are merely slow: run as a process of its own against a port.

    python -m benchmarks.flooding FLOOD PORT SECONDS

Prints `ready` once all its connections are open, and at the end how much it did.
"""

from __future__ import annotations

import errno
import random
import resource
import selectors
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator

CLIENTS = 2000
SILENT = 1000
DROPS = 1000
"""A second."""
CONNECTIONS = 64
"""Of the floods of tiny ranges."""
STEP = 0.1
"""Seconds between two rounds of slow clients."""
SIZE = 256 << 20
"""Of the file, in bytes."""
GET = b"GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n"
RESET = struct.pack("ii", 1, 0)
IN_PROGRESS = (0, errno.EINPROGRESS)


def opened(port: int, count: int, buffer: int = 0) -> list[socket.socket]:
    """So many connections, opened a hundred at a time so that no queue overflows.

    With a `buffer`, which is that of the socket, each sends its request at once.
    """
    clients = []
    for number in range(count):
        client = socket.create_connection(("127.0.0.1", port), 20)
        client.setblocking(False)
        if buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            client.send(GET)
        clients.append(client)
        if number % 100 == 99:
            time.sleep(0.05)
    return clients


def rounds(seconds: float) -> Iterator[int]:
    """Numbers of rounds, one each STEP, for so long."""
    began = time.monotonic()
    number = 0
    while (now := time.monotonic()) - began < seconds:
        yield number
        number += 1
        time.sleep(max(0.0, STEP - (time.monotonic() - now)))


def slow_clients(port: int, seconds: float) -> str:
    """All read a file, at 16 kB/s each."""
    clients = opened(port, CLIENTS, 16384)
    ready()
    got = dict.fromkeys(clients, 0)
    for number in rounds(seconds):
        for client in clients[number % 10 :: 10]:
            got[client] += len(received(client, 16384))
    served = sum(count > 0 for count in got.values())
    return f"{served} of {CLIENTS} served, {sum(got.values()) / seconds / 1e6:.1f} MB/s"


def silent_readers(port: int, seconds: float) -> str:
    """All request a file and read nothing of it."""
    clients = opened(port, SILENT, 4096)
    ready()
    time.sleep(seconds)
    return f"{len(clients)} silent"


def slowloris(port: int, seconds: float) -> str:
    """All send a head, a byte each second, that never ends."""
    head = b"GET /big.bin HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 10_000
    clients = opened(port, CLIENTS)
    ready()
    open_still = len(clients)
    for number in rounds(seconds):
        for client in clients[number % 10 :: 10]:
            at = number // 10
            try:
                client.send(head[at : at + 1])
            except OSError:
                open_still -= 1
    return f"{open_still} of {CLIENTS} still open"


def drops(port: int, seconds: float) -> str:
    """Each opens a connection, sends a request and resets it, at once or a moment later."""
    ready()
    began, done, failed = time.monotonic(), 0, 0
    waiting: list[socket.socket] = []
    while (now := time.monotonic()) - began < seconds:
        while done < (now - began) * DROPS:
            done += 1
            client = socket.socket()
            client.setblocking(False)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            if client.connect_ex(("127.0.0.1", port)) not in IN_PROGRESS:
                failed += 1
            waiting.append(client)
            try:
                client.send(GET)
            except OSError:
                failed += 1
            if done % 2:
                waiting.pop().close()
            elif len(waiting) > 20:
                waiting.pop(0).close()
        time.sleep(0.002)
    return f"{done / seconds:.0f} a second, {failed} failed"


def herd(port: int, seconds: float) -> str:
    """All request a small range at the same moment, and again when all have been answered."""
    clients = opened(port, CLIENTS)
    ready()
    selector = selectors.DefaultSelector()
    for client in clients:
        selector.register(client, selectors.EVENT_READ, (client, Answer()))
    began, times, longest = time.monotonic(), 0, 0.0
    while (now := time.monotonic()) - began < seconds:
        left = len(clients)
        for client in clients:
            client.send(request(b"0-1023"))
        while left:
            for key, _ in selector.select(20):
                asking, answer = key.data
                left -= answer.is_whole(received(asking, 65536))
        times, longest = times + 1, max(longest, time.monotonic() - now)
        time.sleep(0.5)
    return f"{times} times {CLIENTS} requests, answered within {longest:.1f} s"


def tiny_ranges(port: int, seconds: float) -> str:
    """Ranges of one byte, one after the other on each of a few connections."""
    return ask_ranges(port, seconds, lambda: b"%d-%d" % ((random.randrange(SIZE),) * 2))


def many_ranges(port: int, seconds: float) -> str:
    """Requests for 16 ranges of one byte."""
    text = b",".join(b"%d-%d" % (at, at) for at in range(0, SIZE, SIZE // 16))
    return ask_ranges(port, seconds, lambda: text)


def ask_ranges(port: int, seconds: float, ranges: Callable[[], bytes]) -> str:
    """Request such ranges; answers end with what ends the last part, or one byte."""
    selector = selectors.DefaultSelector()
    for client in opened(port, CONNECTIONS):
        selector.register(client, selectors.EVENT_READ, (client, Answer()))
        client.send(request(ranges()))
    ready()
    deadline, answered = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        for key, _ in selector.select(0.1):
            asking, answer = key.data
            if answer.is_whole(received(asking, 65536)):
                answered += 1
                asking.send(request(ranges()))
    return f"{answered / seconds:,.0f} a second"


class Answer:
    """Tells when the answers on one connection are whole, by their Content-Length."""

    def __init__(self) -> None:
        self._data = b""

    def is_whole(self, data: bytes) -> bool:
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        if not found:
            return False
        if not head.startswith(b"HTTP/1.1 206 "):
            raise RuntimeError(head.split(b"\r\n", 1)[0].decode())
        at = head.lower().index(b"content-length:")
        if len(body) < int(head[at + 15 :].split(b"\r\n", 1)[0]):
            return False
        self._data = b""
        return True


def request(ranges: bytes) -> bytes:
    return b"GET /big.bin HTTP/1.1\r\nHost: x\r\nRange: bytes=%s\r\n\r\n" % ranges


def received(client: socket.socket, count: int) -> bytes:
    try:
        return client.recv(count)
    except OSError:
        return b""


def ready() -> None:
    print("ready", flush=True)


FLOODS: dict[str, Callable[[int, float], str]] = {
    "slow clients": slow_clients,
    "silent readers": silent_readers,
    "slowloris": slowloris,
    "drops": drops,
    "herd": herd,
    "tiny ranges": tiny_ranges,
    "many ranges": many_ranges,
}
COUNTS = {"slow clients": CLIENTS, "silent readers": SILENT, "slowloris": CLIENTS, "herd": CLIENTS}
"""Clients that are there at once, where memory for each is of interest."""


def raise_limit() -> int:
    """Have as many files open as may be; return how many that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


if __name__ == "__main__":
    print(FLOODS[sys.argv[1]](int(sys.argv[2]), float(sys.argv[3])), flush=True)
