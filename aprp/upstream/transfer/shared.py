"""What all transfers of the process share: the agent, ratings, slots, memory, known redirects."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Any, Protocol

from aprp.core.http.redirects import FOREVER
from aprp.core.http.urls import Url
from aprp.core.scheduling.arbiter import Arbiter, Grant, Ledger
from aprp.core.scheduling.in_service import InService
from aprp.core.scheduling.messages import MIB, Source, Urgency
from aprp.core.scheduling.ratings import Ratings
from aprp.core.values import dataclass
from aprp.upstream.http.agent import Agent
from aprp.upstream.transfer.compared import Compared
from aprp.upstream.transfer.liars import Liars
from aprp.upstream.transfer.log_throttle import LogThrottle
from aprp.upstream.transfer.memory import MemoryBudget, MemoryHolder, MemoryPool
from aprp.upstream.transfer.remainders import Remainders
from aprp.upstream.transfer.vouching import Vouched
from aprp.upstream.wall_clock import time

MOST_CONNECTIONS = 1024
"""To all sources together."""
REMEMBERED = 4096
"""Redirects that are cached, at most."""
SHOWN_LEFT_OUT = 50
"""The latest sources that were left out, kept for the admin port."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A source that a transfer left out, and when (Unix time). `reason` begins with a verb."""

    at: float
    source: str
    reason: str


class Holder(MemoryHolder, Protocol):
    """The driver of a transfer, as far as slots and memory are concerned."""

    def granted(self, source: str) -> None:
        """Use a slot at the source, which the arbiter has granted."""
        ...

    def take_out(self, sources: frozenset[str]) -> None:
        """Take these sources, and no others, out of service."""
        ...


class SharedResources:
    """Created once, with the agent. `memory` is the maximum number of bytes waiting in all.

    `ledger` and `pool` are there where several processes share slots and memory.
    """

    def __init__(
        self,
        agent: Agent,
        clock: Any,
        memory: int = 512 * MIB,
        connections: int = MOST_CONNECTIONS,
        ledger: Ledger | None = None,
        pool: MemoryPool | None = None,
    ) -> None:
        self.agent = agent
        self.clock = clock
        self.ratings = Ratings()
        self.vouched = Vouched(clock)
        self.liars = Liars(clock)
        self.compared = Compared(clock)
        self.in_service = InService()
        """Which sources are in service; call `service_changed` after a change."""
        self.budget = MemoryBudget(clock, memory, pool)
        """The memory for bytes that wait."""
        self.left_out: deque[LeftOut] = deque(maxlen=SHOWN_LEFT_OUT)
        self.log_throttle = LogThrottle()
        self.remainders = Remainders()
        self._arbiter = Arbiter(min(connections, agent.descriptors.least_for_sources), ledger)
        self._grants: deque[Grant] = deque()
        self._granting = False
        self._holders: dict[Holder, None] = {}
        self._redirects: OrderedDict[Url, tuple[Url, float]] = OrderedDict()

    # Slots

    def want(self, holder: Holder, source: Source, urgency: Urgency) -> None:
        self._pass_on(self._arbiter.want(holder, source, urgency))

    def withdraw(self, holder: Holder, source: str) -> None:
        self._arbiter.withdraw(holder, source)

    def release(self, holder: Holder, source: str) -> Iterable[Grant]:
        """Give a slot back. The grants that follow from it take effect when passed to `follow`."""
        return self._arbiter.release(holder, source)

    def make_room(self, source: Source) -> None:
        """See that the host of the source has no more connections than it may."""
        self.remainders.make_room(source, self._arbiter.in_use(source))

    def follow(self, grants: Iterable[Grant]) -> None:
        """Pass on the grants that `release` returned."""
        self._pass_on(grants)

    def others_changed(self) -> None:
        """Use what other processes have freed, and make room for them."""
        self._pass_on(self._arbiter.review())
        if self._holders:
            self.budget.look()

    def _pass_on(self, grants: Iterable[Grant]) -> None:
        """Pass grants on one after the other, since using one may lead to others."""
        self._grants.extend(grants)
        if self._granting:
            return
        self._granting = True
        try:
            while self._grants:
                grant = self._grants.popleft()
                grant.transfer.granted(grant.source)  # type: ignore[attr-defined]
        finally:
            self._granting = False

    def service_changed(self) -> None:
        """Tell every delivery which sources are out of service."""
        out = self.in_service.out
        for holder in list(self._holders):
            holder.take_out(out)

    # Memory

    def join(self, holder: Holder, window: int) -> None:
        """Register a delivery that may hold up to `window` bytes."""
        self._holders[holder] = None
        self.budget.join(holder, window)

    def leave(self, holder: Holder) -> None:
        """Free the slots and the memory of a delivery that is over."""
        if holder in self._holders:
            del self._holders[holder]
            self._pass_on(self._arbiter.leave(holder))
            self.budget.leave(holder)

    @property
    def memory(self) -> int:
        """The maximum number of bytes that wait."""
        return self.budget.memory

    def limit_memory(self, memory: int) -> None:
        """Change the total number of bytes that may wait; windows shrink or grow to fit."""
        self.budget.limit(memory)

    # To be shown

    @property
    def transfers(self) -> int:
        """The number of running deliveries."""
        return len(self._holders)

    @property
    def held(self) -> int:
        """The number of bytes that wait in memory."""
        return self.budget.held

    @property
    def used(self) -> int:
        """The number of bytes that wait in memory or are in flight."""
        return self.budget.used

    @property
    def connections(self) -> dict[str, int]:
        """Return how many connections are in use, by source; over HTTP/2, how many streams."""
        return self._arbiter.by_source()

    def note_left_out(self, source: str, reason: str) -> None:
        """Note that a transfer has left the source out."""
        self.left_out.append(LeftOut(time(), source, reason))

    # Redirects

    def redirect_of(self, url: Url) -> Url | None:
        """Return the cached redirect of the URL, or None."""
        target, until = self._redirects.get(url, (None, FOREVER))
        return target if self.clock.seconds() < until else None

    def remember(self, url: Url, target: Url | None, seconds: float = FOREVER) -> None:
        """Cache a redirect of the URL for these seconds; None forgets it."""
        self._redirects.pop(url, None)
        if target is not None:
            self._redirects[url] = (target, self.clock.seconds() + seconds)
            if len(self._redirects) > REMEMBERED:
                self._redirects.popitem(last=False)
