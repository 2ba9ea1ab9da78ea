"""Which sources may be asked: those that no operator has drained and that pass their checks.

Rules:
- a source that is checked counts as well until so many checks in a row have failed, and as unwell
  until so many in a row have passed;
- one that is checked in several ways has to be well in each;
- draining has nothing to do with checks: a drained source stays out until it is resumed.

Beside the ratings, which only say how to use the sources that are in service. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping

from aprp.core.values import dataclass

DRAINED = "drained"


@dataclass(frozen=True, slots=True)
class HealthRules:
    """How many checks in a row have to fail, or to pass, before a source changes its state."""

    fails: int
    passes: int


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """The health of a source by one way of checking it.

    `streak` counts the last checks in a row that contradict `well`; `reason` is that of the last
    failure.
    """

    well: bool = True
    streak: int = 0
    reason: str = ""

    def after(self, failure: str | None, rules: HealthRules) -> SourceHealth:
        """Return the state after one more check; `failure` is None if it passed."""
        reason = self.reason if failure is None else failure
        if (failure is None) is self.well:
            return SourceHealth(self.well, 0, reason)
        needed = rules.fails if self.well else rules.passes
        if self.streak + 1 < needed:
            return SourceHealth(self.well, self.streak + 1, reason)
        return SourceHealth(not self.well, 0, reason)


class InService:
    """The sources of the process, by name; a name that was never heard is in service."""

    def __init__(self) -> None:
        self._drained: set[str] = set()
        self._health: dict[tuple[str, Hashable], SourceHealth] = {}
        self.out: frozenset[str] = frozenset()
        """The sources that are out of service."""

    def _changed(self) -> None:
        unwell = (name for (name, _), health in self._health.items() if not health.well)
        self.out = frozenset(self._drained).union(unwell)

    def why_out(self, source: str) -> str | None:
        """Return why a source is out of service, or None if it is in service."""
        if source in self._drained:
            return DRAINED
        for (name, _), health in self._health.items():
            if name == source and not health.well:
                return f"fails its health checks: {health.reason}"
        return None

    def passes(self, source: str) -> bool:
        """Return whether a source is checked, and passed the last check of each kind."""
        health = [each for (name, _), each in self._health.items() if name == source]
        return bool(health) and all(each.well and not each.streak for each in health)

    def drain(self, source: str) -> None:
        """Take a source out until it is resumed."""
        self._drained.add(source)
        self._changed()

    def resume(self, source: str) -> None:
        """Use a drained source again."""
        self._drained.discard(source)
        self._changed()

    def checked(
        self, source: str, how: Hashable, failure: str | None, rules: HealthRules
    ) -> SourceHealth:
        """Take the result of one check made in the way `how`; give what it makes of the source."""
        before = self._health.get((source, how), SourceHealth())
        after = self._health[source, how] = before.after(failure, rules)
        self._changed()
        return after

    def states(self) -> dict[tuple[str, Hashable], SourceHealth]:
        """Return the health of each source by each way of checking it."""
        return dict(self._health)

    def adopt(self, states: Mapping[tuple[str, Hashable], SourceHealth]) -> None:
        """Take over what another process found."""
        self._health = dict(states)
        self._changed()

    def keep(self, sources: Collection[str], checks: Collection[tuple[str, Hashable]]) -> None:
        """Forget what is known of other sources and by other checks."""
        self._drained.intersection_update(sources)
        self._health = {key: health for key, health in self._health.items() if key in checks}
        self._changed()
