"""The public suite of tests for HTTP caches, run by its own engine (http-tests/cache-tests).

It is a package of npm, which is installed into `tests/cache_suite/` when it is first needed.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Container
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import SkipTest

from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue

from tests.support.eventually import eventually
from tests.support.nginx import free_port
from tests.support.programs import in_ci, need

HOME = Path(__file__).parent.parent / "cache_suite"
PACKAGE = HOME / "node_modules" / "http-cache-tests"
AT_ONCE = 40
"""Tests that run at a time; most of them wait for three seconds at least once."""

Outcome = Any
"""True, or the kind of a failure and its text."""


def installed() -> Path:
    """Return where the suite is. Skip the test if it can't be installed, or fail it in CI."""
    need("node")
    if not (PACKAGE / "package.json").exists():
        quiet = ("--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts")
        done = subprocess.run(
            [need("npm"), "install", *quiet], cwd=HOME, capture_output=True, text=True, check=False
        )
        if done.returncode:
            said = f"npm can't install the suite for caches: {done.stderr[-500:]}"
            raise AssertionError(said) if in_ci() else SkipTest(said)
    return PACKAGE


@dataclass(frozen=True, slots=True)
class Case:
    """One test of the suite. `kind` is `required`, `optimal` or `check`; it means something only if
    those that it `needs` passed.
    """

    id: str
    group: str
    kind: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """The results of a proxy, and those that the suite has on record for others."""

    cases: tuple[Case, ...]
    results: dict[str, Outcome]
    recorded: dict[str, dict[str, Outcome]]

    def amended(self, again: Run) -> Run:
        """Return the same with the results of another run where that has any."""
        return replace(self, results=self.results | again.results)

    def failed(self) -> dict[str, Outcome]:
        """Return the outcomes that aren't those hoped for."""
        return {each.id: out for each in self.cases if (out := self.results[each.id]) is not True}

    def passed(
        self,
        results: dict[str, Outcome],
        group: str | None = None,
        among: Container[str] | None = None,
    ) -> int:
        """Return how many tests have the outcome hoped for, of a group, and `among` these."""
        needs = {each.id: each.needs for each in self.cases}

        def good(case: str) -> bool:
            return results.get(case) is True and all(map(good, needs.get(case, ())))

        chosen = (each.id for each in self.cases if group in (None, each.group))
        return sum(good(each) for each in chosen if among is None or each in among)

    def table(self) -> str:
        """Return how many tests passed, by group, here and as recorded for others."""
        columns = {"aprp": self.results, **self.recorded}
        groups: list[str | None] = [*dict.fromkeys(each.group for each in self.cases), None]
        lines = [f"{'group':20}{'tests':>6}" + "".join(f"{name[:9]:>10}" for name in columns)]
        for group in groups:
            count = sum(group in (None, each.group) for each in self.cases)
            passed = (self.passed(results, group) for results in columns.values())
            lines.append(f"{group or 'all':20}{count:6}" + "".join(f"{n:10}" for n in passed))
        return "\n".join(lines)


class SuiteServer:
    """The suite's own server, which is the upstream."""

    def __init__(self, folder: Path) -> None:
        self._port = port = free_port()
        self.url = f"http://127.0.0.1:{port}/"
        environment = {
            **os.environ,
            "npm_config_protocol": "http",
            "npm_config_port": str(port),
            "npm_config_pidfile": str(folder / "pid"),
        }
        self._process = subprocess.Popen(
            [need("node"), "--require", str(HOME / "loopback.cjs"), "server/server.mjs"],
            cwd=installed(),
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    async def started(self) -> None:
        """Wait until it listens."""
        await eventually(self._listens, "the suite's server")

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()


async def run(url: str, *ids: str) -> Run:
    """Run the tests, or those with these ids, against a proxy in front of the server."""
    arguments = ["--no-warnings", str(HOME / "run.mjs"), url, str(AT_ONCE), *ids]
    out, error, code = await getProcessOutputAndValue(
        need("node"), arguments, env=os.environ, path=str(HOME), reactor=reactor
    )
    assert code == 0, error.decode()[-2000:]
    found = json.loads(out.decode().splitlines()[-1])
    cases = tuple(
        Case(each["id"], each["group"], each["kind"], tuple(each["needs"]))
        for each in found["tests"]
    )
    return Run(cases, found["results"], found["recorded"])
