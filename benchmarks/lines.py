"""nginx mirrors of one file behind lines of bounded speed.

As root, each mirror has a network namespace of its own, and a token bucket on its only link: all
connections share the line's speed. Otherwise nginx limits each connection. Where a mirror shall be
far away, a relay of our own holds up new connections (as root) and requests on the way.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

CONFIG = """\
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log; {user}
events {{ worker_connections 512; }}
http {{
    log_format sent '$body_bytes_sent'; access_log {folder}/access.log sent;
    client_body_temp_path {folder}/t; proxy_temp_path {folder}/t; fastcgi_temp_path {folder}/t;
    uwsgi_temp_path {folder}/t; scgi_temp_path {folder}/t;
    keepalive_requests 1000000; sendfile on; sendfile_max_chunk 128k;
    server {{ listen {listen}{http2} sndbuf=128k; root {www}; {limit} }}
}}
"""


class Mirror:
    """One nginx; `rate` is bytes a second, `url` that of its files' folder."""

    def __init__(
        self,
        www: Path,
        folder: Path,
        number: int,
        rate: float,
        latency: float,
        shaped: bool,
        http2: bool = False,
    ) -> None:
        self.rate = rate
        self._http2 = http2
        self._folder = folder
        folder.mkdir(parents=True)
        with contextlib.ExitStack() as ends:
            self._begin(www, number, latency, shaped, ends)
            self._ends = ends.pop_all()

    def _begin(
        self, www: Path, number: int, latency: float, shaped: bool, ends: contextlib.ExitStack
    ) -> None:
        """Set all up; what was done is undone by `ends`, the last first."""
        folder = self._folder
        host = f"10.77.{number}.2" if shaped else "127.0.0.1"
        port = 80 if shaped else _free_port()
        self.url = f"http://{host}:{port}/"
        inside: list[str] = []
        if shaped:
            space = f"aprp{os.getpid()}m{number}"
            _line(space, number, self.rate, ends)
            inside = ["ip", "netns", "exec", space]
        limit = "" if shaped else f"limit_rate {int(self.rate)};"
        config = folder / "nginx.conf"
        config.write_text(
            CONFIG.format(
                folder=folder,
                user="user root;" if os.geteuid() == 0 else "",
                listen=f"{host}:{port}",
                http2=" http2" if self._http2 else "",
                www=www,
                limit=limit,
            )
        )
        self._command = [*inside, "nginx", "-c", str(config), "-e", str(folder / "error.log")]
        self._address = (host, port)
        self._process: subprocess.Popen[bytes] | None = None
        ends.callback(lambda: _end(self._process))
        self.start()
        if latency:
            tunnel = number if shaped and os.path.exists("/dev/net/tun") else None
            relay = _late(host, port, latency, tunnel)
            ends.callback(_end, relay)
            assert relay.stdout is not None
            self.url = f"http://{relay.stdout.readline().decode().strip()}/"

    def start(self) -> None:
        """Serve, again if it was killed."""
        self._process = subprocess.Popen(self._command, start_new_session=True)
        _wait_for(*self._address)

    def kill(self) -> None:
        """End it and all of its connections at once."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    @property
    def sent(self) -> int:
        """Body bytes sent for all requests that have ended."""
        log = self._folder / "access.log"
        return sum(int(line) for line in log.read_text().split()) if log.exists() else 0

    def stop(self) -> None:
        self._ends.close()


@contextlib.contextmanager
def mirrors(
    folder: Path,
    content: bytes,
    rates: tuple[float, ...],
    latencies: tuple[float, ...] = (),
    http2: bool = False,
) -> Iterator[list[Mirror]]:
    """Mirrors that all have the content as `film.bin`; latencies are seconds, 0 unless told.

    With `http2` they speak that alone, without TLS.
    """
    www = folder / "www"
    www.mkdir(parents=True)
    (www / "film.bin").write_bytes(content)
    shaped = can_shape()
    made: list[Mirror] = []
    with contextlib.ExitStack() as ends:
        before = signal.signal(signal.SIGTERM, _leave)  # else namespaces would stay
        ends.callback(signal.signal, signal.SIGTERM, before)
        lines = zip_longest(rates, latencies, fillvalue=0.0)
        for number, (rate, latency) in enumerate(lines, 1):
            mirror = Mirror(www, folder / str(number), number, rate, latency, shaped, http2)
            ends.callback(mirror.stop)
            made.append(mirror)
        yield made


def _late(host: str, port: int, seconds: float, tunnel: int | None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.late", host, str(port), str(seconds)]
    if tunnel is not None:
        command.append(str(tunnel))
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def can_shape() -> bool:
    """Whether lines can be made: by root, where the kernel lets it."""
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("tc") is None:
        return False
    name = f"aprp{os.getpid()}try"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True)
    if made.returncode == 0:
        _run("ip", "netns", "del", name)
    return made.returncode == 0


def _line(space: str, number: int, rate: float, ends: contextlib.ExitStack) -> None:
    here, there = f"aprp{os.getpid() % 10000}h{number}", f"aprp{os.getpid() % 10000}n{number}"
    _run("ip", "netns", "add", space)
    ends.callback(_run, "ip", "netns", "del", space)
    _run("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", space)
    ends.callback(_run, "ip", "link", "del", here)  # with the namespace it would go a while later
    _run("ip", "addr", "add", f"10.77.{number}.1/30", "dev", here)
    _run("ip", "link", "set", here, "up")
    _run("ip", "-n", space, "addr", "add", f"10.77.{number}.2/30", "dev", there)
    _run("ip", "-n", space, "link", "set", there, "up")
    bits = f"{int(rate * 8)}bit"
    shape = ["tbf", "rate", bits, "burst", "64kb", "latency", "100ms"]
    _run("ip", "netns", "exec", space, "tc", "qdisc", "add", "dev", there, "root", *shape)


def _end(process: subprocess.Popen[bytes] | None) -> None:
    if process is not None:
        process.terminate()
        process.wait()


def _leave(number: int, frame: object) -> None:
    sys.exit(128 + number)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        return int(holder.getsockname()[1])


def _wait_for(host: str, port: int) -> None:
    for _ in range(500):
        try:
            socket.create_connection((host, port), 1).close()
            return
        except OSError:
            time.sleep(0.01)
    raise RuntimeError(
        f"no nginx answers at {host}:{port}; if `ip netns` shows namespaces of an earlier run that"
        " was killed, delete them, and their links that `ip link` shows"
    )
