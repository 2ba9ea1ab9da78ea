"""The cache: aprp beside nginx (proxy_cache with slice) and Varnish, on the same work in one run.

An nginx with one worker has the files; before it stand, in turn, aprp with and without a cache,
nginx and Varnish. The parts are: hits of a whole file, by curl; hits of 1 KiB, over 16 kept
connections; the CPU of a miss; the first byte of a seek into what isn't cached; and many viewers of
a few films by a Zipf law, with seeks, from mirrors of limited rate. CPU is that of the proxy alone.

    python -m benchmarks.cache [--rounds 3] [--size 1024] [--seconds 4] [--viewers 100] [PART ...]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

from benchmarks.cache_viewers import FILMS, LENGTH, film_name, watch
from benchmarks.clients import small_ranges, whole_file
from benchmarks.daemon import start_daemon
from benchmarks.processes import cpu_seconds
from tests.support.nginx import Nginx, free_port

MIB = 2**20
GIB = 2**30
LOG_FORMAT = "log_format bytes $body_bytes_sent;"
LIMITED = "limit_rate 2m; access_log {folder}/sent.log bytes;"
ROUTES = """
listen: ["tcp:{port}:interface=127.0.0.1"]
{cache}
routes:
  - path: /
    sources: [{sources}]
    {route}
