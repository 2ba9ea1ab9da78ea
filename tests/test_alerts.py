"""The alert rules and the dashboard in docs: their own tool takes them, and they name metrics that
there are."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aprp.config import SourceSettings, SourcesRoute, Url
from aprp.upstream.http.agent import Agent
from aprp.upstream.transfer.shared import SharedResources
from aprp.web.admin.metrics import Metrics
from aprp.web.admin.overview import Health, Overview
from aprp.web.clients import Clients
from aprp.web.tallies import Tallies
from tests.support.patience import HANG
from tests.support.programs import need
from tests.support.running import ROOT

ALERTS = ROOT / "docs" / "alerts.yml"
DASHBOARD = ROOT / "docs" / "grafana-dashboard.json"
NAME = re.compile(r"\b(?:aprp|process)_[a-z_]+\b")


def exported() -> bytes:
    """What /metrics says of a daemon that has one source."""
    source = SourceSettings(url=Url.parse("http://a.example/"))
    route = SourcesRoute(path="/films/", sources=(source,))
    clock = Clock()
    shared = SharedResources(Agent(clock), clock)
    overview = Overview(Health("serving"), Tallies((route,)), shared, list, lambda: 0)
    metrics = Metrics(overview)
    metrics.watch_connections(shared.agent)
    metrics.watch_clients(Clients().refused)
    return metrics.text()


class AlertsTests(SynchronousTestCase):
    def promtool(self, *arguments: str, stdin: bytes = b"") -> None:
        done = subprocess.run(
            [need("promtool"), *arguments],
            input=stdin,
            capture_output=True,
            timeout=HANG,
            check=False,
        )
        self.assertEqual(done.returncode, 0, (done.stdout + done.stderr).decode())

    def test_the_rules_are_valid(self) -> None:
        self.promtool("check", "rules", str(ALERTS))

    def test_the_rules_fire_when_they_should(self) -> None:
        tests = (ROOT / "tests" / "support" / "alerts_test.yml").read_text()
        path = Path(self.mktemp()).absolute()
        path.write_text(tests.replace("ALERTS", str(ALERTS)))
        self.promtool("test", "rules", str(path))

    def test_the_metrics_follow_the_conventions(self) -> None:
        self.promtool("check", "metrics", stdin=exported())


class NamesTests(SynchronousTestCase):
    def test_every_metric_that_is_named_is_exported(self) -> None:
        there = set(re.findall(r"^([a-z_]+)(?:\{| )", exported().decode(), re.MULTILINE))
        for path in (ALERTS, DASHBOARD):
            named = set(NAME.findall(path.read_text()))
            self.assertEqual(named - there, set(), path.name)
            self.assertGreater(len(named), 5)

    def test_the_dashboard_is_whole(self) -> None:
        dashboard = json.loads(DASHBOARD.read_text())
        panels = dashboard["panels"]
        numbers = [panel["id"] for panel in panels]
        self.assertEqual(len(numbers), len(set(numbers)))
        variables = {each["name"] for each in dashboard["templating"]["list"]}
        for panel in panels:
            self.assertTrue(panel["title"])
            for target in panel.get("targets", ()):
                used = set(re.findall(r"\$([a-z]+)", target["expr"]))
                self.assertEqual(used - variables, set(), panel["title"])
                for opening, closing in ("()", "{}", "[]"):
                    self.assertEqual(target["expr"].count(opening), target["expr"].count(closing))
