"""A web player on another site: Chromium reads ranges from aprp across two origins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support.browser import Browser, Page
from tests.support.nginx import Nginx
from tests.support.programs import need
from tests.support.running import Running

CONFIG = """\
listen: [tcp:0:interface=127.0.0.1]
log: {{access: access.log}}
routes:
  - path: /one/
    upstream: {origin}
    cors: ['{player}']
  - path: /any/
    upstream: {origin}
    cors: ['*']
  - path: /mirrored/
    sources: [{{url: '{origin}'}}]
    cors: ['{player}']
    path_ranges: end
  - path: /closed/
    upstream: {origin}
"""
FETCH = """(async () => {
  try {
    const answer = await fetch("%s", {headers: %s});
    const text = await answer.text(), get = name => answer.headers.get(name);
    return [answer.status, text, get("Content-Range"), get("Accept-Ranges"), get("ETag") !== null];
  } catch (error) { return String(error); }
})()"""
FILM = b"0123456789" * 10


class CorsTests(SynchronousTestCase):
    def setUp(self) -> None:
        need("chromium")
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        origin, player, stranger = (self.nginx(name) for name in ("origin", "player", "stranger"))
        (origin.www / "film.txt").write_bytes(FILM)
        config = self.folder / "aprp.yaml"
        config.write_text(CONFIG.format(origin=origin.url, player=player.url.rstrip("/")))
        self.daemon = Running(self, "--config", str(config))
        self.url = f"http://{self.daemon.ready()}"
        browser = Browser(self.folder)
        self.addCleanup(browser.close)
        self.player, self.stranger = (browser.open(each.url) for each in (player, stranger))
        for page, each in ((self.player, player), (self.stranger, stranger)):
            page.until("location.origin", each.url.rstrip("/").__eq__)

    def nginx(self, name: str) -> Nginx:
        nginx = Nginx(self.folder / name)
        self.addCleanup(nginx.stop)
        (nginx.www / "index.html").write_text("<!doctype html><title>x</title>")
        return nginx

    def fetch(self, page: Page, path: str, fields: str = '{Range: "bytes=10-14"}') -> Any:
        return page.value(FETCH % (self.url + path, fields))

    def test_a_player_reads_ranges_and_their_places(self) -> None:
        part = [206, "01234", "bytes 10-14/100"]
        for path in ("/one/film.txt", "/any/film.txt", "/mirrored/film.txt"):
            self.assertEqual(self.fetch(self.player, path)[:3], part)
        self.assertEqual(self.fetch(self.player, "/mirrored/film.txt/10/14", "{}")[:3], part)
        status, text, place, ranges, tagged = self.fetch(self.player, "/one/film.txt", "{}")
        self.assertEqual((status, text, place), (200, FILM.decode(), None))
        self.assertEqual((ranges, tagged), ("bytes", True))

    def test_a_preflight_lets_fields_of_ranges_pass(self) -> None:
        stale = '{Range: "bytes=10-14", "If-Range": \'"other"\', "Cache-Control": "no-cache"}'
        for path in ("/one/film.txt", "/any/film.txt", "/mirrored/film.txt"):
            status, text, place, *_ = self.fetch(self.player, path, stale)
            self.assertEqual((status, text, place), (200, FILM.decode(), None))
        log = self.daemon.wait_for(
            '"GET /mirrored/film.txt HTTP/1.1" 200', str(self.folder / "access.log")
        )
        for path in ("one", "any", "mirrored"):
            self.assertIn(f'"OPTIONS /{path}/film.txt HTTP/1.1" 204', log)
        refused = self.fetch(self.player, "/one/film.txt", '{"X-Other": "1"}')
        self.assertEqual(refused, "TypeError: Failed to fetch")

    def test_errors_can_be_read_too(self) -> None:
        beyond = self.fetch(self.player, "/mirrored/film.txt", '{Range: "bytes=100-"}')
        self.assertEqual((beyond[0], beyond[2]), (416, "bytes */100"))
        self.assertEqual(self.fetch(self.player, "/one/none")[0], 404)

    def test_other_sites_read_nothing(self) -> None:
        for path in ("/one/film.txt", "/mirrored/film.txt", "/closed/film.txt"):
            for fields in ("{}", '{Range: "bytes=10-14"}', '{"Cache-Control": "no-cache"}'):
                read = self.fetch(self.stranger, path, fields)
                self.assertEqual(read, "TypeError: Failed to fetch")
        self.assertEqual(self.fetch(self.player, "/closed/film.txt"), "TypeError: Failed to fetch")
        self.assertEqual(self.fetch(self.stranger, "/any/film.txt")[1], "01234")
