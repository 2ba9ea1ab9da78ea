"""The slots of one worker, as far as the other workers are concerned.

The rules are in `aprp.core.sharing.slots`. A worker that gives up spare slots closes the idle
connections that it kept with them. For one that didn't react, nothing is given up, but its bell is
rung all the same: nothing else may wake it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from aprp.core.sharing.slots import (
    PATIENCE,
    TENURE,
    Stake,
    Verdict,
    decide,
    has_room,
    order_of,
    since_of,
    wanting,
)
from aprp.daemon.workers.common import Common
from aprp.upstream.transfer.shared import MOST_CONNECTIONS

KIND = "slots"
IN_USE = "slots in use"
"""The kind of the count over all hosts."""


class SharedSlots:
    """What this worker has and wants, by host.

    All workers together have `most` slots in use at once. `close_idle` closes the idle connections
    to a host; `review` has the arbiter look again for slots that it may take.
    """

    def __init__(
        self,
        common: Common,
        clock: Any,
        close_idle: Callable[[str], object],
        review: Callable[[], object],
        most: int = MOST_CONNECTIONS,
    ) -> None:
        self._common = common
        self._clock = clock
        self._close_idle = close_idle
        self._review = review
        self._most = most
        self._in_use = 0
        self._looks = 0
        self._own: dict[str, Stake] = {}
        self._since: dict[str, float] = {}  # when it last got a slot that it hadn't
        self._waiting: dict[str, float] = {}  # for another worker, since when
        self._passed_over: dict[str, dict[int, Stake]] = {}
        self._later: IDelayedCall | None = None

    def take(self, host: str, most: int, urgency: int, here: int) -> bool:
        """Take a slot, or announce that one is wanted; see `Ledger.take`."""
        now = self._clock.seconds()
        waited = self._waiting.get(host, now)
        impatient = now - waited >= PATIENCE
        self._looks += 1
        with self._common:
            own, found = self._stakes(host)
            others = self._reacting(host, found)
            since = since_of(own.order) if own.order else now
            order = order_of(urgency, here, since, self._looks)
            keeps = own.spare > 0 and now - self._since.get(host, 0.0) < TENURE
            stakes = list(others.values())
            verdict = decide(own, stakes, most, order, impatient=impatient, keeps=keeps)
            if not self._has_room():
                verdict = Verdict.FULL
                self._note(host, Stake(own.used, own.spare))
                self._look_later()
            elif verdict is Verdict.TAKE:
                self._note(host, Stake(own.used + 1, max(0, own.spare - 1)))
                self._count(1)
            else:
                self._note(host, Stake(own.used, own.spare, order, most))
        if verdict is Verdict.TAKE and not own.spare:
            self._since[host] = now
        if verdict in (Verdict.TAKE, Verdict.FULL):
            self._waiting.pop(host, None)
        else:
            self._waiting[host] = waited
            self._look_later()
        if impatient and verdict is Verdict.TAKE:
            self._passed_over[host] = found
        elif verdict is Verdict.YIELD:
            self._common.ring(wanting(own, others))
            self._clock.callLater(0, self._give_spare)
        elif verdict is Verdict.SPARED:
            self._common.ring(number for number, each in others.items() if each.spare)
        return verdict is Verdict.TAKE

    def release(self, host: str) -> None:
        """Give a slot back: to this worker's next request or, if it has none, to another."""
        with self._common:
            own, others = self._stakes(host)
            own = replace(own, used=own.used - 1, spare=own.spare + 1)
            self._note(host, own)
            self._count(-1)
        if wanting(own, self._reacting(host, others)):
            self._clock.callLater(0, self._give_spare)  # its connection is idle by then
        else:
            self._common.ring(wanting(own, others))

    def withdraw(self, host: str) -> None:
        """Announce no longer that a slot is wanted."""
        self._waiting.pop(host, None)
        with self._common:
            own, others = self._stakes(host)
            self._note(host, replace(own, order=0, most=0))
        self._common.ring(number for number, each in others.items() if each.order)

    def rung(self) -> None:
        """Another worker wants a spare slot, or has freed one."""
        self._give_spare()
        self._review()

    def _give_spare(self) -> None:
        """Give spare slots to the workers that could use them; first close their connections."""
        for host in [host for host, own in self._own.items() if own.spare]:
            with self._common:
                own, others = self._stakes(host)
            waiting = wanting(own, self._reacting(host, others))
            if not waiting:
                continue
            self._close_idle(host)
            with self._common:
                self._note(host, replace(own, spare=0))
            self._common.ring(waiting)

    def _has_room(self) -> bool:
        """Return whether this worker may use one more slot at all."""
        found = [values[0] for _, values in self._common.elsewhere(IN_USE, "")]
        idle = self._common.workers - 1 - len(found)
        return has_room(self._in_use, [*found, *[0] * idle], self._most)

    def _count(self, change: int) -> None:
        self._in_use += change
        self._common.note(IN_USE, "", self._in_use)

    def _stakes(self, host: str) -> tuple[Stake, dict[int, Stake]]:
        """Return what this worker has at the host, and what the others have, by their numbers."""
        found = self._common.elsewhere(KIND, host)
        return self._own.get(host, Stake()), {number: Stake(*values) for number, values in found}

    def _reacting(self, host: str, others: Mapping[int, Stake]) -> dict[int, Stake]:
        """Return what the others have; of those that didn't react, only what they use."""
        silent = self._passed_over.get(host, {})
        return {
            number: Stake(each.used) if silent.get(number) == each else each
            for number, each in others.items()
        }

    def _note(self, host: str, own: Stake) -> None:
        self._common.note(KIND, host, own.used, own.spare, own.order, own.most)
        if own == Stake():
            for known in (self._own, self._since, self._passed_over):
                known.pop(host, None)
        else:
            self._own[host] = own

    def _look_later(self) -> None:
        """Look again after `PATIENCE`, if no bell rings before."""
        if self._later is None:
            self._later = self._clock.callLater(PATIENCE, self._look)

    def _look(self) -> None:
        self._later = None
        self._review()
