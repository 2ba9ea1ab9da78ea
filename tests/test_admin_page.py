"""The admin page in a real browser, with a film that plays beside it while a source is killed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.browser import Browser
from tests.support.nginx import Nginx
from tests.support.patience import HANG
from tests.support.programs import need
from tests.support.running import Running

CONFIG = """\
listen: [tcp:0:interface=127.0.0.1]
admin: tcp:0:interface=127.0.0.1
routes:
  - path: /films/
    sources:
      - url: {0}
      - url: {1}
  - path: /page/
    upstream: {2}
  - path: /dead/
    upstream: http://127.0.0.1:9/
"""
STATE = "document.querySelectorAll('.source:not(.head) .state')[{}]?.textContent"
RATE = "document.querySelectorAll('.source:not(.head) .num')[{}]?.textContent"
INK = """(() => {
  const canvas = document.querySelector('#running canvas.near');
  if (!canvas || !canvas.width) return 0;
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const colors = new Set();
  for (let at = 0; at < data.length; at += 400) colors.add(data.slice(at, at + 3).join());
  return colors.size;
})()"""


class PageTests(SynchronousTestCase):
    def setUp(self) -> None:
        need("chromium")
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        film = self.film()
        self.mirrors = [self.nginx(f"mirror{n}", "limit_rate 80k;") for n in range(2)]
        for mirror in self.mirrors:
            path = mirror.www / "film.mp4"
            path.write_bytes(film)
            os.utime(path, (1e9, 1e9))
        self.pages = self.nginx("pages")
        page = Path(__file__).parent / "support" / "film.html"
        (self.pages.www / "film.html").write_bytes(page.read_bytes())
        config = self.folder / "aprp.yaml"
        urls = [each.url for each in (*self.mirrors, self.pages)]
        config.write_text(CONFIG.format(*urls))
        self.daemon = Running(self, "--config", str(config))
        self.url = f"http://{self.daemon.ready()}/"

    def nginx(self, name: str, server: str = "") -> Nginx:
        nginx = Nginx(self.folder / name, server)
        self.addCleanup(nginx.stop)
        return nginx

    def film(self) -> bytes:
        """A film of 90 s that can be played while it comes."""
        path = self.folder / "film.mp4"
        picture = "testsrc2=size=320x180:rate=15:duration=90"
        subprocess.run(
            [
                *(need("ffmpeg"), "-nostdin", "-v", "error", "-f", "lavfi", "-i", picture),
                *("-c:v", "libx264", "-preset", "ultrafast", "-b:v", "600k", "-g", "30"),
                *("-pix_fmt", "yuv420p", "-movflags", "+faststart", str(path)),
            ],
            check=True,
            timeout=HANG,
        )
        return path.read_bytes()

    def test_map_and_film_go_on_when_a_source_is_killed(self) -> None:
        browser = Browser(self.folder)
        self.addCleanup(browser.close)
        page = browser.open(f"http://{self.daemon.admin}/")
        self.assertEqual(page.until(STATE.format(0)), "unused")  # before its first request
        self.assertEqual(page.until("document.querySelectorAll('.source:not(.head)').length"), 4)
        film = browser.open(f"{self.url}page/film.html", 640, 400)
        seconds = "document.querySelector('video')?.currentTime ?? 0"
        film.until(seconds, lambda at: at > 0.5)
        page.until(INK, lambda colors: colors >= 3)
        page.until(STATE.format(1), lambda state: state == "ok")
        self.mirrors[1].stop()
        page.until(STATE.format(1), lambda state: state == "down")
        page.until(RATE.format(4), lambda rate: rate == "–")
        before = film.value(seconds)
        film.until(seconds, lambda at: at > before + 3)
        page.until(RATE.format(0), lambda rate: rate != "–")
        self.assertIsNone(film.value("document.querySelector('video').error"))
        said = page.value("document.getElementById('problems').textContent")
        self.assertIn("refused the connection", said)
        self.assertIn("is the server running", said)
        for width in (390, 1280):
            page.resize(width, 844)
            wide = page.value("document.documentElement.scrollWidth")
            self.assertLessEqual(wide, width)
        faults = [e for e in browser.said if e.get("entry", {}).get("source") != "network"]
        self.assertEqual(faults, [])  # a film without an icon is none
