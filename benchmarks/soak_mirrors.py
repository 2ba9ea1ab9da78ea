"""Many transfers at once over three mirrors of which one flaps: bytes, memory, descriptors.

    python -m benchmarks.soak_mirrors [SECONDS] [TRANSFERS]

Every client reads random ranges one after the other and compares them. Once a second the daemon's
memory and open descriptors are looked at; a mirror is killed and started again every few seconds.
Ends with 1 where a byte was wrong, an answer was short, or descriptors are left over.
"""

from __future__ import annotations

import http.client
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.lines import Mirror, mirrors
from benchmarks.mirrors import MB, proxy

SIZE = 32 * MB


class Clients:
    """`count` threads that read until told to stop."""

    def __init__(self, url: str, content: bytes, count: int) -> None:
        self.reads = 0
        self.wrong: list[str] = []
        self._url = urlsplit(url)
        self._content = content
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._read, args=(n,)) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _read(self, number: int) -> None:
        chance = random.Random(number)
        while not self._over.is_set():
            start = chance.randrange(SIZE)
            stop = min(SIZE, start + chance.randrange(1, 8 * MB))
            try:
                right = self._part(start, stop) == self._content[start:stop]
            except (OSError, http.client.HTTPException) as error:
                self.wrong.append(f"[{start}, {stop}): {error!r}")
                continue
            self.reads += 1
            if not right:
                self.wrong.append(f"[{start}, {stop}): other bytes")

    def _part(self, start: int, stop: int) -> bytes:
        connection = http.client.HTTPConnection(self._url.netloc, timeout=120)
        try:
            connection.request(
                "GET", self._url.path, headers={"Range": f"bytes={start}-{stop - 1}"}
            )
            return connection.getresponse().read()
        finally:
            connection.close()


def look(pid: int) -> tuple[int, int]:
    """Bytes of memory and number of descriptors of a process."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    rss = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))
    return rss, len(os.listdir(f"/proc/{pid}/fd"))


def flap(mirror: Mirror, seconds: float) -> None:
    mirror.kill()
    time.sleep(seconds)
    mirror.start()


def main(arguments: Sequence[str]) -> int:
    seconds = float(arguments[0]) if arguments else 120.0
    count = int(arguments[1]) if len(arguments) > 1 else 100
    content = random.Random(3).randbytes(SIZE)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with (
            mirrors(folder / "m", content, (40 * MB, 30 * MB, 20 * MB)) as made,
            proxy([mirror.url for mirror in made], folder) as (daemon, url),
        ):
            before = look(daemon.pid)
            clients = Clients(url, content, count)
            deadline, samples = time.monotonic() + seconds, []
            while time.monotonic() < deadline:
                flap(made[0], 1.0)
                time.sleep(2.0)
                samples.append(look(daemon.pid))
            clients.stop()
            time.sleep(1.0)
            after = look(daemon.pid)
            faults = (folder / "aprp.log").read_text().count("Traceback")
    half = len(samples) // 2
    print(f"{clients.reads} ranges read, {len(clients.wrong)} wrong; {faults} tracebacks")
    for wrong in clients.wrong[:5]:
        print(" ", wrong)
    for label, part in (("first half", samples[:half]), ("second half", samples[half:])):
        peak = max((rss for rss, _ in part), default=0) / MB
        print(f"{label}: at most {peak:.1f} MB, {max((fds for _, fds in part), default=0)} open")
    print(f"before: {before[0] / MB:.1f} MB, {before[1]} open", end="; ")
    print(f"after: {after[0] / MB:.1f} MB, {after[1]} open")
    return 1 if clients.wrong or faults or after[1] > before[1] + 64 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