"""
NGINX_CACHE = """
proxy_cache_path {folder}/cache levels=1:2 keys_zone=z:64m max_size=8g use_temp_path=off;
upstream origin { server 127.0.0.1:%d; keepalive 64; }
"""
NGINX_SLICES = """
location / {
    slice 1m;
    proxy_cache z;
    proxy_cache_key $uri$is_args$args$slice_range;
    proxy_set_header Range $slice_range;
    proxy_cache_valid 200 206 1h;
    proxy_cache_lock on;
    proxy_pass http://origin;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
}
"""


@dataclass
class Contender:
    """A proxy."""

    name: str
    pid: int
    port: int
    figures: dict[str, list[float]] = field(default_factory=dict)

    def note(self, what: str, figure: float) -> None:
        self.figures.setdefault(what, []).append(figure)

    def median(self, what: str) -> float | None:
        found = self.figures.get(what)
        return statistics.median(found) if found else None

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def measured(self, work: Callable[[], object]) -> tuple[float, float]:
        """Return the seconds that some work took, and those of CPU that the proxy used."""
        before, began = cpu_seconds(self.pid), time.monotonic()
        work()
        return time.monotonic() - began, cpu_seconds(self.pid) - before


class Bench:
    """The proxies, and the origin before which they stand."""

    def __init__(self, stack: ExitStack, folder: Path, size: int) -> None:
        self.size = size
        self.stack = stack
        self.folder = folder
        self.origin = self.nginx("origin")
        self.film("film.mp4", size)
        self._colds = 0
        self.cached = self.aprp("aprp", True)
        self.plain = self.aprp("aprp, no cache", False)
        peer = self.nginx("peer", NGINX_SLICES, NGINX_CACHE % self.origin.port)
        self.peer = Contender("nginx", peer.process.pid, peer.port)
        self.all = [self.cached, self.plain, self.peer]
        if shutil.which("varnishd"):
            self.varnish = self.start_varnish("varnish", self.origin.port)
            self.all.append(self.varnish)

    def nginx(self, name: str, server: str = "", http: str = "") -> Nginx:
        nginx = Nginx(self.folder / name, server, http)
        self.stack.callback(nginx.stop)
        return nginx

    def film(self, name: str, size: int) -> None:
        with open(self.origin.www / name, "wb") as file:
            file.truncate(size)

    def cold(self) -> str:
        """Return a path of the film that nobody has requested."""
        self._colds += 1
        return f"/film.mp4?cold={self._colds}"

    def aprp(self, name: str, cached: bool, origins: tuple[Nginx, ...] = ()) -> Contender:
        port = free_port()
        folder = self.folder / f"aprp-{port}"
        folder.mkdir()
        cache = f"cache: {{path: {folder}/cache, size: 16GiB}}" if cached else ""
        most = ", connections: 32" if origins else ""  # as many as the peers open
        sources = ", ".join(f"{{url: {each.url}{most}}}" for each in origins or (self.origin,))
        route = "cache: {valid: 1h}" if cached else ""
        text = ROUTES.format(port=port, cache=cache, sources=sources, route=route)
        (folder / "aprp.yaml").write_text(text)
        pid = start_daemon(port, self.stack, "--config", str(folder / "aprp.yaml"))
        return Contender(name, pid, port)

    def start_varnish(self, name: str, origin: int) -> Contender:
        port, folder = free_port(), self.folder / name
        folder.mkdir()
        command = ["varnishd", "-F", "-a", f"127.0.0.1:{port}", "-n", str(folder), "-t", "3600"]
        command += ["-b", f"127.0.0.1:{origin}", "-s", f"file,{folder}/store,3G"]
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
        )
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        self.stack.callback(process.terminate)
        contender = Contender("varnish", process.pid, port)
        for _ in range(200):
            with suppress(OSError):
                connection = HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("GET", "/nothing")
                connection.getresponse().read()
                break
            time.sleep(0.05)
        return contender


def hits(bench: Bench, rounds: int, seconds: float) -> None:
    """A film that is cached."""
    for each in bench.all:
        for _ in range(3):
            whole_file(each.url("/film.mp4"))
    for _ in range(rounds):
        for each in bench.all:
            took, cpu = each.measured(partial(whole_file, each.url("/film.mp4")))
            each.note("hit, MB/s", bench.size / took / 1e6)
            each.note("hit, CPU s per GiB", cpu / (bench.size / GIB))


def small(bench: Bench, rounds: int, seconds: float) -> None:
    """Ranges of 1 KiB of a film that is cached."""
    for each in bench.all:
        whole_file(each.url("/film.mp4"))
    for _ in range(rounds):
        for each in bench.all:
            counts: list[int] = []

            def ask(each: Contender = each, counts: list[int] = counts) -> None:
                counts.append(small_ranges("127.0.0.1", each.port, "/film.mp4", seconds))

            _, cpu = each.measured(ask)
            each.note("1 KiB hits a second", counts[0] / seconds)
            each.note("1 KiB hits per CPU second", counts[0] / cpu)


def misses(bench: Bench, rounds: int, seconds: float) -> None:
    """A film that nobody has requested yet."""
    for _ in range(rounds):
        for each in bench.all:
            path = bench.cold()
            took, cpu = each.measured(partial(whole_file, each.url(path)))
            each.note("miss, MB/s", bench.size / took / 1e6)
            each.note("miss, CPU s per GiB", cpu / (bench.size / GIB))


def seeks(bench: Bench, rounds: int, seconds: float) -> None:
    """The first byte of ranges that nobody has requested yet."""
    for number in range(rounds * 20):
        path = bench.cold()
        start = (number * 7919 * 4099) % (bench.size - MIB)
        for each in bench.all:
            each.note("first byte of a seek, ms", 1000 * _first_byte(each.port, path, start))


def _first_byte(port: int, path: str, start: int) -> float:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.connect()
    began = time.monotonic()
    connection.request("GET", path, headers={"Range": f"bytes={start}-"})
    response = connection.getresponse()
    response.read(1)
    took = time.monotonic() - began
    connection.close()
    return took


def report(bench: Bench) -> None:
    names = dict.fromkeys(name for each in bench.all for name in each.figures)
    print(f"{'':<32}" + "".join(f"{each.name:>16}" for each in bench.all))
    for name in names:
        shown = []
        for each in bench.all:
            figure = each.median(name)
            shown.append(f"{'-' if figure is None else format(figure, ',.3f'):>16}")
        print(f"{name:<32}" + "".join(shown), flush=True)


def viewers(bench: Bench, count: int, seconds: float) -> None:
    """Many viewers of few films, through caches that are empty."""
    print(f"{count} viewers of {FILMS} films, {seconds:g} s")
    for name in ("aprp", "nginx", "varnish"):
        mirrors = [bench.nginx(f"{name}-mirror{n}", LIMITED, LOG_FORMAT) for n in range(2)]
        for number in range(FILMS):
            for mirror in mirrors:
                with open(mirror.www / film_name(number), "wb") as film:
                    film.truncate(LENGTH)
                os.utime(mirror.www / film_name(number), (1e9, 1e9))
        if name == "aprp":
            front = bench.aprp(name, True, tuple(mirrors))
        elif name == "nginx":
            peer = bench.nginx("peer-viewers", NGINX_SLICES, NGINX_CACHE % mirrors[0].port)
            front = Contender(name, peer.process.pid, peer.port)
        elif shutil.which("varnishd"):
            front = bench.start_varnish("varnish-viewers", mirrors[0].port)
        else:
            continue
        before = cpu_seconds(front.pid)
        watched = asyncio.run(watch(front.port, count, seconds))
        cpu = cpu_seconds(front.pid) - before
        time.sleep(12)  # what nobody needs any more ends by then
        for mirror in mirrors:
            mirror.stop()
        sent = sum(_sent(mirror) for mirror in mirrors)
        viewed, ratio = watched.distinct / MIB, sent / max(1, watched.distinct)
        print(
            f"{name:<10}{viewed:>9.1f} MiB viewed, {sent / MIB:>9.1f} MiB fetched, {ratio:.3f};"
            f" {watched.views} views, {(sent - watched.distinct) / 1024 / watched.views:.0f} KiB"
            f" too many for each, {watched.stalls} stalls, {watched.failures} failures,"
            f" {cpu:.1f} s of CPU",
            flush=True,
        )


def _sent(mirror: Nginx) -> int:
    """Return the bytes of bodies that a mirror has sent."""
    return sum(int(line) for line in (mirror.folder / "sent.log").read_text().split())


PARTS = {"hits": hits, "small": small, "misses": misses, "seeks": seeks}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.cache", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=1024, help="of the film, in MiB")
    parser.add_argument("--seconds", type=float, default=4.0, help="of small ranges, each")
    parser.add_argument("--viewers", type=int, default=100)
    parser.add_argument("--watched", type=float, default=30.0, help="seconds that viewers watch")
    known = [*PARTS, "viewers"]
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(known)}; all")
    options = parser.parse_args(arguments)
    parts = options.parts or known
    if unknown := [each for each in parts if each not in known]:
        parser.error(f"there is no part {unknown[0]!r}; the parts are {', '.join(known)}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bench = Bench(stack, folder, options.size * MIB)
        for part in parts:
            if part in PARTS:
                PARTS[part](bench, options.rounds, options.seconds)
        if set(parts) & set(PARTS):
            report(bench)
        if "viewers" in parts:
            viewers(bench, options.viewers, options.watched)
    return 0


if __name__ == "__main__":
    sys.exit(main())
