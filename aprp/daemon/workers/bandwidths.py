"""The bandwidth of routes, divided among the workers by what each of them needs.

Each worker begins with an equal part. Every `PERIOD` seconds, the parent divides the bandwidth anew
by what the workers used and needed since the last time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from aprp.config import Route
from aprp.core.fair_share import Demand, divide
from aprp.daemon.workers.supervisor import Supervisor
from aprp.web.tallies import label_of

PERIOD = 0.5
"""Seconds between two divisions."""


class SharedBandwidths:
    """Divides the bandwidth of routes among the workers, from `change` to `stop`."""

    _log = Logger()

    def __init__(self, workers: Supervisor, clock: Any) -> None:
        self._workers = workers
        self._clock = clock
        self._limits: dict[str, int] = {}
        self._parts: dict[int, dict[str, int]] = {}
        self._next: IDelayedCall | None = None

    def change(self, routes: Iterable[Route]) -> None:
        """Divide the bandwidth of these routes; each worker has an equal part so far."""
        self.stop()
        self._limits = {
            label_of(route): route.bandwidth for route in routes if route.bandwidth is not None
        }
        self._parts = {}
        if self._limits:
            self._next = self._clock.callLater(PERIOD, self._divide)

    def stop(self) -> None:
        """Stop dividing, and leave the parts as they are."""
        self._limits = {}
        if self._next is not None and self._next.active():
            self._next.cancel()

    def _divide(self) -> None:
        work = Deferred.fromCoroutine(self._ask(self._limits))
        work.addErrback(lambda failure: self._log.failure("dividing bandwidth", failure))

    async def _ask(self, limits: dict[str, int]) -> None:
        answers = await self._workers.ask_each(
            "bandwidth", lambda number: (json.dumps(self._parts.get(number, {})),)
        )
        if limits is self._limits:
            self._parts = parts_of(limits, dict(answers))
            self._next = self._clock.callLater(PERIOD, self._divide)


def parts_of(
    limits: dict[str, int], answers: dict[int, dict[str, list[Any]]]
) -> dict[int, dict[str, int]]:
    """Return each worker's parts by route, from the demand that each reported."""
    parts: dict[int, dict[str, int]] = {number: {} for number in answers}
    for label, limit in limits.items():
        having = [number for number in answers if label in answers[number]]
        demands = [Demand(*answers[number][label]) for number in having]
        for number, part in zip(having, divide(limit, demands), strict=True):
            parts[number][label] = part
    return parts
