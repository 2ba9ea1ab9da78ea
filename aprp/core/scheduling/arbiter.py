"""Which transfer gets the next connection, over all transfers of the process.

Rules:
- never more slots in use at a host than the asking source's ``connections``, nor more over the
  process than ``total``; a slot is a connection, or over HTTP/2 a stream of one;
- wants for a starving head come before wants for read-ahead;
- among equals the transfer that holds the fewest slots at that host comes first, then the one
  that has waited longest (not the one with fewer slots elsewhere: those may be slow, and equal
  transfers were done up to 13% apart);
- a slot is good for one attempt and is released when that attempt is over;
- where several processes share the slots, a ``Ledger`` has what the others hold and want.

Pure: the caller passes each Grant on as the event ``Granted`` of the transfer it names. Transfers
are any hashable values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from typing import Protocol

from aprp.core.scheduling.messages import Source, Urgency
from aprp.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Grant:
    """A slot at ``source`` now belongs to ``transfer``."""

    transfer: Hashable
    source: str


class Ledger(Protocol):
    """The slots of all processes; `Arbiter.review` is called when another one has freed some."""

    def take(self, host: str, most: int, urgency: int, here: int) -> bool:
        """Take a slot at the host, where at most `most` may be in use, or return False.

        Then the others know of the want, until a slot is taken there or it is withdrawn.
        `here` is the number of slots that the transfer holds at the host.
        """
        ...

    def release(self, host: str) -> None:
        """Give back a slot that was taken."""
        ...

    def withdraw(self, host: str) -> None:
        """Withdraw what `take` made known."""
        ...


@dataclass(frozen=True, slots=True)
class _Want:
    transfer: Hashable
    source: Source
    urgency: Urgency
    turn: int


class Arbiter:
    """Slots per host. Every method that may free or ask for a slot returns the grants that
    follow from it, in the order they are to be passed on.

    Args:
        total: most slots in use over the process; None for no such limit.
        ledger: shares the slots with other processes; None where there are none.
    """

    def __init__(self, total: int | None = None, ledger: Ledger | None = None) -> None:
        self._total = total
        self._ledger = ledger
        self._refused: set[str] = set()  # hosts at which the ledger knows of a want
        self._turn = 0
        self._wants: dict[tuple[Hashable, str], _Want] = {}
        self._hosts: dict[tuple[Hashable, str], str] = {}
        self._held: Counter[Hashable] = Counter()  # by (transfer, source)
        self._by_host: Counter[Hashable] = Counter()
        self._in_use = 0
        self._by_both: Counter[Hashable] = Counter()  # by (transfer, host)

    def want(self, transfer: Hashable, source: Source, urgency: Urgency) -> list[Grant]:
        """Request a slot at the source; repeating the request changes its urgency and keeps its
        place in the queue."""
        key = (transfer, source.name)
        waiting = self._wants.get(key)
        if waiting is None:
            self._turn += 1
            self._wants[key] = _Want(transfer, source, urgency, self._turn)
        else:
            self._wants[key] = _Want(transfer, source, urgency, waiting.turn)
        if self._by_host[source.counted_by] >= source.connections:
            return []
        return self._grant()

    def withdraw(self, transfer: Hashable, source: str) -> None:
        """Withdraw the transfer's request for a slot at the source, if there is one."""
        if self._wants.pop((transfer, source), None) is not None:
            self._tell_withdrawn()

    def release(self, transfer: Hashable, source: str) -> list[Grant]:
        """Free one slot that the transfer holds at the source.

        Raises:
            ValueError: it held none.
        """
        key = (transfer, source)
        if not self._held[key]:
            raise ValueError(f"transfer {transfer!r} holds no slot at {source!r} to release")
        self._count(key, self._hosts[key], -1)
        return self._grant()

    def leave(self, transfer: Hashable) -> list[Grant]:
        """Withdraw all requests of a transfer that is over, and free its slots."""
        for key in [key for key in self._wants if key[0] == transfer]:
            del self._wants[key]
        for key in [key for key in self._hosts if key[0] == transfer]:
            self._count(key, self._hosts.pop(key), -self._held[key])
        self._tell_withdrawn()
        return self._grant()

    def review(self) -> list[Grant]:
        """Grant what other processes have freed."""
        return self._grant()

    def in_use(self, source: Source) -> int:
        """Return how many slots are in use at the source's host."""
        return self._by_host[source.counted_by]

    def by_source(self) -> dict[str, int]:
        """Return the number of granted slots of each source that has any."""
        found: Counter[str] = Counter()
        for transfer, source in self._hosts:
            if held := self._held[(transfer, source)]:
                found[source] += held
        return dict(found)

    def _grant(self) -> list[Grant]:
        granted: list[Grant] = []
        full: dict[str, int] = {}  # hosts where others hold the rest of so many slots
        while (best := min(self._open_wants(full), key=self._order, default=None)) is not None:
            host = best.source.counted_by
            if not self._take(best):
                full[host] = best.source.connections
                continue
            full.pop(host, None)
            key = (best.transfer, best.source.name)
            del self._wants[key]
            self._hosts[key] = host
            self._count(key, host, 1)
            granted.append(Grant(best.transfer, best.source.name))
        return granted

    def _take(self, want: _Want) -> bool:
        """Take a slot from the ledger, if there is one."""
        if self._ledger is None:
            return True
        host, (urgency, here, _) = want.source.counted_by, self._order(want)
        taken = self._ledger.take(host, want.source.connections, urgency, here)
        (self._refused.discard if taken else self._refused.add)(host)
        return taken

    def _tell_withdrawn(self) -> None:
        """Tell the ledger where nothing is wanted any longer."""
        if self._ledger is None:
            return
        for host in self._refused - {want.source.counted_by for want in self._wants.values()}:
            self._refused.discard(host)
            self._ledger.withdraw(host)

    def _open_wants(self, full: Mapping[str, int]) -> Iterable[_Want]:
        if self._total is not None and self._in_use >= self._total:
            return
        for want in self._wants.values():
            host, most = want.source.counted_by, want.source.connections
            if self._by_host[host] < most and full.get(host, 0) < most:
                yield want

    def _order(self, want: _Want) -> tuple[int, int, int]:
        here = self._by_both[(want.transfer, want.source.counted_by)]
        return (want.urgency, here, want.turn)

    def _count(self, key: tuple[Hashable, str], host: str, change: int) -> None:
        if self._ledger is not None:
            for _ in range(-change):
                self._ledger.release(host)
        self._in_use += change
        for counter, item in (
            (self._held, key),
            (self._by_host, host),
            (self._by_both, (key[0], host)),
        ):
            counter[item] += change
            if not counter[item]:
                del counter[item]
