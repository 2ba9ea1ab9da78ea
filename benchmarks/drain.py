"""Many clients in one process, which drop what they get in the kernel.

    python -m benchmarks.drain PORT PATH CLIENTS BYTES [RATE]

Each asks for PATH and takes BYTES of its body, at once or at RATE bytes a second. Prints the
seconds that all took, and how many were late: more than a second behind their rate at some time.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from dataclasses import dataclass

AT_ONCE = 1 << 20
TICK = 0.02
GRACE = 1.0
AHEAD = 1 << 20
"""Bytes that a client with a rate takes ahead of it, as a player's buffer does."""


@dataclass(eq=False)
class Client:
    """One connection, and how much of the body has come."""

    sock: socket.socket
    head: bytes = b""
    got: int = -1
    late: bool = False

    def read(self, most: int) -> bool:
        """Take what is there; return whether the connection is still open."""
        try:
            if self.got < 0:
                self.head += self.sock.recv(4096)
                if b"\r\n\r\n" in self.head:
                    self.got = len(self.head.partition(b"\r\n\r\n")[2])
                    if not self.head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 206")):
                        raise RuntimeError(self.head[:100].decode())
                return bool(self.head)
            count = self.sock.recv_into(_SPACE, min(most, AT_ONCE), socket.MSG_TRUNC)
        except BlockingIOError:
            return True
        self.got += count
        return count > 0


_SPACE = bytearray(AT_ONCE)


def connected(port: int, path: str) -> Client:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    sock.setblocking(False)
    return Client(sock)


def drain(port: int, path: str, count: int, size: int, rate: float | None) -> tuple[float, int]:
    """Return the seconds that it took, and how many clients were late."""
    began = time.monotonic()
    clients = [connected(port, path) for _ in range(count)]
    if rate is None:
        _at_once(clients, size)
    else:
        _paced(clients, size, rate)
    short = sum(each.got < size for each in clients)
    if short:
        raise RuntimeError(f"{short} bodies were cut")
    return time.monotonic() - began, sum(each.late for each in clients)


def _at_once(clients: list[Client], size: int) -> None:
    watched = selectors.DefaultSelector()
    for each in clients:
        watched.register(each.sock, selectors.EVENT_READ, each)
    while watched.get_map():
        for key, _ in watched.select():
            each = key.data
            if not each.read(AT_ONCE) or each.got >= size:
                watched.unregister(each.sock)
                each.sock.close()


def _paced(clients: list[Client], size: int, rate: float) -> None:
    since, left = time.monotonic(), list(clients)
    while left:
        now = time.monotonic() - since
        for each in list(left):
            room = int(min(size, rate * now + AHEAD)) - max(0, each.got)
            open_still = room <= 0 or each.read(room)
            each.late |= each.got < min(size, rate * (now - GRACE))
            if not open_still or each.got >= size:
                left.remove(each)
                each.sock.close()
        time.sleep(max(0.0, TICK - (time.monotonic() - since - now)))


def main() -> None:
    port, path, count, size, *rate = sys.argv[1:]
    seconds, late = drain(int(port), path, int(count), int(size), float(rate[0]) if rate else None)
    print(seconds, late)


if __name__ == "__main__":
    main()
