"""The ports that the daemon listens on, and their exchange for others while it runs.

Ports that are wanted before and after are left open. New ones are opened before any is closed, and
if one can't be opened, everything stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IProtocolFactory

from aprp.core.values import dataclass
from aprp.daemon.certificates import Certificates
from aprp.daemon.listening import CannotServe, Listener


@dataclass(frozen=True, slots=True)
class PortChange:
    """Ports that were opened, and all that are to be left once the change is made."""

    opened: tuple[Listener, ...]
    after: tuple[Listener, ...]


class Ports(MultiService):
    """The ports of one factory. Making them and starting them raise `CannotServe`."""

    def __init__(
        self,
        where: Sequence[str],
        factory: IProtocolFactory,
        reactor: Any,
        advice: str,
        certificates: Certificates,
    ) -> None:
        super().__init__()
        self._factory = factory
        self._reactor = reactor
        self._advice = advice
        self._certificates = certificates
        self._spent: set[str] = set()  # sockets of the service manager that were closed
        self.listeners: tuple[Listener, ...] = tuple(self._listener(each) for each in where)
        for listener in self.listeners:
            listener.setServiceParent(self)

    @property
    def addresses(self) -> list[str]:
        """The addresses that it listens on: host and port, or an endpoint string."""
        return [listener.address for listener in self.listeners]

    @property
    def bound(self) -> list[tuple[str, int]]:
        """The same for programs, as far as it is TCP."""
        return [listener.bound for listener in self.listeners if listener.bound is not None]

    def accept(self, accepting: bool) -> None:
        """Stop accepting connections, which then wait in the kernel's queue, or resume."""
        for listener in self.listeners:
            listener.accept(accepting)

    async def open(self, wanted: Sequence[str]) -> PortChange:
        """Listen on what is wanted and not open yet, beside the rest; raises `CannotServe`."""
        left = list(self.listeners)
        opened: list[Listener] = []
        after: list[Listener] = []
        try:
            for where in wanted:
                same = next((each for each in left if each.where == where), None)
                if same is not None:
                    left.remove(same)
                else:
                    opened.append(same := self._listener(where))
                    await same.open()
                after.append(same)
        except CannotServe:
            await self.undo(PortChange(tuple(opened), ()))
            raise
        return PortChange(tuple(opened), tuple(after))

    async def undo(self, change: PortChange) -> None:
        """Undo a change: close what was opened for it."""
        await gatherResults([each.stopService() for each in change.opened])

    def make(self, change: PortChange) -> Deferred[Any]:
        """Keep what was opened. Fires when the ports that are no longer wanted are closed."""
        closed = [each for each in self.listeners if each not in change.after]
        self.listeners = change.after
        for listener in change.opened:
            listener.setServiceParent(self)
        self._spent.update(each.where for each in closed if _is_passed(each.where))
        return gatherResults([Deferred.fromCoroutine(self._remove(each)) for each in closed])

    async def _remove(self, listener: Listener) -> None:
        await listener.disownServiceParent()

    def _listener(self, where: str) -> Listener:
        if where in self._spent:
            raise CannotServe(
                f"can't listen on {where}: an earlier reload has closed this socket; restart aprp"
            )
        return Listener(where, self._factory, self._reactor, self._advice, self._certificates)


async def open_all(wanted: Sequence[tuple[Ports, Sequence[str]]]) -> list[PortChange]:
    """Open what is wanted of several, or nothing; raises `CannotServe`."""
    changes: list[PortChange] = []
    try:
        for ports, where in wanted:
            changes.append(await ports.open(where))
    except CannotServe:
        for (ports, _), change in zip(wanted, changes, strict=False):
            await ports.undo(change)
        raise
    return changes


def _is_passed(where: str) -> bool:
    """Whether the socket is one that the service manager passes at startup only."""
    return where.removeprefix("haproxy:").startswith("systemd:")
