"""The YAML examples of the pages: each is a configuration, or a part of one, without faults."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent
from typing import Any

import yaml
from twisted.trial.unittest import SynchronousTestCase

from aprp.config import ConfigFaults, Settings, load
from tests.support.running import ROOT

PAGES = ("README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))))
KINDS = ("upstream: http://a.example/", "sources: [{url: http://a.example/}]", "query: host")
ELSEWHERE = ("can't be read", "is not a folder", "needs certificates:")
"""What is said of files that an example only names, and of those that another example has."""


def examples(page: str) -> Iterator[tuple[int, str]]:
    """Line and text of each example."""
    text = (ROOT / page).read_text()
    for found in re.finditer(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if not found[1].startswith("scrape_configs:"):  # that one is for Prometheus
            yield text.count("\n", 0, found.start()) + 2, found[1]


def completed(text: str) -> Iterator[str]:
    """Whole configurations that the example may be a part of."""
    told: Any = yaml.safe_load(text)
    listen = "" if "listen" in told else "listen: [tcp:0]\n"
    route = "routes: [{path: /, upstream: 'http://a.example/'}]\n"
    if isinstance(told, list):
        yield f"{listen}routes:\n{text}"
    elif set(told) <= set(Settings.model_fields):
        yield listen + ("" if "routes" in told else route) + text
    else:
        for kind in KINDS:
            yield f"{listen}routes:\n  - path: /\n    {kind}\n{indent(text, '    ')}"


class ExampleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        for name in ("MEDIA_TOKEN", "LINK_SECRET"):
            self.patch(os, "environ", os.environ | {name: "a text that is long enough"})

    def faults(self, text: str) -> list[str]:
        self.path.write_text(text)
        try:
            load(self.path)
        except ConfigFaults as found:
            return [
                str(fault)
                for fault in found.faults
                if not any(said in fault.message for said in ELSEWHERE)
            ]
        return []

    def test_they_have_no_faults(self) -> None:
        count = 0
        for page in PAGES:
            for line, text in examples(page):
                count += 1
                said = [self.faults(whole) for whole in completed(text)]
                self.assertIn([], said, f"{page}:{line}: {said}")
        self.assertGreater(count, 40)

    def test_a_wrong_one_is_found(self) -> None:
        for text in ("memory: 1\n", "path_range: end\n", "- path: /\n  upstream: a\n"):
            self.assertNotIn([], [self.faults(whole) for whole in completed(text)], text)
