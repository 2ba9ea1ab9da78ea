"""One file from several mirrors: aprp beside curl and aria2c, in one table for each set of them.

    python -m benchmarks.mirrors [MEGABYTES] [RATE[/MILLISECONDS] ...]

Rates are MB/s, milliseconds are the round trip: what a new connection takes, as root, and then each
request. Without any: three near mirrors of 10, 5
and 1 MB/s, two of 10 and 0.3, and the three with 30 to 200 ms.

aprp is read by curl, whose output is watched; aria2c writes a file, of which what is there without
a hole from the start is watched, as a player would have to wait for it. The ideal is the least T
with the sum of rate * (T - first byte) = size, by each mirror's own rate as curl measures it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.lines import Mirror, can_shape, mirrors

MB = 1_000_000
SETS = (("10", "5", "1"), ("10", "0.3"), ("10/30", "5/100", "1/200"), ("10/200", "5/100", "1/30"))
PORT = 18471
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Run:
    """What one download took: seconds, and bytes of memory."""

    name: str
    total: float
    first: float
    gap: float
    twice: float
    cpu: float
    peak: int
    right: bool


class Watch:
    """Times at which more of the file was there."""

    def __init__(self) -> None:
        self.began = self.last = time.monotonic()
        self.first = 0.0
        self.gap = 0.0
        self.have = 0

    def came(self, have: int) -> None:
        if have > self.have:
            now = time.monotonic()
            if self.have:
                self.gap = max(self.gap, now - self.last)
            else:
                self.first = now - self.began
            self.have, self.last = have, now


def used(process: subprocess.Popen[bytes]) -> tuple[float, int]:
    """CPU seconds and peak memory of a process that lives."""
    words = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{process.pid}/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return (int(words[11]) + int(words[12])) / TICKS, int(peak.split()[1]) * 1024


def through_curl(url: str, watch: Watch) -> str:
    """Read the URL to its end; its hash."""
    digest = hashlib.sha256()
    have = 0
    command = ["curl", "-s", "-N", "--fail", "-o", "-", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as curl:
        assert curl.stdout is not None
        while data := os.read(curl.stdout.fileno(), 1 << 18):
            have += len(data)
            watch.came(have)
            digest.update(data)
    return digest.hexdigest()


@contextlib.contextmanager
def proxy(urls: Sequence[str], folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The daemon over these sources, and the URL of the film through it."""
    command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
    command += ["-n", "--pidfile=", "aprp", "--port", str(PORT)]
    for url in urls:
        command += ["--source", url]
    log = folder / "aprp.log"
    with open(log, "wb") as out:
        daemon = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        for _ in range(1000):
            if b"serving on" in log.read_bytes():
                break
            time.sleep(0.01)
        yield daemon, f"http://127.0.0.1:{PORT}/film.bin"
    finally:
        daemon.terminate()
        daemon.wait()


def aprp(urls: Sequence[str], folder: Path) -> Run:
    with proxy(urls, folder) as (daemon, url):
        before, _ = used(daemon)
        watch = Watch()
        digest = through_curl(url, watch)
        total = time.monotonic() - watch.began
        cpu, peak = used(daemon)
    run = Run("aprp", total, watch.first, watch.gap, 0.0, cpu - before, peak, True)
    run.right = digest == (folder / "hash").read_text()
    return run


def alone(url: str, folder: Path, name: str) -> Run:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    watch = Watch()
    digest = through_curl(url + "film.bin", watch)
    total = time.monotonic() - watch.began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    right = digest == (folder / "hash").read_text()
    return Run(name, total, watch.first, watch.gap, 0.0, cpu, 0, right)


def aria2c(urls: Sequence[str], folder: Path, name: str, *options: str) -> Run:
    out = folder / name.replace(" ", "-")
    out.mkdir()
    command = ["aria2c", "-q", "--allow-overwrite=true", "--file-allocation=none"]
    command += ["-d", str(out), "-o", "film.bin", "--disk-cache=0", "--split=12"]
    command += ["--max-connection-per-server=4", "--min-split-size=1M", *options]
    watch = Watch()
    process = subprocess.Popen([*command, *(url + "film.bin" for url in urls)])
    film, peak, cpu = out / "film.bin", 0, 0.0
    while process.poll() is None:
        watch.came(_without_hole(film))
        with contextlib.suppress(OSError, StopIteration):
            cpu, peak = used(process)
        time.sleep(0.004)
    total = time.monotonic() - watch.began
    content = film.read_bytes() if film.exists() else b""
    watch.came(len(content))
    digest = hashlib.sha256(content).hexdigest()
    film.unlink(missing_ok=True)
    right = digest == (folder / "hash").read_text()
    return Run(name, total, watch.first, watch.gap, 0.0, cpu, peak, right)


