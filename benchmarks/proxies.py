"""Large bodies, many clients and idle ones: aprp beside nginx's proxy_pass and HAProxy.

Three nginx with one worker have the file; before them stand, in turn, aprp with one upstream, aprp
with three mirrors, an nginx with one worker, and HAProxy with one thread and splice-auto, if it is
installed. CPU is that of the proxy alone. Prints the medians.

    python -m benchmarks.proxies [--rounds 3] [--size 1024] [--players 100] [--idle 10000]

The players take 2 MB/s each: as many as the machine has room for.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.clients import whole_file
from benchmarks.daemon import ROOT, start_daemon
from benchmarks.processes import cpu_seconds, family, resident
from benchmarks.upstream import MIB, ORIGIN, PROXY
from tests.support.nginx import Nginx, free_port

GIB = 2**30
RATE = 2_000_000
"""Bytes a second of a player."""
MIRRORED = "three mirrors"
"""Is compared for one client: many share the connections that the sources allow."""
PLAYED = 5
"""Seconds of film that each player takes."""
LIMITS = "{connections: 40000, connections_per_address: 40000, requests_per_address: 40000}"
HAPROXY = """
global
    nbthread 1
    maxconn {most}
    maxpipes 400
defaults
    mode http
    option splice-auto
    timeout connect 5s
    timeout client 600s
    timeout server 600s
listen front
    bind 127.0.0.1:{port}
    server origin 127.0.0.1:{origin}
"""


@dataclass
class Front:
    """A proxy, and what was measured of it by the title of the row."""

    name: str
    pid: int
    port: int
    found: dict[str, list[float]] = field(default_factory=dict)

    def note(self, title: str, value: float) -> None:
        self.found.setdefault(title, []).append(value)

    def median(self, title: str) -> str:
        values = self.found.get(title)
        return "" if values is None else f"{statistics.median(values):,.2f}"

    @property
    def held(self) -> int:
        """Bytes of memory that all its processes hold."""
        return sum(resident(each) for each in family(self.pid))


def aprp(name: str, route: str, folder: Path, stack: ExitStack) -> Front:
    port = free_port()
    file = folder / f"{name.replace(' ', '-')}.yaml"
    file.write_text(
        f"listen: [tcp:{port}:interface=127.0.0.1]\nlimits: {LIMITS}\nroutes: [{route}]\n"
    )
    return Front(name, start_daemon(port, stack, "--config", str(file)), port)


def haproxy(origin: int, most: int, folder: Path, stack: ExitStack) -> Front:
    port = free_port()
    file = folder / "haproxy.cfg"
    file.write_text(HAPROXY.format(port=port, origin=origin, most=most // 2 - 1000))
    process = subprocess.Popen(
        ["haproxy", "-db", "-f", str(file)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    for _ in range(500):
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return Front("HAProxy", process.pid, port)
        time.sleep(0.02)
    raise RuntimeError("HAProxy doesn't serve")


def fronts(origins: list[Nginx], folder: Path, stack: ExitStack) -> list[Front]:
    sources = ", ".join(f"{{url: '{each.url}'}}" for each in origins)
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    http = ORIGIN.format(port=origins[0].port)
    proxy = Nginx(folder / "proxy", PROXY, http, connections=40000)
    stack.callback(proxy.stop)
    found = [
        aprp("aprp", f"{{path: /, upstream: '{origins[0].url}'}}", folder, stack),
        aprp(MIRRORED, f"{{path: /, sources: [{sources}]}}", folder, stack),
        Front("nginx", proxy.process.pid, proxy.port),
    ]
    if shutil.which("haproxy") is not None:
        found.append(haproxy(origins[0].port, most, folder, stack))
    return found


def drain(front: Front, count: int, size: int, rate: int | None = None) -> tuple[float, int]:
    """Return the seconds that so many clients took, and how many were late."""
    words = [front.port, "/film.mp4", count, size, *([] if rate is None else [rate])]
    told = subprocess.run(
        [sys.executable, "-m", "benchmarks.drain", *map(str, words)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    return float(told[0]), int(told[1])


def one_client(front: Front, size: int) -> None:
    before = cpu_seconds(front.pid)
    seconds = whole_file(f"http://127.0.0.1:{front.port}/film.mp4")
    front.note("one client, CPU s/GiB", (cpu_seconds(front.pid) - before) / (size / GIB))
    front.note("one client, MB/s", size / seconds / 1e6)


def many_clients(front: Front, count: int, size: int) -> None:
    before = cpu_seconds(front.pid)
    seconds, _ = drain(front, count, size)
    front.note(
        f"{count} clients, CPU s/GiB", (cpu_seconds(front.pid) - before) * GIB / count / size
    )
    front.note(f"{count} clients, MB/s", count * size / seconds / 1e6)


def players(front: Front, count: int) -> None:
    before = cpu_seconds(front.pid)
    _, late = drain(front, count, RATE * PLAYED, RATE)
    front.note(
        f"{count} players, CPU s/GiB",
        (cpu_seconds(front.pid) - before) * GIB / count / RATE / PLAYED,
    )
    front.note(f"{count} players, late", late)


def idle_clients(front: Front, count: int) -> None:
    """Open kept connections, each after one small answer, and count the memory of each."""
    before = front.held
    request = f"GET /small HTTP/1.1\r\nHost: 127.0.0.1:{front.port}\r\n\r\n".encode()
    with ExitStack() as stack:
        for _ in range(count):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", front.port)))
            sock.sendall(request)
            while not sock.recv(4096).endswith(b"small"):
                pass
        front.note(f"{count} idle clients, KiB each", (front.held - before) / count / 1024)


def small_file(front: Front) -> None:
    """Compare `aprp get` with curl, from start to end."""
    url = f"http://127.0.0.1:{front.port}/small"
    commands = {
        "aprp get, small file, s": [sys.executable, "-m", "aprp", "get", "--quiet", "-o", "-", url],
        "curl, small file, s": ["curl", "-sS", "-o", "/dev/null", url],
    }
    for title, command in commands.items():
        began = time.monotonic()
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        front.note(title, time.monotonic() - began)


def table(found: list[Front]) -> str:
    titles = dict.fromkeys(title for each in found for title in each.found)
    lines = [f"{'medians':<28}" + "".join(f"{each.name:>15}" for each in found)]
    for title in titles:
        cells = [each.median(title) for each in found]
        lines.append(f"{title:<28}" + "".join(f"{cell:>15}" for cell in cells))
    return "\n".join(lines)


def goal(front: Front, other: Front, title: str, most: float) -> bool:
    """Print and return whether a cost is at most that part of another front's."""
    ratio = statistics.median(front.found[title]) / statistics.median(other.found[title])
    word = "reached" if ratio <= most else "MISSED"
    print(f"{word:<9}{front.name}: {title}: {ratio:.2f} of {other.name}, at most {most}")
    return ratio <= most


