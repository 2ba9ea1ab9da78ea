"""How the property tests run: two profiles of Hypothesis, and failing examples that are printed.

`fixed` is the profile of `make test`: the same examples in each run, so that a failure belongs to
the change that is tested. `explore` is the profile of `make fuzz`: new examples in each run, and a
database that keeps those that failed, from which they are tried first the next time. A test says
of its own only how many examples it can afford. `tests/__init__.py` calls `set_up`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TextIO

from hypothesis import HealthCheck, settings
from hypothesis.database import DirectoryBasedExampleDatabase
from twisted.python.failure import Failure

ROOT = Path(__file__).parent.parent.parent
PROFILE = "APRP_HYPOTHESIS_PROFILE"
"""The variable in the environment that names the profile; `fixed` where it is missing."""
# trial changes to a folder that it empties, hence the absolute path.
KEPT = ROOT / ".hypothesis" / "examples"

_print_traceback = Failure.printTraceback


def set_up() -> None:
    """Load the profile that the environment names, and have notes printed."""
    settings.register_profile(
        "fixed",
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],  # the machine is, if any
    )
    settings.register_profile(
        "explore",
        deadline=None,
        derandomize=False,
        max_examples=1000,
        database=DirectoryBasedExampleDatabase(KEPT),
        print_blob=True,
    )
    settings.load_profile(os.environ.get(PROFILE, "fixed"))
    Failure.printTraceback = _print_with_notes  # type: ignore[method-assign,assignment]


def _print_with_notes(
    failure: Failure, file: TextIO | None = None, *rest: Any, **named: Any
) -> None:
    """Print a traceback and the notes of its exception, as Python does and Twisted doesn't.

    Hypothesis writes the example that failed into such notes.
    """
    _print_traceback(failure, file, *rest, **named)
    for note in getattr(failure.value, "__notes__", ()):
        print(note, file=file)
