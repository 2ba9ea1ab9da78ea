"""What workers tell each other of sources: ratings, and the results of health checks. Pure.

Rules:
- a worker tells what changed since it told last;
- what it measured itself since then is newer than what others tell, and stays;
- otherwise it takes over what it is told, the latest last;
- one worker checks the sources' health; the others take its results over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from aprp.core.scheduling.in_service import InService, SourceHealth
from aprp.core.scheduling.ratings import REMEMBERED, Learnt, Ratings

Told = dict[str, Any]
"""What is told, as JSON: `ratings` by source; `health`, where it changed, as a list."""
BLANK = Learnt()


class Findings:
    """What one worker has found and been told.

    `checks`: whether it is the one that checks the sources' health.
    """

    def __init__(self, ratings: Ratings, in_service: InService, checks: bool) -> None:
        self._ratings = ratings
        self._in_service = in_service
        self._checks = checks
        self._known: dict[str, Learnt] = {}
        self._health: list[Any] = []

    def news(self) -> Told:
        """Return what changed since the last call."""
        learnt = {name: rating.learnt() for name, rating in self._ratings}
        changed = {
            name: asdict(each)
            for name, each in learnt.items()
            if each != self._known.get(name, BLANK)
        }
        self._known = learnt
        told: Told = {"ratings": changed}
        if self._checks and (health := self._states()) != self._health:
            self._health = told["health"] = health
        return told

    def hear(self, told: Told) -> bool:
        """Take over what others found; return whether the health of a source did change."""
        for name, fields in told["ratings"].items():
            rating = self._ratings.of(name)
            if rating.learnt() == self._known.get(name, BLANK):
                rating.adopt(learnt_from(fields))
                self._known[name] = rating.learnt()
        before = self._in_service.out
        if "health" in told:
            self._in_service.adopt(
                {(source, how): SourceHealth(**state) for source, how, state in told["health"]}
            )
            self._health = self._states()
        return self._in_service.out != before

    def _states(self) -> list[Any]:
        states = self._in_service.states().items()
        return [[source, how, asdict(state)] for (source, how), state in states]


def learnt_from(fields: Mapping[str, Any]) -> Learnt:
    """Return what was learnt from its JSON."""
    return Learnt(**{**fields, "parked": tuple((file, until) for file, until in fields["parked"])})


def merge(before: Told, news: Told) -> Told:
    """Return what is known after `news`; of sources without end, the latest."""
    ratings = before["ratings"]
    for name, fields in news["ratings"].items():
        ratings.pop(name, None)
        ratings[name] = fields
    for name in list(ratings)[: max(0, len(ratings) - REMEMBERED)]:
        del ratings[name]
    return {**before, **news, "ratings": ratings}
