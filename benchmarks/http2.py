"""HTTP/2 beside nginx with http2, and mirrors that speak it.

    python -m benchmarks.http2 [load|mirrors] [MEGABYTES]

`load`: one stream of a file, and 100 streams of 1 MiB on one connection, taken by h2load from aprp
and from nginx, which both read from another nginx over HTTP/1.1, with TLS to h2load and without;
and from aprp reading over HTTP/2. All on loopback. CPU is what the proxy's process used.

`mirrors`: three mirrors of 10, 5 and 1 MB/s over HTTP/1.1 and over HTTP/2, near and with 100 ms.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import mirrors as plain
from benchmarks.lines import Mirror, can_shape, mirrors

MB = 1_000_000
MIB = 1 << 20
TICKS = os.sysconf("SC_CLK_TCK")
BACK, BACK2, FRONT, APRP, APRP2, FRONT_TLS, APRP_TLS, APRP2_TLS = range(18481, 18489)

NGINX = """\
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log; {user}
events {{ worker_connections 512; }}
http {{
    access_log off; client_body_temp_path {folder}/t; proxy_temp_path {folder}/t;
    fastcgi_temp_path {folder}/t; uwsgi_temp_path {folder}/t; scgi_temp_path {folder}/t;
    keepalive_requests 1000000; sendfile on; http2_max_concurrent_streams 256;
    upstream back {{ server 127.0.0.1:{back}; keepalive 8; }}
    {servers}
}}
"""
SERVES = "server {{ listen 127.0.0.1:{port}{http2}; root {www}; }}"
PROXIES = """server {{ listen 127.0.0.1:{port} http2; listen 127.0.0.1:{tls} ssl http2;
    ssl_certificate {cert}; ssl_certificate_key {cert}; location / {{
    proxy_pass http://back; proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_max_temp_file_size 0; }} }}"""
SETTINGS = """\
listen: ["tcp:{port}:interface=127.0.0.1", "tls:{tls}:interface=127.0.0.1"]
certificates: [{{certificate: {cert}, key: {cert}}}]
listen_http2: cleartext
routes:
  - {{path: /, upstream: "http://127.0.0.1:{back}/", http2: {http2}}}
"""


@contextlib.contextmanager
def nginx(folder: Path, *servers: str) -> Iterator[int]:
    """One nginx with these servers; gives the id of its worker."""
    folder.mkdir()
    config = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    text = NGINX.format(folder=folder, user=user, back=BACK, servers="\n".join(servers))
    config.write_text(text)
    process = subprocess.Popen(["nginx", "-c", str(config), "-e", str(folder / "error.log")])
    try:
        time.sleep(0.5)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield int(children[0])
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def aprp(settings: str, folder: Path) -> Iterator[int]:
    """The daemon with these settings; gives its id."""
    folder.mkdir()
    config, log = folder / "aprp.yaml", folder / "aprp.log"
    config.write_text(settings)
    command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
    command += ["-n", "--pidfile=", "aprp", "--config", str(config)]
    with open(log, "wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        for _ in range(3000):
            if b"serving on" in log.read_bytes():
                break
            time.sleep(0.01)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def used(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def certificate(folder: Path) -> Path:
    """A certificate with its key, in one file."""
    made = folder / "server.pem"
    command = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(made), "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    return made


def taken(url: str, count: int, streams: int) -> tuple[float, int]:
    """Seconds that h2load needs for so many requests on one connection, and how many succeeded."""
    command = ["h2load", "-n", str(count), "-c", "1", "-m", str(streams), "-w", "24", "-W", "26"]
    began = time.monotonic()
    said = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    succeeded = re.search(r"(\d+) succeeded", said)
    return time.monotonic() - began, int(succeeded[1]) if succeeded else 0


def load(megabytes: float) -> None:
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        www = folder / "www"
        www.mkdir()
        size = int(megabytes * MIB)
        with open(www / "film.bin", "wb") as film:
            film.truncate(size)
        (www / "part.bin").write_bytes(random.Random(1).randbytes(MIB))
        back = [
            SERVES.format(port=BACK, http2="", www=www),
            SERVES.format(port=BACK2, http2=" http2", www=www),
        ]
        stack.enter_context(nginx(folder / "back", *back))
        cert = certificate(folder)
        front = PROXIES.format(port=FRONT, tls=FRONT_TLS, cert=cert)
        pid = stack.enter_context(nginx(folder / "front", front))
        proxies = {"nginx": (f"http://127.0.0.1:{FRONT}/", pid)}
        over_tls = {"nginx, TLS": (f"https://127.0.0.1:{FRONT_TLS}/", pid)}
        for title, port, tls, to, http2 in (
            ("aprp", APRP, APRP_TLS, BACK, "off"),
            ("aprp, source over h2", APRP2, APRP2_TLS, BACK2, "prior-knowledge"),
        ):
            settings = SETTINGS.format(port=port, tls=tls, back=to, http2=http2, cert=cert)
            pid = stack.enter_context(aprp(settings, folder / str(port)))
            proxies[title] = (f"http://127.0.0.1:{port}/", pid)
            over_tls[f"{title}, TLS"] = (f"https://127.0.0.1:{tls}/", pid)
        print(f"{'':28}{'work':28}{'seconds':>9}{'MB/s':>8}{'CPU s/GiB':>11}")
        for work, path, count, streams, total in (
            (f"1 stream of {megabytes:g} MiB", "film.bin", 1, 1, size),
            ("100 streams of 1 MiB", "part.bin", 100, 100, 100 * MIB),
        ):
            for title, (url, pid) in {**proxies, **over_tls}.items():
                before = used(pid)
                seconds, succeeded = taken(url + path, count, streams)
                cpu = (used(pid) - before) * (1 << 30) / total
                told = "" if succeeded == count else f"  {succeeded} of {count} succeeded"
                rate = total / seconds / MB
                print(f"{title:28}{work:28}{seconds:9.2f}{rate:8.0f}{cpu:11.2f}{told}", flush=True)


def measured(mirror: Mirror, size: int, http2: bool) -> tuple[float, float]:
    """As for HTTP/1.1: bytes a second, and seconds to the first byte."""
    stop = min(size, int(mirror.rate * 2))
    form = "%{time_starttransfer} %{time_total}"
    command = ["curl", "-s", "-o", "/dev/null", "-r", f"0-{stop - 1}", "-w", form]
    command += ["--http2-prior-knowledge"] * http2
    out = subprocess.run([*command, mirror.url + "film.bin"], capture_output=True, check=True)
    first, total = map(float, out.stdout.split())
    return stop / (total - first), first


def compare_mirrors(megabytes: float) -> None:
    size = int(megabytes * MB)
    content = random.Random(7).randbytes(size)
    right = hashlib.sha256(content).hexdigest()
    rates = (10.0 * MB, 5.0 * MB, 1.0 * MB)
    print(f"{megabytes:g} MB; " + ("lines of their own" if can_shape() else "limit_rate"))
    for latency in (0.0, 0.1):
        for http2 in (False, True):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                folder.chmod(0o755)
                latencies = (latency,) * 3
                with mirrors(folder / "m", content, rates, latencies, http2) as made:
                    ideal = plain.bound(size, [measured(each, size, http2) for each in made])
                    sources = ", ".join(f'{{url: "{each.url}film.bin"}}' for each in made)
                    settings = (
                        f'listen: ["tcp:{APRP}:interface=127.0.0.1"]\n'
                        f"routes: [{{path: /film.bin, sources: [{sources}], "
                        f"http2: {'prior-knowledge' if http2 else 'off'}}}]\n"
                    )
                    with aprp(settings, folder / "aprp") as pid:
                        before, watch = used(pid), plain.Watch()
                        url = f"http://127.0.0.1:{APRP}/film.bin"
                        digest = plain.through_curl(url, watch)
                        total, cpu = time.monotonic() - watch.began, used(pid) - before
            print(
                f"{latency * 1000:4.0f} ms  {'HTTP/2  ' if http2 else 'HTTP/1.1'}"
                f"  ideal {ideal:6.2f} s  took {total:6.2f} s  {total / ideal:6.3f}"
                f"  first {watch.first:5.2f}  gap {watch.gap:5.2f}  cpu {cpu:5.2f}"
                f"  {'right' if digest == right else 'WRONG'}",
                flush=True,
            )


def main(arguments: Sequence[str]) -> None:
    kind = arguments[0] if arguments else "load"
    size = float(arguments[1]) if arguments[1:] else (1024.0 if kind == "load" else 64.0)
    (load if kind == "load" else compare_mirrors)(size)


if __name__ == "__main__":
    main(sys.argv[1:])
