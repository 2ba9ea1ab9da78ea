"""The recipes of docs/recipes.md with the programs that they name: Caddy, rclone, players of HLS
and DASH."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase
from websockets.sync.client import connect
from websockets.sync.server import serve

from tests.support.nginx import Nginx, free_port
from tests.support.patience import HANG, PATIENCE
from tests.support.programs import need
from tests.support.running import Running, get
from tests.test_recipes import blocks
from tests.test_websockets import echo

FILM = bytes(range(256)) * 40_000
LISTINGS = "autoindex on;"


class RecipeCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.behind = Nginx(self.folder / "behind", LISTINGS)
        self.addCleanup(self.behind.stop)
        (self.behind.www / "film.mp4").write_bytes(FILM)

    def daemon(self, text: str) -> str:
        """Host and port of a daemon with this configuration, on a port of its own."""
        config = self.folder / "aprp.yaml"
        log = f"log: {{access: {self.folder / 'access'}, access_format: json}}\n"
        config.write_text(log + re.sub(r"tcp:\d+", "tcp:0", text))
        self.running = Running(self, "--config", str(config))
        address = self.running.ready()
        return f"127.0.0.1:{address.rpartition(':')[2]}"

    def start(self, *command: str, environ: Mapping[str, str] | None = None) -> None:
        """Start a program that runs until the test ends."""
        with open(self.folder / Path(command[0]).name, "ab") as out:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=os.environ | {"HOME": str(self.folder)} | dict(environ or {}),
            )
        self.addCleanup(process.wait, PATIENCE)
        self.addCleanup(process.terminate)

    def answered(self, address: str, path: str = "/") -> None:
        """Wait until something answers there."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                get(address, path)
            except (OSError, http.client.HTTPException):
                threading.Event().wait(0.05)
            else:
                return
        raise AssertionError(f"nothing answers at {address}")

    def run_program(self, *command: str) -> bytes:
        done = subprocess.run(
            command,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=HANG,
            env=os.environ | {"HOME": str(self.folder)},
            check=False,
        )
        self.assertEqual(done.returncode, 0, (done.stderr, done.stdout[-2000:]))
        return done.stdout


class CaddyTests(RecipeCase):
    def test_ranges_addresses_and_websocket(self) -> None:
        caddy = need("caddy")
        server = serve(echo, "127.0.0.1", 0)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.addCleanup(thread.join, PATIENCE)
        self.addCleanup(server.shutdown)
        socket = server.socket.getsockname()[1]
        (example,) = blocks("yaml", "Behind nginx")
        address = self.daemon(
            example.replace("127.0.0.1:8096", self.behind.url[7:-1])
            + f"  - {{path: /socket/, upstream: 'http://127.0.0.1:{socket}/'}}\n"
        )
        (site,) = blocks("", "Behind Caddy")
        front = f"127.0.0.1:{free_port()}"
        file = self.folder / "Caddyfile"
        site = site.replace("media.example.org", f"http://{front}")
        file.write_text("{\nadmin off\n}\n" + site.replace("127.0.0.1:8000", address))
        self.start(caddy, "run", "--config", str(file), "--adapter", "caddyfile")
        self.answered(front)
        status, _, body = get(front, "/film.mp4", {"Range": "bytes=1000-1099"})
        self.assertEqual((status, body), (206, FILM[1000:1100]))
        self.assertEqual(get(front, "/film.mp4")[2], FILM)
        with connect(f"ws://{front}/socket/", source_address=("127.0.0.9", 0)) as client:
            client.send("through both")
            self.assertEqual(client.recv(PATIENCE), "through both")
        self.running.stop()
        log = (self.folder / "access").read_text()
        self.assertIn('"client":"127.0.0.9"', log)
        self.assertIn('"status":101', log)


class RcloneTests(RecipeCase):
    def setUp(self) -> None:
        super().setUp()
        self.program = need("rclone")
        self.serving, self.mounting = blocks("sh", "rclone")

    def test_what_it_serves_is_a_source(self) -> None:
        address = f"127.0.0.1:{free_port()}"
        command = self.serving.replace("remote:films", str(self.behind.www))
        command = command.replace("127.0.0.1:8081", address)
        self.start(*command.replace("rclone", self.program).split())
        self.answered(address)
        where = self.daemon(
            f"listen: [tcp:0]\nroutes: [{{path: /, sources: [{{url: 'http://{address}/'}}, "
            f"{{url: '{self.behind.url}'}}]}}]\n"
        )
        status, fields, body = get(where, "/film.mp4")
        self.assertEqual((status, body == FILM), (200, True))
        self.assertIn("Last-Modified", fields)

    def test_it_reads_what_aprp_serves(self) -> None:
        """By `serve http`, which reads as `mount` does and needs no FUSE."""
        where = self.daemon(
            "listen: [tcp:0]\nroutes: [{path: /files/, sources: [{url: "
            f"'{self.behind.url}'}}, {{url: '{self.behind.url}?'}}]}}]\n"
        )
        address = f"127.0.0.1:{free_port()}"
        command = self.mounting.replace("\\\n", " ").replace("127.0.0.1:8000", where)
        command = command.replace("rclone mount :http: /mnt/films", "rclone serve http :http:")
        words = command.replace("rclone", self.program).split()
        self.start(*words, "--addr", address)
        self.answered(address)
        listed = self.run_program(
            self.program, "lsf", ":http:", "--http-url", f"http://{where}/files/"
        )
        self.assertEqual(listed, b"film.mp4\n")
        status, _, body = get(address, "/film.mp4", {"Range": "bytes=5000000-"})
        self.assertEqual((status, body == FILM[5_000_000:]), (206, True))


class PlayerTests(RecipeCase):
    """HLS and DASH from two mirrors."""

    def test_segments(self) -> None:
        ffmpeg = need("ffmpeg")
        made = (ffmpeg, "-nostdin", "-v", "error", "-threads", "1")
        source = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=10:duration=6")
        coded = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "20")
        www = self.behind.www
        hls = ("-f", "hls", "-hls_time", "2", "-hls_flags", "single_file", "-hls_list_size", "0")
        self.run_program(*made, *source, *coded, *hls, str(www / "film.m3u8"))
        dash = ("-f", "dash", "-seg_duration", "2")
        self.run_program(*made, *source, *coded, *dash, str(www / "film.mpd"))
        long_ago = 1_700_000_000
        for path in www.iterdir():
            os.utime(path, (long_ago, long_ago))
        example = blocks("yaml", "HLS and DASH")[0]
        for name in ("a", "b"):
            example = example.replace(f"https://{name}.example/stream/", self.behind.url)
        where = self.daemon(example.replace(self.behind.url, f"{self.behind.url}?", 1))
        for name in ("film.m3u8", "film.mpd"):
            frames = self.run_program(
                *(need("ffprobe"), "-v", "error", "-count_frames"),
                *("-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"),
                f"http://{where}/stream/{name}",
            )
            self.assertEqual(frames.split()[0].strip(b","), b"60", name)
        fields = get(where, "/stream/film.m3u8", {"Origin": "https://player.example"})[1]
        self.assertEqual(fields["Access-Control-Allow-Origin"], "https://player.example")
