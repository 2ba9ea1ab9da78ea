"""Memory of the daemon for a 10 GiB file through three mirrors, to clients of any speed.

    python -m benchmarks.memory [GIB] [SECONDS]

The file is a hole, so that it costs no disk. The fast client takes all of it, the slow one what
it gets in so many seconds. Each has a daemon of its own. Ends with 1 where it held 64 MiB or more
over what it held idle.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.mirrors import proxy
from benchmarks.processes import peak_resident, resident
from tests.support.nginx import Nginx

MIB = 2**20
MOST = 64
"""MiB over idle."""
SPEEDS = (("fast", None), ("8 MB/s", "8M"), ("100 kB/s", "100k"))


def main(arguments: Sequence[str]) -> int:
    size = int(float(arguments[0]) * 2**30) if arguments else 10 * 2**30
    seconds = float(arguments[1]) if len(arguments) > 1 else 20.0
    worst = 0.0
    print(f"{'client':12}{'seconds':>9}{'MB':>10}{'idle MiB':>10}{'over idle':>11}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        film = folder / "film.bin"
        with open(film, "wb") as file:
            file.truncate(size)
        urls = []
        for number in range(3):
            nginx = Nginx(folder / str(number))
            stack.callback(nginx.stop)
            (nginx.www / "film.bin").hardlink_to(film)
            urls.append(nginx.url)
        for name, limit in SPEEDS:
            worst = max(worst, row(name, limit, urls, folder, size, seconds))
    return 0 if worst < MOST else 1


def row(
    name: str, limit: str | None, urls: Sequence[str], folder: Path, size: int, seconds: float
) -> float:
    """Print what one client costs; MiB over idle."""
    with proxy(urls, folder) as (daemon, url):
        taken(url, "-r", "0-1023")  # what is loaded by the first request isn't the file's
        idle = resident(daemon.pid)
        slow = () if limit is None else ("--limit-rate", limit, "--max-time", str(seconds))
        began = time.monotonic()
        count = taken(url, *slow)
        took = time.monotonic() - began
        over = (peak_resident(daemon.pid) - idle) / MIB
    if limit is None and count != size:
        raise RuntimeError(f"{count} bytes came, not {size}")
    print(f"{name:12}{took:9.1f}{count / 1e6:10.1f}{idle / MIB:10.1f}{over:11.1f}")
    return over


def taken(url: str, *options: str) -> int:
    """How many bytes curl got."""
    command = ["curl", "-s", "-o", "/dev/null", "-w", "%{size_download}", *options, url]
    return int(subprocess.run(command, stdout=subprocess.PIPE).stdout)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
