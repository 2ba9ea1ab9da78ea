"""One connection or several, over a line that delays and loses packets.

    python -m benchmarks.lossy [MEGABYTES]

A file from nginx through aprp, over HTTP/1.1 and HTTP/2, with one connection and with four allowed.
As root, in a network of its own, whose line is a tunnel to a process that delays each packet and
drops some. TCP is the kernel's, with Reno, which a loss halves; the line itself is as fast as the
machine.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.daemon import start_daemon

MB = 1_000_000
HERE, THERE = "10.79.0.1", "10.79.0.2"
PORTS = {"HTTP/1.1": 8080, "HTTP/2": 8082}
FRONT = 18491
LINES = ((0.05, 0.0), (0.03, 0.01), (0.1, 0.001))
"""Seconds of a round trip, and the part of the packets that is lost."""
NGINX = """\
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log; {user}
events {{ worker_connections 64; }}
http {{
    log_format seen '$connection'; access_log {folder}/access.log seen;
    client_body_temp_path {folder}/t; proxy_temp_path {folder}/t; fastcgi_temp_path {folder}/t;
    uwsgi_temp_path {folder}/t; scgi_temp_path {folder}/t; root {www};
    server {{ listen {here}:{plain}; }}
    server {{ listen {here}:{shared} http2; }}
}}
"""
SETTINGS = """\
listen: ["tcp:{front}:interface=127.0.0.1"]
routes:
  - path: /film.bin
    sources: [{{url: "http://{there}:{port}/film.bin", connections: {connections}}}]
    http2: {http2}
"""
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_BARE = 120
"""Bytes of a packet without data, which isn't dropped."""


async def carry(trip: float, loss: float) -> None:
    """Be the line: what is sent to THERE arrives at HERE, as if from THERE, and the other way."""
    file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(file, _TUNSETIFF, struct.pack("16sH", b"line", _IFF_TUN | _IFF_NO_PI))
    for command in (("addr", "add", f"{HERE}/30", "dev", "line"), ("link", "set", "line", "up")):
        subprocess.run(["ip", *command], check=True)
    loop, chance = asyncio.get_running_loop(), random.Random(1)

    def pass_on() -> None:
        while True:
            try:
                packet = os.read(file, 2048)
            except BlockingIOError:
                return
            if packet[0] >> 4 != 4 or (len(packet) > _BARE and chance.random() < loss):
                continue
            swapped = packet[:12] + packet[16:20] + packet[12:16] + packet[20:]
            loop.call_later(trip / 2, os.write, file, swapped)

    loop.add_reader(file, pass_on)
    print("carrying", flush=True)
    await asyncio.Event().wait()


def measured(
    folder: Path, size: int, line: tuple[float, float], version: str, connections: int
) -> str:
    """One row: bytes a second, and the connections that it took."""
    with ExitStack() as stack:
        work = folder / f"{line[0]}-{line[1]}-{version[-1]}-{connections}"
        work.mkdir()
        command = [sys.executable, "-m", "benchmarks.lossy", "--carry", *map(str, line)]
        carrier = subprocess.Popen(command, stdout=subprocess.PIPE)
        stack.callback(carrier.wait)
        stack.callback(carrier.kill)
        assert carrier.stdout is not None
        carrier.stdout.readline()
        config = work / "nginx.conf"
        ports = {"plain": PORTS["HTTP/1.1"], "shared": PORTS["HTTP/2"]}
        text = NGINX.format(folder=work, user="user root;", www=folder, here=HERE, **ports)
        config.write_text(text)
        nginx = subprocess.Popen(["nginx", "-c", str(config), "-e", str(work / "error.log")])
        stack.callback(nginx.wait)
        stack.callback(nginx.terminate)
        http2 = "prior-knowledge" if version == "HTTP/2" else "off"
        told = {"front": FRONT, "there": THERE, "port": PORTS[version], "http2": http2}
        (work / "aprp.yaml").write_text(SETTINGS.format(connections=connections, **told))
        start_daemon(FRONT, stack, "--config", str(work / "aprp.yaml"))
        began = time.monotonic()
        url = f"http://127.0.0.1:{FRONT}/film.bin"
        got = subprocess.run(["curl", "-sS", url], capture_output=True, check=True).stdout
        seconds = time.monotonic() - began
        right = got == (folder / "film.bin").read_bytes()
        nginx.terminate()
        nginx.wait()
        used = len(set((work / "access.log").read_text().split()))
        return f"{size / seconds / MB:8.2f} MB/s over {used}" + ("" if right else "  WRONG")


def main(arguments: Sequence[str]) -> None:
    if "--carry" in arguments:
        asyncio.run(carry(float(arguments[1]), float(arguments[2])))
        return
    if "APRP_LINE" not in os.environ:
        os.environ["APRP_LINE"] = "own"
        command = [sys.executable, "-m", "benchmarks.lossy", *arguments]
        sys.exit(subprocess.run(["unshare", "-n", *command]).returncode)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    Path("/proc/sys/net/ipv4/tcp_congestion_control").write_text("reno")
    size = int(float(arguments[0] if arguments else 8) * MB)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "film.bin").write_bytes(random.Random(3).randbytes(size))
        for line in LINES:
            for version in PORTS:
                for connections in (1, 4):
                    row = measured(folder, size, line, version, connections)
                    title = f"{line[0] * 1000:3.0f} ms, {line[1]:.1%} lost"
                    print(f"{title}  {version:9} connections: {connections}  {row}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
