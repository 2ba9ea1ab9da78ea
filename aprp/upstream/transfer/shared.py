"""What all transfers of the process share: the agent, ratings, slots, memory, known redirects."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall

from aprp.core.http.redirects import FOREVER
from aprp.core.http.urls import Url
from aprp.core.scheduling.arbiter import Arbiter, Grant
from aprp.core.scheduling.in_service import InService
from aprp.core.scheduling.messages import MIB, Source, Urgency
from aprp.core.scheduling.ratings import Ratings
from aprp.core.scheduling.shares import MemoryClaim, windows
from aprp.upstream.http.agent import Agent
from aprp.upstream.transfer.log_throttle import LogThrottle
from aprp.upstream.transfer.vouching import Vouched
from aprp.upstream.wall_clock import time

MOST_CONNECTIONS = 1024
"""To all sources together."""
REMEMBERED = 4096
"""Redirects that are known at a time."""
LATELY = 50
"""Sources that were left out that are remembered, to be shown."""
REVIEW = 0.1
"""Seconds between two looks at who holds how much, while memory is short."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A source that a transfer did without, in unix time; the reason follows "it"."""

    at: float
    source: str
    reason: str


class Holder(Hashable, Protocol):
    """A delivery, as far as slots and memory go."""

    @property
    def held(self) -> int:
        """The bytes that it has in memory."""
        ...

    def granted(self, source: str) -> None:
        """A slot at the source is its own now."""
        ...

    def appetite(self) -> int:
        """The bytes that it would hold or have in flight if it could."""
        ...

    def used(self) -> int:
        """The bytes that it holds or has in flight."""
        ...

    def narrow(self, window: int | None) -> None:
        """Limit how many bytes it may hold; None: as many as its settings allow."""
        ...

    def take_out(self, sources: frozenset[str]) -> None:
        """Take these sources, and no others, out of service."""
        ...


class SharedResources:
    """Created once, with the agent. `memory` is the maximum number of bytes waiting in all."""

    def __init__(
        self,
        agent: Agent,
        clock: Any,
        memory: int = 512 * MIB,
        connections: int = MOST_CONNECTIONS,
    ) -> None:
        self.agent = agent
        self.clock = clock
        self.ratings = Ratings()
        self.vouched = Vouched(clock)
        self.in_service = InService()
        """Which sources are in service; call `service_changed` after a change."""
        self.memory = memory
        self.left_out: deque[LeftOut] = deque(maxlen=LATELY)
        self.log_throttle = LogThrottle()
        self._arbiter = Arbiter(min(connections, agent.descriptors.least_for_sources))
        self._grants: deque[Grant] = deque()
        self._granting = False
        self._holders: dict[Holder, int] = {}
        self._redirects: OrderedDict[Url, tuple[Url, float]] = OrderedDict()
        self._review: IDelayedCall | None = None

    # Slots

    def want(self, holder: Holder, source: Source, urgency: Urgency) -> None:
        self._pass_on(self._arbiter.want(holder, source, urgency))

    def withdraw(self, holder: Holder, source: str) -> None:
        self._arbiter.withdraw(holder, source)

    def release(self, holder: Holder, source: str) -> Iterable[Grant]:
        """A slot is free; what follows from it waits until it is given to `follow`."""
        return self._arbiter.release(holder, source)

    def follow(self, grants: Iterable[Grant]) -> None:
        """Pass on what `release` gave."""
        self._pass_on(grants)

    def _pass_on(self, grants: Iterable[Grant]) -> None:
        """One after the other: what a holder does with one may lead to others."""
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
        self._holders[holder] = window
        self._look()

    def leave(self, holder: Holder) -> None:
        """A delivery is over."""
        if self._holders.pop(holder, None) is not None:
            self._pass_on(self._arbiter.leave(holder))
            if not self._holders and self._review is not None:
                self._review.cancel()
                self._review = None

    def limit_memory(self, memory: int) -> None:
        """Change the total number of bytes that may wait; windows shrink or grow to fit."""
        self.memory = memory
        if self._holders:
            self._look()

    def _look(self) -> None:
        """While all windows together are more than there is, keep an eye on who needs what."""
        short = sum(self._holders.values()) > self.memory
        self._share(short)
        if short and self._review is None:
            self._review = self.clock.callLater(REVIEW, self._look_again)

    def _look_again(self) -> None:
        self._review = None
        self._look()

    def _share(self, short: bool) -> None:
        """Give each delivery its window: what its settings say, or its share while `short`."""
        if not short:
            for holder in list(self._holders):
                holder.narrow(None)
            return
        holders = list(self._holders)
        claims = [MemoryClaim(holder.appetite(), holder.used()) for holder in holders]
        for holder, window in zip(holders, windows(self.memory, claims), strict=True):
            holder.narrow(window)

    # To be shown

    @property
    def transfers(self) -> int:
        """The number of running deliveries."""
        return len(self._holders)

    @property
    def held(self) -> int:
        """The number of bytes that wait in memory."""
        return sum(holder.held for holder in self._holders)

    @property
    def used(self) -> int:
        """The number of bytes that wait in memory or are in flight."""
        return sum(holder.used() for holder in self._holders)

    @property
    def connections(self) -> dict[str, int]:
        """Return how many connections are in use, by source."""
        return self._arbiter.by_source()

    def note_left_out(self, source: str, reason: str) -> None:
        """A transfer does without the source from now on."""
        self.left_out.append(LeftOut(time(), source, reason))

    # Redirects

    def redirect_of(self, url: Url) -> Url | None:
        """Return where the URL was redirected to, if that may still be relied on."""
        target, until = self._redirects.get(url, (None, FOREVER))
        return target if self.clock.seconds() < until else None

    def remember(self, url: Url, target: Url | None, seconds: float = FOREVER) -> None:
        """Have the URL lead there for so long; None: it is to be requested again."""
        self._redirects.pop(url, None)
        if target is not None:
            self._redirects[url] = (target, self.clock.seconds() + seconds)
            if len(self._redirects) > REMEMBERED:
                self._redirects.popitem(last=False)
