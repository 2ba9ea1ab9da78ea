"""Failures that are known and are being mended: the shorter this list, the better. Empty is right.

Each is (profile or "", how the failure begins): a run doesn't count what is listed.
"""

from __future__ import annotations

from tests.simulation.scenario import Scenario

KNOWN: tuple[tuple[str, str], ...] = ()


def known(scenario: Scenario, wrong: str) -> bool:
    """Whether a failure of the scenario is one of these."""
    return any(
        name in ("", scenario.name) and wrong.startswith(beginning) for name, beginning in KNOWN
    )
