"""The demonstration's page in a real browser: its buttons are pressed, and the film goes on."""

from __future__ import annotations

import socket
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.browser import Browser
from tests.support.programs import need
from tests.support.running import Running

BUTTON = "document.querySelectorAll('.mirror button')[{}].click()"
DEAD = "document.querySelectorAll('.mirror')[{}].classList.contains('dead')"
NEWS = "document.getElementById('news').textContent"
FAULT = "document.getElementById('fault')"
SET_RATE = """(() => {{
  const slider = document.querySelectorAll('.mirror input')[{}];
  slider.value = {};
  slider.dispatchEvent(new Event('input'));
}})()"""
FETCHING = """(() => {
  const found = new Set();
  if (told.before) runsOf(told.before.near, told.before.numbers,
    (start, stop, state, mirror) => state % TWICE === IN_FLIGHT && found.add(mirror));
  return [...found].sort();
})()"""
"""Numbers of the mirrors that the map shows fetching something."""
WATCH = """(() => {
  window.starved = [];
  film.addEventListener('waiting', () => { if (ahead() < 0.5) starved.push(film.currentTime); });
})()"""
"""A player on a busy machine may wait for its decoder: only a wait for bytes is one of ours."""
KILLS = 8
"""Times that a mirror is killed before it must have been in the middle of a block."""


class PageTests(SynchronousTestCase):
    timeout = 240

    def setUp(self) -> None:
        need("chromium")
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        self.daemon = Running(self, "--demo", "--port", "0")
        url = f"http://{self.daemon.ready()}/"
        self.browser = Browser(folder)
        self.addCleanup(self.browser.close)
        self.page = self.browser.open(url)
        self.page.until("typeof told !== 'undefined' && told.before !== null")
        self.page.value(WATCH)
        self.page.until("film.currentTime > 1 && ahead() > 4")

    def played(self) -> float:
        seconds: float = self.page.value("film.currentTime")
        return seconds

    def plays_on(self, seconds: float) -> None:
        """Wait until that much more of the film was played, of what the player was sent in time."""
        start = self.played()
        self.page.until("film.currentTime", lambda at: at > start + seconds)
        self.assertEqual(self.page.value("[starved, waits.given_up, film.error]"), [[], None, None])

    def kill(self, number: int) -> None:
        self.page.value(BUTTON.format(number))
        self.page.until(DEAD.format(number))

    def revive(self, number: int) -> None:
        self.page.value(BUTTON.format(number))
        self.page.until(DEAD.format(number), lambda dead: not dead)
        self.page.until(FETCHING, lambda found: number in found)

    def test_the_film_goes_on_without_its_fastest_mirror(self) -> None:
        taken_over = "took over what was missing of A"
        for _ in range(KILLS):
            self.page.until(FETCHING, lambda found: 0 in found)
            self.kill(0)
            self.page.until(FETCHING, lambda found: found and 0 not in found)
            if taken_over in self.page.until(f"losses.length ? '' : {NEWS}"):
                break
            self.revive(0)
        self.assertIn(taken_over, self.page.value(NEWS))
        port = self.page.value("told.mirrors[0].port")
        self.assertRaises(ConnectionRefusedError, socket.create_connection, ("127.0.0.1", port))
        self.page.until("told.mirrors[0].source.state", lambda state: state == "down")
        self.plays_on(4)
        self.revive(0)
        self.page.until("told.mirrors[0].source.state", lambda state: state == "ok")
        self.plays_on(1)
        self.page.value(SET_RATE.format(0, 250_000))
        self.page.until("told.mirrors[0].rate", lambda rate: rate == 250_000)
        rate = "told.mirrors[0].source.bytes_per_second"
        self.page.until(rate, lambda now: 0 < now < 350_000)
        self.plays_on(1)
        self.fits_and_reports_nothing()

    def test_a_mirror_that_is_silent_and_one_whose_port_is_taken(self) -> None:
        self.page.value(SET_RATE.format(0, 0))
        self.page.until("told.mirrors[0].rate", lambda rate: rate == 0)
        self.page.until("told.mirrors[0].source.bytes_per_second", lambda now: now == 0)
        self.plays_on(3)
        self.kill(1)
        said = self.page.value("$('verdict').textContent")
        self.assertIn("less", said)  # 400 kB/s for a film that needs 1 MB/s
        with socket.create_server(("127.0.0.1", self.page.value("told.mirrors[1].port"))):
            self.page.value(BUTTON.format(1))
            self.page.until(f"!{FAULT}.hidden")
            self.assertIn("Mirror B: can't listen", self.page.value(f"{FAULT}.textContent"))
            self.assertTrue(self.page.value(DEAD.format(1)))
        self.revive(1)
        self.assertTrue(self.page.value(f"{FAULT}.hidden"))
        self.page.value("starved.length = 0")  # a slow machine may have played all there was
        self.plays_on(1)
        self.daemon.stop()
        self.page.until("$('state').textContent", lambda said: said == "aprp doesn't answer")
        self.page.value(BUTTON.format(2))
        self.page.until(f"{FAULT}.textContent", lambda said: "is the demo still running" in said)

    def fits_and_reports_nothing(self) -> None:
        """No page is wider than its window, and the browser has nothing to complain of."""
        for width in (390, 800, 1280):
            self.page.resize(width, 844)
            wide = self.page.value("document.documentElement.scrollWidth")
            self.assertLessEqual(wide, width)
        self.assertEqual(self.browser.said, [])
