"""How long tests wait for what has to happen before they fail."""

PATIENCE = 120.0
"""Seconds; far more than anything takes, however slow and busy the machine is. No test waits for
so long unless something hangs."""
HANG = 300.0
"""Seconds after which trial gives a whole test up; more than one wait with `PATIENCE`."""
