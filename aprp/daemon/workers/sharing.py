"""What each worker finds out about sources, passed on to the others by the parent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from aprp.core.sharing.findings import Told, merge
from aprp.daemon.workers.supervisor import Supervisor

PERIOD = 0.4
"""Seconds between two exchanges with each worker."""
COMMAND = "findings"


class SharedFindings:
    """Exchanges findings with all workers, from `start` to `stop`. One that doesn't answer holds
    nobody up; what it tells late counts all the same, since it tells each finding once.
    """

    _log = Logger()

    def __init__(self, workers: Supervisor, clock: Any) -> None:
        self._workers = workers
        self._clock = clock
        self._all: Told = _nothing()
        self._pending: dict[int, Told] = {}
        self._asking: set[int] = set()
        self._next: IDelayedCall | None = None

    def start(self) -> None:
        """Begin to exchange."""
        self._next = self._clock.callLater(PERIOD, self._exchange)

    def stop(self) -> None:
        """Exchange no more."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def commands(self) -> Sequence[tuple[str, str]]:
        """Return the command that tells a new worker what the others know."""
        return [(COMMAND, json.dumps(self._all))]

    def _exchange(self) -> None:
        self._next = self._clock.callLater(PERIOD, self._exchange)
        for record in self._workers.records:
            if record.serving and record.number not in self._asking:
                self._asking.add(record.number)
                work = Deferred.fromCoroutine(self._ask(record.number))
                work.addErrback(lambda failure: self._log.failure("passing findings on", failure))

    async def _ask(self, number: int) -> None:
        pending = self._pending.pop(number, _nothing())
        try:
            news = await self._workers.wait_for(number, COMMAND, json.dumps(pending))
        finally:
            self._asking.discard(number)
        if news is None:
            return
        self._all = merge(self._all, news)
        for record in self._workers.records:
            if record.number != number and (news["ratings"] or "health" in news):
                before = self._pending.get(record.number, _nothing())
                self._pending[record.number] = merge(before, news)


def _nothing() -> Told:
    return {"ratings": {}}
