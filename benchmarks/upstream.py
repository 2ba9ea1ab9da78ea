"""One upstream: aprp against nginx's proxy_pass, on the same work in the same run.

An nginx with one worker has the file; before it stand, in turn, aprp and another nginx with one
worker. Each round asks both for the whole file (by curl) and for ranges of 1 KiB over 16 kept
connections (by wrk where it is there). CPU is that of the proxy alone, memory the peak over all of
it beyond what a fresh daemon holds. Prints the medians.

    python -m benchmarks.upstream [--rounds 3] [--size 1024] [--seconds 4]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.clients import small_ranges, whole_file
from benchmarks.daemon import start_daemon
from benchmarks.processes import cpu_seconds, peak_resident, resident
from tests.support.nginx import Nginx, free_port

MIB = 2**20
PROXY = """
location / {
    proxy_pass http://origin;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_max_temp_file_size 0;
}
"""
ORIGIN = "upstream origin {{ server 127.0.0.1:{port}; keepalive 64; }}"


@dataclass
class Contender:
    """A proxy, and what each round measured of it."""

    name: str
    pid: int
    port: int
    speeds: list[float] = field(default_factory=list)
    """MB/s."""
    costs: list[float] = field(default_factory=list)
    """CPU seconds per GiB."""
    rates: list[float] = field(default_factory=list)
    """Ranges a second."""
    rates_per_core: list[float] = field(default_factory=list)
    """Ranges per CPU second."""

    def fetch(self, path: str, size: int) -> None:
        before = cpu_seconds(self.pid)
        seconds = whole_file(f"http://127.0.0.1:{self.port}{path}")
        self.speeds.append(size / seconds / 1e6)
        self.costs.append((cpu_seconds(self.pid) - before) / (size / 2**30))

    def ask(self, path: str, seconds: float) -> None:
        before = cpu_seconds(self.pid)
        answered = small_ranges("127.0.0.1", self.port, path, seconds)
        self.rates.append(answered / seconds)
        self.rates_per_core.append(answered / (cpu_seconds(self.pid) - before))


def start_aprp(url: str, stack: ExitStack) -> Contender:
    port = free_port()
    pid = start_daemon(port, stack, "--upstream", url, "--port", str(port))
    return Contender("aprp", pid, port)


def start_nginx(folder: Path, stack: ExitStack, server: str = "", http: str = "") -> Nginx:
    nginx = Nginx(folder, server, http)
    stack.callback(nginx.stop)
    return nginx


def row(title: str, ours: list[float], theirs: list[float], digits: int) -> float:
    """Prints the medians and gives their ratio."""
    a, b = statistics.median(ours), statistics.median(theirs)
    print(f"{title:<34}{a:>12,.{digits}f}{b:>12,.{digits}f}{a / b:>9.2f}")
    return a / b


def step(reached: bool, text: str) -> bool:
    print(f"{'reached' if reached else 'MISSED ':<9}{text}")
    return reached


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.upstream", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=1024, help="of the file, in MiB")
    parser.add_argument("--seconds", type=float, default=4.0, help="of small ranges, each")
    options = parser.parse_args()
    size = options.size * MIB
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        origin = start_nginx(folder / "origin", stack)
        with open(origin.www / "film.mp4", "wb") as film:
            film.truncate(size)
        proxy = start_nginx(folder / "proxy", stack, PROXY, ORIGIN.format(port=origin.port))
        nginx = Contender("nginx", proxy.process.pid, proxy.port)
        aprp = start_aprp(origin.url, stack)
        idle = resident(aprp.pid)
        measure(aprp, nginx, options.rounds, size, options.seconds)
        memory = (peak_resident(aprp.pid) - idle) / MIB
    return report(aprp, nginx, memory)


def measure(aprp: Contender, nginx: Contender, rounds: int, size: int, seconds: float) -> None:
    """Rounds of both, one after the other; who is first alternates."""
    for contender in (aprp, nginx):
        small_ranges("127.0.0.1", contender.port, "/film.mp4", 1.0)  # warms both up
    for each in range(rounds):
        pair = (aprp, nginx) if each % 2 == 0 else (nginx, aprp)
        for contender in pair:
            contender.fetch("/film.mp4", size)
        for contender in pair:
            contender.ask("/film.mp4", seconds)


def report(aprp: Contender, nginx: Contender, memory: float) -> int:
    print(f"{'median of ' + str(len(aprp.speeds)):<34}{'aprp':>12}{'nginx':>12}{'ratio':>9}")
    speed = row("whole file, MB/s", aprp.speeds, nginx.speeds, 0)
    cost = row("whole file, CPU s per GiB", aprp.costs, nginx.costs, 2)
    row("1 KiB ranges a second", aprp.rates, nginx.rates, 0)
    row("1 KiB ranges per CPU second", aprp.rates_per_core, nginx.rates_per_core, 0)
    print(f"{'memory over idle, MiB':<34}{memory:>12.1f}")
    print()
    rate = statistics.median(aprp.rates_per_core)
    reached = (
        step(speed >= 0.8, f"throughput: {speed:.2f} of nginx, at least 0.8"),
        step(cost <= 0.5, f"CPU: {cost:.2f} of nginx, at most 0.5"),
        step(rate >= 2500, f"1 KiB ranges: {rate:,.0f} a second per core, at least 2,500"),
        step(memory < 64, f"memory: {memory:.1f} MiB over idle, under 64"),
    )
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
