"""What it costs to verify pieces: CPU per GiB, and the first byte.

    python -m benchmarks.pieces [MEGABYTES] [ROUNDS]

Three mirrors on loopback have a file, and a Metalink in a directory has the SHA-256 hashes of its
pieces. CPU is what the proxy's process used for the whole file, the least of the rounds. For the
first byte, the mirrors have 10, 5 and 1 MB/s; `new` is the first request, `known` the least of
those after it, by when the rates of the mirrors are known.
"""

from __future__ import annotations

import hashlib
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

from benchmarks.clients import whole_file
from benchmarks.daemon import start_daemon
from benchmarks.lines import Mirror, can_shape, mirrors
from benchmarks.processes import cpu_seconds
from tests.support.metalinks import metalink
from tests.support.nginx import Nginx, free_port

KIB, MIB, GIB = 1024, 2**20, 2**30
PIECES = (256 * KIB, MIB, 4 * MIB)
SETTINGS = """\
listen: ["tcp:{port}:interface=127.0.0.1"]
data_plane: {plane}
routes:
  - path: /
    sources: [{sources}]
"""
LISTED = "    metalink: {{at: {folder}, allow_addresses: [127.0.0.0/8, 10.0.0.0/8]}}\n"


def start(
    urls: Sequence[str], folder: Path, stack: ExitStack, piece: int = 0, plane: str = "auto"
) -> tuple[int, int]:
    """The daemon, with a Metalink where pieces have a length; its port and process."""
    port = free_port()
    sources = ", ".join(f'{{url: "{url}"}}' for url in urls)
    text = SETTINGS.format(port=port, plane=plane, sources=sources)
    if piece:
        text += LISTED.format(folder=folder / str(piece))
    config = folder / f"aprp-{plane}-{piece}.yaml"
    config.write_text(text)
    return port, start_daemon(port, stack, "--config", str(config))


def write_metalinks(folder: Path, content: bytes) -> None:
    for piece in PIECES:
        (folder / str(piece)).mkdir()
        listed = ("film.bin", content, ["http://127.0.0.1:9/film.bin"])
        text = metalink(listed, piece=piece, whole=False)
        (folder / str(piece) / "film.bin.meta4").write_bytes(text)


def compare_cpu(megabytes: int, rounds: int) -> None:
    content = random.Random(1).randbytes(16 * MIB) * (megabytes // 16)
    began = time.process_time()
    hashlib.sha256(content).digest()
    alone = (time.process_time() - began) * GIB / len(content)
    print(f"{'CPU seconds per GiB':<28}{'total':>8}   hashing alone: {alone:.2f}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        write_metalinks(folder, content)
        urls = []
        for number in range(3):
            nginx = Nginx(folder / f"m{number}")
            stack.callback(nginx.stop)
            (nginx.www / "film.bin").write_bytes(content)
            urls.append(nginx.url + "/")
        del content
        rows = [("spliced", 0, "auto"), ("copied", 0, "copy")]
        rows += [(f"pieces of {piece // KIB} KiB", piece, "auto") for piece in PIECES]
        for title, piece, plane in rows:
            with ExitStack() as running:
                port, pid = start(urls, folder, running, piece, plane)
                costs = []
                for _ in range(rounds + 1):
                    before = cpu_seconds(pid)
                    whole_file(f"http://127.0.0.1:{port}/film.bin")
                    costs.append((cpu_seconds(pid) - before) / (megabytes / 1024))
                print(f"{title:<28}{min(costs[1:]):>8.2f}", flush=True)


def first_byte(port: int) -> float:
    """Seconds from a request to the first byte of the body."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    began = time.monotonic()
    connection.request("GET", "/film.bin")
    answer = connection.getresponse()
    answer.read(1)
    seconds = time.monotonic() - began
    connection.close()
    time.sleep(0.5)
    return seconds


def compare_first_byte(rounds: int) -> None:
    content = random.Random(2).randbytes(64 * MIB)
    shaped = "lines of their own" if can_shape() else "limit_rate"
    print(f"\n{'first byte, ms (' + shaped + ')':<36}{'new':>8}{'known':>8}")
    for latency in (0.0, 0.05):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            folder.chmod(0o755)
            write_metalinks(folder, content)
            made: list[Mirror] = stack.enter_context(
                mirrors(folder / "m", content, (10e6, 5e6, 1e6), (latency,) * 3)
            )
            for piece in (0, *PIECES):
                with ExitStack() as running:
                    port, _ = start([each.url for each in made], folder, running, piece)
                    times = [first_byte(port) * 1000 for _ in range(rounds + 1)]
                title = f"pieces of {piece // KIB} KiB" if piece else "no pieces"
                title += f", latency {latency * 1000:.0f} ms"
                print(f"{title:<36}{times[0]:>8.0f}{min(times[1:]):>8.0f}", flush=True)


def main(arguments: Sequence[str]) -> int:
    megabytes, rounds = [*map(int, arguments), *(512, 3)[len(arguments) :]]
    compare_cpu(megabytes, rounds)
    compare_first_byte(rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
