"""A film while others flood the proxy: aprp beside nginx's proxy_pass, one process each.

    python -m benchmarks.floods [--seconds 8] [FLOOD ...]

A player reads a film through the proxy, at 1 MB/s as its origin sends it, in a piece each 20 ms.
Meanwhile a flood of `benchmarks.flooding` goes on. Each program has a session of its own, as a
service has, so that the kernel divides the CPU among them (sched(7), autogroups). Columns:

    gap         the longest time that the player waited for a piece
    CPU         seconds that the proxy used
    starved     seconds that it wanted a CPU and had none: the machine did other work, and a gap
                says little
    KiB/client  memory of the proxy, over what it had before, for each client of the flood

Ends with 1 where aprp broke the film: a gap of more than BROKEN, or bytes missing.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.daemon import ROOT, start_daemon
from benchmarks.flooding import COUNTS, FLOODS, SIZE, raise_limit
from benchmarks.processes import cpu_seconds, family, peak_resident, resident
from tests.support.nginx import Nginx, free_port

BROKEN = 1.0
"""Seconds; players hold several seconds of a film."""
PIECE, EACH = 20_000, 0.02
FDS = 3000
"""Descriptors that the floods need on each side."""
CONFIG = """\
listen: ["tcp:{port}:interface=127.0.0.1"]
routes:
  - {{path: /, upstream: "http://127.0.0.1:{origin}/"}}
  - {{path: /film, upstream: "http://127.0.0.1:{film}/film"}}
"""
HTTP = "upstream origin {{ server 127.0.0.1:{origin}; keepalive 64; }}"
SERVER = """
proxy_http_version 1.1;
proxy_set_header Connection "";
proxy_max_temp_file_size 0;
location / {{ proxy_pass http://origin; }}
location /film {{ proxy_pass http://127.0.0.1:{film}; }}
"""


class FilmOrigin:
    """Sends pieces of a film as they are due, without an end, to whoever connects."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listening.accept()
            threading.Thread(target=self._send, args=(client,), daemon=True).start()

    def _send(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            client.recv(65536)
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 40))
            began = time.monotonic()
            for number in range(1 << 30):
                time.sleep(max(0.0, began + number * EACH - time.monotonic()))
                client.sendall(bytes(PIECE))


class Film:
    """A player that reads until stopped; `gap` is the longest that it waited."""

    def __init__(self, port: int) -> None:
        self.gap = 0.0
        self.got = 0
        self.whole = True
        self._over = False
        self._socket = socket.create_connection(("127.0.0.1", port), 20)
        self._socket.settimeout(20)
        self._socket.sendall(b"GET /film HTTP/1.1\r\nHost: x\r\n\r\n")
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        last: float | None = None
        with suppress(OSError):
            while not self._over and (data := self._socket.recv(1 << 20)):
                now = time.monotonic()
                if last is not None:
                    self.gap = max(self.gap, now - last)
                last, self.got = now, self.got + len(data)
            self.whole = self._over

    def stop(self) -> None:
        due = (time.monotonic() - self._began - 2 * BROKEN) / EACH * PIECE
        self._over = True
        self._thread.join()
        self._socket.close()
        self.whole = self.whole and self.got >= due


@dataclass(frozen=True, slots=True)
class Row:
    """What one flood did to one proxy: seconds, and bytes for each client."""

    gap: float
    cpu: float
    starved: float
    memory: float
    whole: bool
    said: str


def started_aprp(folder: Path, origin: int, film: int, stack: ExitStack) -> tuple[int, int]:
    """Return pid and port."""
    port = free_port()
    folder.mkdir()
    (folder / "aprp.yaml").write_text(CONFIG.format(port=port, origin=origin, film=film))
    return start_daemon(port, stack, "--config", str(folder / "aprp.yaml")), port


def started_nginx(folder: Path, origin: int, film: int, stack: ExitStack) -> tuple[int, int]:
    """The same for an nginx."""
    server, http = SERVER.format(film=film), HTTP.format(origin=origin)
    nginx = Nginx(folder, server, http, connections=16384, session=True)
    stack.callback(nginx.stop)
    return nginx.process.pid, nginx.port


def starved_seconds(pid: int) -> float:
    """For how long the proxy wanted a CPU and had none, so far (/proc/PID/schedstat)."""
    stats = (Path(f"/proc/{each}/schedstat").read_text().split() for each in family(pid))
    return sum(int(words[1]) for words in stats) / 1e9


def flooded(flood: str, pid: int, port: int, seconds: float) -> Row:
    """Play a film while the flood goes on."""
    idle = resident_of(pid)
    film = Film(port)
    time.sleep(0.5)
    before = cpu_seconds(pid)
    starved = starved_seconds(pid)
    command = [sys.executable, "-m", "benchmarks.flooding", flood, str(port), str(seconds)]
    told = subprocess.run(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        start_new_session=True,
    ).stdout
    cpu = cpu_seconds(pid) - before
    starved = starved_seconds(pid) - starved
    film.stop()
    memory = (peak_of(pid) - idle) / COUNTS.get(flood, 1)
    return Row(film.gap, cpu, starved, memory, film.whole, told.splitlines()[-1])


def resident_of(pid: int) -> int:
    return sum(resident(each) for each in family(pid))


def peak_of(pid: int) -> int:
    return sum(peak_resident(each) for each in family(pid))


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.floods", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each flood")
    parser.add_argument("floods", nargs="*", metavar="FLOOD", help=", ".join(FLOODS))
    options = parser.parse_args(arguments)
    if raise_limit() < FDS:
        print(f"floods need {FDS} open files; raise ulimit -n", file=sys.stderr)
        return 1
    broken = False
    columns = f"{'gap ms':>8}{'CPU s':>8}{'starved':>9}{'KiB/client':>12}"
    print(f"{'flood':16}{'':7}{columns}  what the flood did")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        origin = Nginx(folder / "origin", connections=16384, session=True)
        stack.callback(origin.stop)
        with open(origin.www / "big.bin", "wb") as file:
            file.truncate(SIZE)
        film = FilmOrigin()
        for flood in options.floods or FLOODS:
            rows = {}
            for name, start in (("aprp", started_aprp), ("nginx", started_nginx)):
                with ExitStack() as one:
                    where = folder / f"{flood} {name}".replace(" ", "-")
                    pid, port = start(where, origin.port, film.port, one)
                    rows[name] = flooded(flood, pid, port, options.seconds)
                show(flood, name, rows[name])
            broken |= not rows["aprp"].whole or rows["aprp"].gap > BROKEN
            print(
                f"{'':16}{'ratio':7}{rows['aprp'].gap / rows['nginx'].gap:8.1f}"
                f"{rows['aprp'].cpu / max(0.01, rows['nginx'].cpu):8.1f}"
            )
    return int(broken)


def show(flood: str, name: str, row: Row) -> None:
    memory = f"{row.memory / 1024:12.1f}" if flood in COUNTS else f"{'-':>12}"
    film = "" if row.whole else "; THE FILM BROKE"
    columns = f"{row.gap * 1000:8.0f}{row.cpu:8.2f}{row.starved:9.2f}{memory}"
    print(f"{flood:16}{name:7}{columns}  {row.said}{film}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
