"""What watching the admin page costs the daemon, by the number of transfers.

    python -m benchmarks.watching [--seconds 10] [--workers 1] [TRANSFERS ...]

Each transfer reads a film of 256 MiB from three mirrors, and is held to 1 KiB/s after 128 KiB, so
that the transfers themselves cost little and always the same. Columns:

    CPU      milliseconds of CPU in a second of watching, over nobody watching before and after
    KiB      size of a snapshot, one a second for each viewer
    s        longest time between two snapshots

Ends with 1 where a second of watching takes more than MOST of CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from itertools import pairwise
from math import inf
from pathlib import Path

from benchmarks.daemon import start_daemon
from benchmarks.flooding import raise_limit
from benchmarks.processes import cpu_seconds
from tests.support.nginx import Nginx, free_port

MOST = 100.0
"""Milliseconds of CPU in a second."""
SIZE = 256 << 20
MODIFIED = 1_700_000_000
"""When the film was changed; the same for all mirrors."""
TAKEN = 1 << 17
"""Bytes that each client is sent at once."""
SETTLE = 60.0
"""Seconds, at most, until transfers that have begun cost no less than before."""
VIEWERS = (1, 16)
CONFIG = """\
listen: ["tcp:{port}:interface=127.0.0.1"]
admin: tcp:{admin}
workers: {workers}
routes:
  - path: /
    send_timeout: 1h
    limit_rate: 1KiB
    limit_rate_after: 128KiB
    window: 256KiB
    block_size: 64KiB
    sources: [{sources}]
"""


def started(
    folder: Path, urls: Sequence[str], workers: int, stack: ExitStack
) -> tuple[int, int, int]:
    """The process of a daemon, its port and its admin port."""
    port, admin = free_port(), free_port()
    sources = ", ".join(f"{{url: '{url}', connections: 64}}" for url in urls)
    path = folder / "aprp.yaml"
    path.write_text(CONFIG.format(port=port, admin=admin, workers=workers, sources=sources))
    return start_daemon(port, stack, "--config", str(path)), port, admin


def begun(port: int, count: int, stack: ExitStack) -> None:
    """Begin transfers, and take what each is sent at once."""
    clients = []
    for _ in range(count):
        client = stack.enter_context(socket.create_connection(("127.0.0.1", port), 120))
        client.sendall(b"GET /film HTTP/1.1\r\nHost: localhost\r\n\r\n")
        clients.append(client)
    for client in clients:
        left = TAKEN
        while left:
            if not (data := client.recv(left)):
                raise RuntimeError("a transfer failed; are the mirrors overloaded?")
            left -= len(data)


class Viewer(threading.Thread):
    """Reads snapshots until the stream ends."""

    def __init__(self, admin: int) -> None:
        super().__init__(daemon=True)
        self.sizes: list[int] = []
        self.times: list[float] = []
        self.last = b""
        self._stream = socket.create_connection(("127.0.0.1", admin), 120)
        self._stream.sendall(b"GET /events HTTP/1.0\r\nHost: localhost\r\n\r\n")
        self.start()

    def run(self) -> None:
        with suppress(OSError), self._stream.makefile("rb") as lines:
            for line in lines:
                if line.startswith(b"data: "):
                    self.last = line
                    self.sizes.append(len(line))
                    self.times.append(time.monotonic())

    @property
    def longest(self) -> float:
        """Seconds between two snapshots, at most."""
        return max((after - before for before, after in pairwise(self.times)), default=inf)

    def stop(self) -> None:
        with suppress(OSError):
            self._stream.shutdown(socket.SHUT_RDWR)
        self.join()
        self._stream.close()


def used(pid: int, seconds: float) -> float:
    """Milliseconds of CPU in a second, as a mean of so many."""
    before = cpu_seconds(pid)
    time.sleep(seconds)
    return (cpu_seconds(pid) - before) / seconds * 1000


def settle(pid: int) -> None:
    """Wait until what the transfers cost by themselves falls no more."""
    deadline, before = time.monotonic() + SETTLE, inf
    while (cost := used(pid, 3.0)) < 0.9 * before and time.monotonic() < deadline:
        before = cost


def measured(
    transfers: int, urls: Sequence[str], workers: int, folder: Path, seconds: float
) -> float:
    """Print the rows of so many transfers; return the highest cost."""
    with ExitStack() as stack:
        pid, port, admin = started(folder, urls, workers, stack)
        begun(port, transfers, stack)
        settle(pid)
        idle, worst = used(pid, seconds), 0.0
        for count in VIEWERS:
            viewers = [Viewer(admin) for _ in range(count)]
            while not all(viewer.sizes for viewer in viewers):
                time.sleep(0.1)
            watched = used(pid, seconds)
            for viewer in viewers:
                viewer.stop()
            before, idle = idle, used(pid, seconds)
            cost = watched - (before + idle) / 2
            told = json.loads(viewers[0].last.removeprefix(b"data: "))
            if told["transfers"] != transfers:
                raise RuntimeError(f"{told['transfers']} transfers are running, not {transfers}")
            size = max(viewers[0].sizes) / 1024
            longest = max(viewer.longest for viewer in viewers)
            print(f"{transfers:9}{count:9}{cost:9.1f}{size:9.1f}{longest:9.1f}", flush=True)
            worst = max(worst, cost)
    return worst


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.watching", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each row")
    parser.add_argument("--workers", type=int, default=1, help="of the daemon")
    parser.add_argument("transfers", nargs="*", type=int, default=[10, 100, 500])
    options = parser.parse_args(arguments)
    raise_limit()
    print(f"{'transfers':>9}{'viewers':>9}{'CPU':>9}{'KiB':>9}{'s':>9}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        urls = []
        for number in range(3):
            mirror = Nginx(folder / str(number))
            stack.callback(mirror.stop)
            with open(mirror.www / "film", "wb") as file:
                file.truncate(SIZE)
            os.utime(mirror.www / "film", (MODIFIED, MODIFIED))
            urls.append(mirror.url)
        costs = [
            measured(each, urls, options.workers, folder, options.seconds)
            for each in options.transfers
        ]
    return int(max(costs) > MOST)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
