"""Which `same:` setting would combine the responses of several sources."""

from __future__ import annotations

from collections.abc import Sequence

from aprp.core.choices import Same
from aprp.core.recovery.versions import Facts, combinable, disagreement

FROM_STRICTEST = (Same.DIGEST, Same.MODIFIED, Same.LENGTH)
"""The settings; each says more about the copies than the one after it."""


def objection(same: Same, found: Sequence[Facts]) -> tuple[int, str] | None:
    """Return which of the sources the setting would not combine with the first, and why.

    None means that it would combine all of them. The reason begins with a verb.
    """
    first = found[0]
    if not combinable(first, same):
        missing = disagreement(first, None, same)
        return 0, missing or "shows no strong validator (a strong ETag, or an old Last-Modified)"
    for number, facts in enumerate(found[1:], 1):
        if (differs := disagreement(facts, first, same)) is not None:
            return number, differs
    return None


def strictest(found: Sequence[Facts]) -> Same | None:
    """Return the strictest setting that would combine them all, or None if none would."""
    return next((same for same in FROM_STRICTEST if objection(same, found) is None), None)
