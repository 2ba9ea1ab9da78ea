"""What the tests of the configuration share."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aprp.config import ConfigFaults, Loaded, load

LEAST = """\
listen: [tcp:0]
routes:
  - path: /
    upstream: http://a/
"""
FORM = re.compile(r"(?P<file>.+?):(?P<line>\d+):(?P<column>\d+): (?P<key>.+?): (?P<what>.+)")


class ConfigCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.file = self.folder / "aprp.yaml"

    def read(self, text: str | bytes) -> Loaded:
        content = text if isinstance(text, bytes) else dedent(text).encode()
        self.file.write_bytes(content)
        return load(self.file)

    def faults(self, text: str | bytes) -> list[str]:
        """What is said of the text, the file's name taken off, in the form that is promised."""
        refused = self.assertRaises(ConfigFaults, self.read, text)
        lines = str(refused).split("\n")
        for line in lines:
            found = FORM.fullmatch(line)
            assert found is not None, line
            self.assertEqual(found["file"], str(self.file))
        return [line.removeprefix(f"{self.file}:") for line in lines]

    def fault(self, text: str | bytes) -> str:
        said = self.faults(text)
        self.assertEqual(len(said), 1, said)
        return said[0]

    def route(self, lines: str, kind: str = "upstream: http://a/") -> Any:
        """The route that the lines make, beside its path and kind."""
        (route,) = self.read(in_route(lines, kind)).settings.routes
        return route


def in_route(lines: str, kind: str = "upstream: http://a/") -> str:
    """A file whose one route begins on line 3; its own lines begin on line 5, column 5."""
    head = f"listen: [tcp:0]\nroutes:\n  - path: /x\n    {kind}\n"
    return head + "".join(f"    {line}\n" for line in lines.split("\n") if line)
