"""The buttons of the admin page in a real browser, with two workers, and pages of other sites."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support.browser import Browser, Page
from tests.support.programs import need
from tests.support.running import Running, get
from tests.support.threaded_origin import ThreadedOrigin

CONFIG = """\
listen: [tcp:0:interface=127.0.0.1]
admin: tcp:0
workers: 2
routes:
  - path: /two/
    sources: [{{url: '{a}'}}, {{url: '{b}'}}]
  - path: /one/
    upstream: {a}
"""
ROWS = "[...document.querySelectorAll('.source:not(.head)')]"
STATES = ROWS + ".map(row => row.querySelector('.state').textContent)"
LABELS = ROWS + ".map(row => row.querySelector('button').textContent)"
OTHER_SITE = """(async () => {
  const sent = {method: "POST", body: '{"source": "%(source)s"}'};
  const json = {headers: {"Content-Type": "application/json"}};
  for (const one of [{...sent, ...json}, {...sent, mode: "no-cors"}])
    try { await fetch("%(admin)s/drain", one); } catch {}
  const read = url => fetch(url).then(answer => answer.text(), () => "nothing");
  return [await read("%(admin)s/status"), await read("%(admin)s/metrics")];
})()"""


class ButtonTests(SynchronousTestCase):
    def setUp(self) -> None:
        need("chromium")
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.a, self.b = ThreadedOrigin(self, "a"), ThreadedOrigin(self, "b")
        self.config = self.folder / "aprp.yaml"
        self.config.write_text(CONFIG.format(a=self.a.url, b=self.b.url))
        self.daemon = Running(self, "--config", str(self.config))
        self.address = self.daemon.ready()
        self.url = f"http://{self.daemon.admin}"
        self.browser = Browser(self.folder)
        self.addCleanup(self.browser.close)

    def page(self) -> Page:
        page = self.browser.open(self.url + "/")
        page.until(STATES, lambda states: len(states) == 3)
        page.value("window.confirm = question => { window.asked = question; return true; }")
        return page

    def press(self, page: Page, row: int) -> None:
        page.value(f"{ROWS}[{row}].querySelector('button').click()")

    def statuses(self, path: str) -> set[int]:
        return {get(self.address, path)[0] for _ in range(10)}

    def test_a_source_is_drained_and_brought_back(self) -> None:
        page = self.page()
        workers = "[...document.querySelectorAll('.worker:not(.head) .state')]"
        page.until(workers + ".map(one => one.textContent).join()", "serving,serving".__eq__)
        self.press(page, 1)
        page.until(STATES, lambda states: states[1] == "drained")
        self.assertEqual(page.until(LABELS), ["drain", "resume", "drain"])
        self.assertIsNone(page.value("window.asked ?? null"))  # the route has another source
        asked = len(self.b.asked)
        self.assertEqual(self.statuses("/two/x"), {200})
        self.assertEqual(len(self.b.asked), asked)
        self.press(
            page, 2
        )  # it is the upstream of the second route, and the first one's last source
        page.until(STATES, lambda states: states == ["drained"] * 3)
        self.assertIn(
            "No other source is in service for /two/ and /one/", page.value("window.asked")
        )
        self.assertEqual(self.statuses("/one/x") | self.statuses("/two/x"), {503})
        page.until("document.getElementById('state').textContent", lambda s: "/one/: no s" in s)
        for row in (1, 0):
            self.press(page, row)
        page.until(STATES, lambda states: "drained" not in states)
        page.until(LABELS, lambda labels: set(labels) == {"drain"})
        self.assertEqual(self.statuses("/one/x") | self.statuses("/two/x"), {200})
        self.assertEqual(self.said(), [])

    def test_a_reload_that_is_refused(self) -> None:
        page = self.page()
        self.config.write_text(self.config.read_text() + "rutes: []\n")
        page.value("document.getElementById('reload').click()")
        outcome = "document.getElementById('outcome').textContent"
        self.assertIn("refused", page.until(outcome, lambda said: "reloading" not in said and said))
        problems = page.until("document.getElementById('problems').textContent")
        self.assertIn("A reload was refused, and the configuration before it", problems)
        self.assertIn("rutes: is not a known key; did you mean routes?", problems)
        self.config.write_text(self.config.read_text().replace("rutes: []\n", ""))
        page.value("document.getElementById('reload').click()")
        page.until(outcome, lambda said: said.endswith("reloaded; log files reopened"))
        page.until("document.getElementById('troubles').hidden")

    def test_a_page_of_another_site_changes_and_reads_nothing(self) -> None:
        other = self.browser.open(self.a.url)
        where = {"source": self.b.url, "admin": self.url}
        read = other.value(OTHER_SITE % where)
        self.assertEqual(read, ["nothing", "nothing"])
        form = (
            "document.body.innerHTML = '<form method=post enctype=text/plain action=\"%s/reload\">'"
        )
        other.value(form % self.url)
        other.value("document.forms[0].submit()")
        other.until("document.body?.textContent ?? ''", lambda said: "another site" in said)
        states = self.page().value(STATES)
        self.assertNotIn("drained", states)
        self.assertNotIn(" reloaded; ", self.daemon.err)

    def said(self) -> list[Any]:
        return [e for e in self.browser.said if e.get("entry", {}).get("source") != "network"]