def report(found: list[Front], clients: int) -> int:
    print(table(found))
    print()
    ours, mirrored, nginx = found[:3]

    one, many = "one client, CPU s/GiB", f"{clients} clients, CPU s/GiB"
    goals = [
        (ours, nginx, one, 0.4),
        (ours, nginx, many, 0.4),
        (mirrored, nginx, one, 1.0),
        *((ours, other, title, 0.6) for other in found[3:] for title in (one, many)),
    ]
    reached = [goal(*each) for each in goals]
    return 0 if all(reached) else 1


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.proxies", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=1024, help="of the file, in MiB")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--players", type=int, default=100)
    parser.add_argument("--idle", type=int, default=10000)
    options = parser.parse_args(arguments)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    idle = min(options.idle, (hard - 3000) // 2)
    size = options.size * MIB
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        origins = [Nginx(folder / f"origin{each}", connections=4096) for each in range(3)]
        for each in origins:
            stack.callback(each.stop)
            (each.www / "small").write_bytes(b"small")
            with open(each.www / "film.mp4", "wb") as film:
                film.truncate(size)
            os.utime(each.www / "film.mp4", (1e9, 1e9))
            os.utime(each.www / "small", (1e9, 1e9))
        found = fronts(origins, folder, stack)
        for front in found:
            front.note("idle, MiB", front.held / MIB)
        for number in range(options.rounds):
            for front in found if number % 2 == 0 else found[::-1]:
                one_client(front, size)
                if front.name == MIRRORED:
                    continue
                many_clients(front, options.clients, size // 16)
                players(front, options.players)
            small_file(found[0])
        for front in found:
            idle_clients(front, idle)
    return report(found, options.clients)


if __name__ == "__main__":
    sys.exit(main())
