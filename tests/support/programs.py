"""Outside programs that tests drive: skipped where they are missing, but never silently in CI."""

from __future__ import annotations

import os
import shutil
from unittest import SkipTest


def in_ci() -> bool:
    """Whether a missing program is a failure: ``CI=true`` in the environment."""
    return os.environ.get("CI", "").lower() == "true"


def need(program: str) -> str:
    """The path of ``program``; skips the test that lacks it, or fails it where CI is true."""
    path = shutil.which(program)
    if path is None and program == "nginx":
        path = shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if path is not None:
        return path
    if in_ci():
        raise AssertionError(f"{program} is not installed, and CI=true lets no test go without it")
    raise SkipTest(f"{program} is not installed")
