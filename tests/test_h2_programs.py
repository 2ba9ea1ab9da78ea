"""curl, h2load, nghttpx and Chromium over HTTP/2, through a daemon in front of nginx with http2."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.nginx import Nginx, free_port
from tests.support.patience import HANG, PATIENCE
from tests.support.programs import need
from tests.support.running import Running
from tests.test_clients import CONTENT, SIZE, ClientCase
from tests.test_reverse_tls import LOOPBACK, SERVER, Authority

CONFIG = """\
listen: ["tls:0:interface=127.0.0.1"]
certificates: [{{certificate: {folder}/server.pem, key: {folder}/server.key}}]
log: {{access: {access}, access_format: json}}
routes:
  - path: /
    upstream: {upstream}
    tls: {{ca: {folder}/ca.pem}}
  - path: /mirrored/
    sources: [{{url: "{upstream}"}}]
    tls: {{ca: {folder}/ca.pem}}
  - path: /older/
    upstream: {upstream}
    tls: {{ca: {folder}/ca.pem}}
    http2: off
"""


class Http2Case(ClientCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        authority = Authority("ours")
        authority.write(self.folder / "ca.pem")
        authority.write_server(self.folder, LOOPBACK)
        tls = SERVER.replace("{folder}", str(self.folder))
        tls += f"access_log {self.folder}/nginx.log spoken;"
        spoken = "log_format spoken '$server_protocol $connection $uri';"
        self.nginx = Nginx(self.folder / "nginx", tls, spoken, ssl=True, http2=True)
        self.addCleanup(self.nginx.stop)
        self.access = self.folder / "access.json"
        config = self.folder / "aprp.yaml"
        config.write_text(
            CONFIG.format(access=self.access, upstream=self.nginx.url, folder=self.folder)
        )
        self.daemon = Running(self, "--config", str(config))
        self.url = f"https://{self.daemon.ready()}/"

    def curl(self, *arguments: str) -> bytes:
        ca = str(self.folder / "ca.pem")
        return self.run_program(need("curl"), "-sS", "--fail", "--cacert", ca, *arguments)

    def upstream_log(self, count: int = 0) -> list[list[str]]:
        """Protocol, connection and path of each request that nginx has answered, once there are so
        many: it writes a line after the response, which may have come by then.
        """
        path, deadline = self.folder / "nginx.log", time.monotonic() + PATIENCE
        while path.read_bytes().count(b"\n") < count:
            assert time.monotonic() < deadline, path.read_text()
            time.sleep(0.01)
        return [line.split(" ") for line in path.read_text().splitlines()]


class CurlTests(Http2Case):
    def test_both_sides_speak_it(self) -> None:
        self.publish()
        form = "%{http_version} %{num_connects}\n"
        told = self.curl(
            *("--http2", "-r", "1000-1999", "-w", form),
            *(self.url + path for path in ("film.bin", "mirrored/film.bin", "older/film.bin")),
        )
        part = CONTENT[1000:2000]
        self.assertEqual(told, part + b"2 1\n" + (part + b"2 0\n") * 2)
        self.assertEqual(
            [line[0] for line in self.upstream_log(3)], ["HTTP/2.0", "HTTP/2.0", "HTTP/1.1"]
        )
        self.assertEqual({line["version"] for line in self.requests()}, {"HTTP/2.0"})

    def test_whole_files(self) -> None:
        self.publish()
        for path, most in (("film.bin", 1), ("mirrored/film.bin", 4)):
            self.assertEqual(self.curl("--http2", self.url + path), CONTENT)
            self.assertEqual(self.curl("--http1.1", self.url + path), CONTENT)
            self.assertLessEqual(len({line[1] for line in self.upstream_log()}), most)

    def test_several_at_once(self) -> None:
        url = self.publish()
        outs = [self.folder / f"out{number}" for number in range(8)]
        command = ["--http2", "--parallel", "--parallel-max", "8"]
        for number, out in enumerate(outs):
            command += ["-o", str(out), f"{url}?{number}"]
        self.curl(*command)
        for out in outs:
            self.assertEqual(out.read_bytes(), CONTENT)


class GetTests(Http2Case):
    """`aprp get` and the library, with a source of HTTP/2 and one of HTTP/1.1."""

    def setUp(self) -> None:
        super().setUp()
        older = Nginx(self.folder / "older")
        self.addCleanup(older.stop)
        (older.www / "film.bin").write_bytes(CONTENT)
        self.publish()
        self.origins = [self.nginx.url.rstrip("/"), older.url.rstrip("/")]
        self.urls = [f"{origin}/film.bin" for origin in self.origins]
        self.ca = str(self.folder / "ca.pem")

    def test_aprp_get_says_what_was_spoken(self) -> None:
        out = self.folder / "got"
        command = [sys.executable, "-m", "aprp", "get", "--json", "--same", "length"]
        done = subprocess.run(
            [*command, "--ca", self.ca, "-o", str(out), *self.urls],
            capture_output=True,
            text=True,
            timeout=HANG,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        said = [each["http"] for each in json.loads(done.stdout)["sources"]]
        self.assertEqual(said, ["HTTP/2", "HTTP/1.1"])
        for origin, version in zip(self.origins, said, strict=True):
            name = re.escape(origin.partition("://")[2])
            self.assertRegex(done.stderr, rf"(?m)^(?=.*{name} [\d.]+ \w+ over {version}(,|$))")
        self.assertEqual(out.read_bytes(), CONTENT)

    def test_the_library_says_it_too(self) -> None:
        script = self.folder / "script.py"
        script.write_text(
            "import json, sys\nfrom aprp import Downloader\n"
            "downloader = Downloader(sys.argv[2:], verify=sys.argv[1])\n"
            "before, size = downloader.spoken, sum(map(len, downloader))\n"
            "print(json.dumps([before, size, downloader.spoken]))\n"
        )
        told = self.run_program(sys.executable, str(script), self.ca, *self.urls)
        spoken = dict(zip(self.origins, ("HTTP/2", "HTTP/1.1"), strict=True))
        self.assertEqual(json.loads(told), [{}, SIZE, spoken])


class LoadTests(Http2Case):
    def test_h2load(self) -> None:
        self.publish("part.bin", CONTENT[: 2**20])
        for path in ("part.bin", "mirrored/part.bin"):
            command = [need("h2load"), "-n", "200", "-c", "2", "-m", "50", self.url + path]
            told = self.run_program(*command).decode()
            self.assertIn("200 succeeded, 0 failed, 0 errored, 0 timeout", told)
            self.assertIn("Application protocol: h2", told)


class PlayerTests(Http2Case):
    def test_chromium_plays_and_seeks(self) -> None:
        film = self.make_film()
        self.publish("film.mp4", film)
        page = self.publish(
            "page.html", (Path(__file__).parent / "support" / "page.html").read_bytes()
        )
        result = self.browse(f"{page}?/film.mp4", "--ignore-certificate-errors")
        verdict, width, _, seen = result.split(",")
        digest = hashlib.sha256(film).hexdigest()
        self.assertEqual((verdict, width, seen), ("ok", "640", digest))
        films = [line for line in self.requests() if line["target"] == "/film.mp4"]
        self.assertEqual({line["version"] for line in films}, {"HTTP/2.0"})
        self.assertIn(206, [line["status"] for line in films])


class NghttpxTests(SynchronousTestCase):
    """Another implementation of HTTP/2, once as a source and once as a front."""

    def test_source_and_front(self) -> None:
        folder = Path(self.mktemp()).absolute()
        nginx = Nginx(folder / "nginx")
        self.addCleanup(nginx.stop)
        (nginx.www / "film.bin").write_bytes(CONTENT)
        source, front = free_port(), free_port()
        self.nghttpx(folder, source, f"127.0.0.1,{nginx.port}")
        config = folder / "aprp.yaml"
        config.write_text(
            "listen: [tcp:0:interface=127.0.0.1]\nlisten_http2: cleartext\nroutes:\n"
            f"  - {{path: /, upstream: 'http://127.0.0.1:{source}/', http2: prior-knowledge}}\n"
            f"  - {{path: /m/, sources: [{{url: 'http://127.0.0.1:{source}/'}}],"
            " http2: prior-knowledge}\n"
        )
        daemon = Running(self, "--config", str(config))
        port = daemon.ready().rpartition(":")[2]
        self.nghttpx(folder, front, f"127.0.0.1,{port};;proto=h2")
        for path in ("film.bin", "m/film.bin"):
            url = f"http://127.0.0.1:{front}/{path}"
            for wanted, right in (
                ("0-", CONTENT),
                ("-5000", CONTENT[SIZE - 5000 :]),
                ("1000000-9999999", CONTENT[1_000_000:10_000_000]),
            ):
                command = [need("curl"), "-sS", "--fail", "--http2-prior-knowledge"]
                got = subprocess.run(
                    [*command, "-r", wanted, url], capture_output=True, timeout=HANG, check=False
                )
                self.assertEqual(got.returncode, 0, got.stderr)
                self.assertEqual(got.stdout, right)

    def nghttpx(self, folder: Path, port: int, backend: str) -> None:
        command = [need("nghttpx"), f"--frontend=127.0.0.1,{port};no-tls", f"--backend={backend}"]
        command += [
            "--workers=1",
            f"--errorlog-file={folder}/nghttpx{port}.log",
            "--conf=/dev/null",
        ]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        listening(port)


def listening(port: int) -> None:
    """Wait until somebody listens there."""
    form = re.compile(rf": 0100007F:{port:04X} \S+ 0A ".encode())
    deadline = time.monotonic() + PATIENCE
    while not form.search(Path("/proc/net/tcp").read_bytes()):
        assert time.monotonic() < deadline, f"nobody listens at {port}"
        time.sleep(0.02)
