"""Programs that people use, through a daemon in front of nginx: the bytes are those of the file."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.browser import HEADLESS
from tests.support.nginx import Nginx
from tests.support.patience import HANG, PATIENCE
from tests.support.programs import need
from tests.support.running import Running

CONTENT = random.Random(4).randbytes(24 * 2**20)
SIZE = len(CONTENT)
CONFIG = """\
listen: [tcp:0:interface=127.0.0.1]
log: {{access: {access}, access_format: json}}
routes:
  - path: /
    upstream: {upstream}
    path_ranges: end
"""


class ClientCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.nginx = Nginx(self.folder / "nginx")
        self.addCleanup(self.nginx.stop)
        self.access = self.folder / "access.json"
        config = self.folder / "aprp.yaml"
        text = CONFIG.format(access=self.access, upstream=self.nginx.url)
        config.write_text(self.configuration(text))
        self.daemon = Running(self, "--config", str(config))
        self.url = f"http://{self.daemon.ready()}/"

    def configuration(self, text: str) -> str:
        """The whole configuration, that of all tests given."""
        return text + self.more_routes()

    def more_routes(self) -> str:
        """What the configuration has besides."""
        return ""

    def browse(self, page: str, *options: str) -> str:
        """What a page in Chromium says at its end, by a request for /done?RESULT."""
        profile = self.folder / "profile"
        command = [need("chromium"), *HEADLESS, *options, f"--user-data-dir={profile}", page]
        with open(self.folder / "chromium", "wb") as out:
            browser = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=os.environ | {"HOME": str(self.folder)},
                start_new_session=True,
            )
        try:
            log = self.daemon.wait_for("/done?", str(self.access))
        finally:
            os.killpg(browser.pid, signal.SIGKILL)
            browser.wait(PATIENCE)
        result = re.search(r"/done\?([^\" ]*)", log)
        assert result is not None
        return result[1]

    def publish(self, name: str = "film.bin", content: bytes = CONTENT) -> str:
        (self.nginx.www / name).write_bytes(content)
        return self.url + name

    def run_program(self, *command: str) -> bytes:
        done = subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=HANG, check=False
        )
        self.assertEqual(done.returncode, 0, (done.stderr, done.stdout[-2000:]))
        return done.stdout

    def requests(self) -> list[dict[str, object]]:
        """The access log's lines, once the daemon ended."""
        self.daemon.stop()
        return [json.loads(line) for line in self.access.read_text().splitlines()]

    def make_film(self) -> bytes:
        """A film of 20 s whose index (moov) comes after its pictures."""
        path = self.folder / "made.mp4"
        picture = "testsrc2=size=640x360:rate=25:duration=20"
        tone = "sine=frequency=440:duration=20"
        self.run_program(
            *(need("ffmpeg"), "-nostdin", "-v", "error", "-threads", "1"),
            *("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", tone),
            *("-c:v", "libx264", "-preset", "ultrafast", "-crf", "18", "-pix_fmt", "yuv420p"),
            *("-g", "25", "-c:a", "aac", "-shortest", str(path)),
        )
        film = path.read_bytes()
        self.assertGreater(film.find(b"moov"), film.find(b"mdat"))
        return film


class CurlTests(ClientCase):
    def curl(self, *arguments: str) -> bytes:
        return self.run_program(need("curl"), "-sS", "--fail", *arguments)

    def test_ranges(self) -> None:
        url = self.publish()
        for wanted, start, stop in (
            ("0-99", 0, 100),
            ("1000000-20000000", 1_000_000, 20_000_001),
            ("20000000-", 20_000_000, SIZE),
            ("-5000", SIZE - 5000, SIZE),
        ):
            self.assertEqual(self.curl("-r", wanted, url), CONTENT[start:stop])
        self.assertEqual(self.curl(f"{url}/1000/1999"), CONTENT[1000:2000])
        self.assertEqual(self.curl(url), CONTENT)

    def test_several_ranges(self) -> None:
        url = self.publish()
        body = self.curl("-r", "5-9,-7,1000000-1999999", url)
        pieces = (CONTENT[5:10], CONTENT[-7:], CONTENT[1_000_000:2_000_000])
        first = body.split(b"\r\n", 1)[0]
        parts = [part.partition(b"\r\n\r\n")[2][:-2] for part in body.split(first)[1:4]]
        self.assertEqual(tuple(parts), pieces)

    def test_resume(self) -> None:
        url, partial = self.publish(), self.folder / "partial"
        partial.write_bytes(CONTENT[:7_654_321])
        self.curl("-C", "-", "-o", str(partial), url)
        self.assertEqual(partial.read_bytes(), CONTENT)
        self.assertEqual([line["status"] for line in self.requests()], [206])

    def test_one_connection_for_many(self) -> None:
        url = self.publish()
        told = self.curl("-r", "0-9", *[url] * 20, "-w", "[%{num_connects}]")
        self.assertEqual(told, b"".join(CONTENT[:10] + b"[%d]" % (at == 0) for at in range(20)))


class PlayerTests(ClientCase):
    def test_ffprobe_finds_the_index_at_the_end(self) -> None:
        film = self.make_film()
        url = self.publish("film.mp4", film)
        entries = "format=duration:stream=codec_type"
        told = self.run_program(
            *(need("ffprobe"), "-v", "error", "-of", "json", "-show_entries", entries, url)
        )
        found = json.loads(told)
        self.assertAlmostEqual(float(found["format"]["duration"]), 20.0, delta=0.2)
        kinds = sorted(stream["codec_type"] for stream in found["streams"])
        self.assertEqual(kinds, ["audio", "video"])
        lines = self.requests()
        self.assertGreater(len(lines), 1, "it went to the end and back")
        self.assertLess(sum(int(str(line["bytes_sent"])) for line in lines), 3 * len(film))

    def test_chromium_plays_and_seeks(self) -> None:
        film = self.make_film()
        self.publish("film.mp4", film)
        page = self.publish(
            "page.html", (Path(__file__).parent / "support" / "page.html").read_bytes()
        )
        result = self.browse(f"{page}?/film.mp4")
        digest = hashlib.sha256(film).hexdigest()
        verdict, width, duration, seen = result.split(",")
        self.assertEqual((verdict, width, seen), ("ok", "640", digest))
        self.assertAlmostEqual(float(duration), 20.0, delta=0.2)
        films = [line for line in self.requests() if line["target"] == "/film.mp4"]
        self.assertIn(206, [line["status"] for line in films])


class DownloaderTests(ClientCase):
    def test_aria2c_with_8_connections(self) -> None:
        url = self.publish()
        self.run_program(
            *(need("aria2c"), "--no-conf", "-q", "-x8", "-s8", "-k1M", "--file-allocation=none"),
            *("--allow-overwrite=true", "-d", str(self.folder), "-o", "got.bin", url),
        )
        self.assertEqual((self.folder / "got.bin").read_bytes(), CONTENT)
        ranges = {line["range"] for line in self.requests() if line["status"] == 206}
        self.assertGreaterEqual(len(ranges), 7)