def _without_hole(path: Path) -> int:
    """How much is there from the start on; 0 while the file is empty or about to be made."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return os.lseek(file.fileno(), 0, os.SEEK_HOLE)
    return 0


def bound(size: int, measured: Sequence[tuple[float, float]]) -> float:
    """The least T with the sum of rate * max(0, T - first) = size."""
    low, high = 0.0, 1e6
    for _ in range(200):
        middle = (low + high) / 2
        if sum(rate * max(0.0, middle - first) for rate, first in measured) < size:
            low = middle
        else:
            high = middle
    return high


def measured(mirror: Mirror, size: int) -> tuple[float, float]:
    """Bytes a second and seconds to the first byte, with a part that takes about 2 s."""
    stop = min(size, int(mirror.rate * 2))
    form = "%{time_starttransfer} %{time_total}"
    command = ["curl", "-s", "-o", "/dev/null", "-r", f"0-{stop - 1}", "-w", form]
    out = subprocess.run([*command, mirror.url + "film.bin"], capture_output=True, check=True)
    first, total = map(float, out.stdout.split())
    return stop / (total - first), first


def table(runs: Sequence[Run], ideal: float) -> None:
    print(f"{'':22}{'seconds':>9}{'/ideal':>8}{'first':>8}{'gap':>7}{'twice':>8}", end="")
    print(f"{'cpu s':>7}{'peak MB':>9}  bytes")
    for run in runs:
        print(
            f"{run.name:22}{run.total:9.2f}{run.total / ideal:8.3f}{run.first:8.3f}{run.gap:7.2f}"
            f"{run.twice * 100:7.2f}%{run.cpu:7.2f}{run.peak / MB:9.1f}"
            f"  {'right' if run.right else 'WRONG'}",
            flush=True,
        )


def main(arguments: Sequence[str]) -> None:
    size = int(float(arguments[0]) * MB) if arguments else 64 * MB
    content = random.Random(7).randbytes(size)
    shape = "lines of their own" if can_shape() else "limit_rate for each connection"
    print(f"{size / MB:g} MB; {shape}", flush=True)
    for lines in [tuple(arguments[1:])] if arguments[1:] else SETS:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            folder.chmod(0o755)
            (folder / "hash").write_text(hashlib.sha256(content).hexdigest())
            rates = tuple(float(line.partition("/")[0]) * MB for line in lines)
            latencies = tuple(float(line.partition("/")[2] or 0) / 1000 for line in lines)
            with mirrors(folder / "m", content, rates, latencies) as made:
                ideal, runs = compare(made, size, folder)
        print(f"\nmirrors of {', '.join(lines)} (MB/s, or MB/s / ms); ideal {ideal:.2f} s")
        table(runs, ideal)


def compare(made: Sequence[Mirror], size: int, folder: Path) -> tuple[float, list[Run]]:
    """The ideal, and what each program takes."""
    urls = [mirror.url for mirror in made]
    ideal = bound(size, [measured(mirror, size) for mirror in made])
    fastest = max(made, key=lambda mirror: mirror.rate)
    works: list[Callable[[], Run]] = [
        lambda: aprp(urls, folder),
        lambda: alone(fastest.url, folder, "curl, fastest alone"),
        lambda: aria2c(urls, folder, "aria2c"),
        lambda: aria2c(urls, folder, "aria2c in order", "--stream-piece-selector=inorder"),
        lambda: aria2c(urls, folder, "aria2c geom", "--stream-piece-selector=geom"),
    ]
    runs = []
    for work in works:
        before = sum(mirror.sent for mirror in made)
        run = work()
        time.sleep(0.3)
        run.twice = (sum(mirror.sent for mirror in made) - before) / size - 1
        runs.append(run)
    return ideal, runs


if __name__ == "__main__":
    main(sys.argv[1:])
