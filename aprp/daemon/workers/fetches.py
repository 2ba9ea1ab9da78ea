"""What the workers fetch into the cache that they share: each byte once.

A worker notes on the board what it fetches of each file, and asks the others for what they have
noted: it puts one end of a pair of sockets into the box of the other, which writes the bytes there.
Whoever asks sources for a file that nobody knows yet notes that too, and the others wait for it.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Awaitable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from aprp.cache.peers import Lend
from aprp.core.http.ranges import Range
from aprp.core.sharing.fetches import may_lend
from aprp.daemon.workers.common import Common

FETCHED = "fetched"
"""The kind of what a worker fetches of a file: where it begins and ends."""
TURN = "turn"
"""The kind of what a worker asks sources for."""
AWAITED = "awaited turn"
"""The kind of what it waits for that another asks for."""
PULSE = "pulse"
"""The kind of the number that a worker raises while it lends."""
BEAT = 0.25
"""Seconds between two of its numbers."""
PATIENCE = 3.0
"""Seconds to wait for another worker that asks the sources."""
BUFFER = 64 * 1024
"""Bytes that wait in the kernel between two workers, about."""


class SharedFetches:
    """The `Peers` of one worker's cache."""

    _log = Logger()

    def __init__(self, common: Common, reactor: Any) -> None:
        self._common = common
        self._reactor = reactor
        self._lend: Lend | None = None
        self._lending: set[_Lending] = set()
        self._beats = 1
        self._beating: IDelayedCall | None = None
        self._awaited: dict[str, list[Deferred[None]]] = {}
        common.answer(reactor, self._rung)
        common.receive(reactor, self._asked)

    # What is fetched

    def claim(self, number: int, at: int, fetched: Range) -> Sequence[int]:
        with self._common:
            lenders = self._lenders(number, at)
            if not lenders:
                self._common.note(FETCHED, str(number), fetched.start, fetched.stop)
        return lenders

    def note(self, number: int, fetched: Range | None) -> None:
        values = () if fetched is None else (fetched.start, fetched.stop)
        with self._common:
            self._common.note(FETCHED, str(number), *values)

    def may_have(self, number: int, at: int) -> Sequence[int]:
        with self._common:
            return self._lenders(number, at)

    def _lenders(self, number: int, at: int) -> list[int]:
        return may_lend(self._common.elsewhere(FETCHED, str(number)), at)

    # What is invalidated

    def epoch(self, key: bytes) -> int:
        return self._common.epoch(key)

    def end_epoch(self, key: bytes) -> None:
        with self._common:
            self._common.end_epoch(key)

    # Borrowing

    def borrow(self, process: int, number: int, wanted: Range, protocol: Protocol) -> bool:
        try:
            own = self._common.number
            return self._ask(process, [number, wanted.start, wanted.stop, own], protocol)
        except OSError:  # no descriptor is free
            return False

    def _ask(self, process: int, wanted: Sequence[int], protocol: Protocol) -> bool:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            for end in (ours, theirs):
                end.setblocking(False)
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
            if not self._common.post(process, json.dumps(wanted).encode(), theirs.fileno()):
                return False
            self._reactor.adoptStreamConnection(
                ours.fileno(), socket.AF_UNIX, Factory.forProtocol(lambda: protocol)
            )
        return True

    def pulse(self, process: int) -> int:
        with self._common:
            found = dict(self._common.elsewhere(PULSE, ""))
        return found.get(process, (0,))[0]

    # Lending

    def lend_by(self, lend: Lend) -> None:
        self._lend = lend

    def _asked(self, message: bytes, descriptor: int) -> None:
        """Another worker asks for a range."""
        try:
            number, start, stop, asker = json.loads(message)
            first = self._common.number < asker
            lending = _Lending(self, number, Range(start, stop), first)
            self._reactor.adoptStreamConnection(
                descriptor, socket.AF_UNIX, Factory.forProtocol(lambda: lending)
            )
        except Exception:
            self._log.failure("internal error while another worker was answered")
        finally:
            os.close(descriptor)

    def begin_lending(self, lending: _Lending) -> Awaitable[None] | None:
        """Lend over a connection; None: there is nothing to lend."""
        working = None
        if self._lend is not None:
            working = self._lend(lending.number, lending.wanted, lending.transport, lending.first)
        if working is not None:
            self._lending.add(lending)
            self._beat()
        return working

    def end_lending(self, lending: _Lending) -> None:
        """A connection is gone."""
        self._lending.discard(lending)

    def _beat(self) -> None:
        """Raise the pulse while there is somebody to lend to."""
        if self._beating is not None and self._beating.active():
            return
        self._beats += 1
        with self._common:
            self._common.note(PULSE, "", self._beats)
        if self._lending:
            self._beating = self._reactor.callLater(BEAT, self._beat)

    # Turns

    async def turn(self, key: bytes) -> None:
        name = key.decode("latin-1")
        with self._common:
            others = any(self._common.elsewhere(TURN, name))
            self._common.note(AWAITED if others else TURN, name, 1)
        if not others:
            return
        waiting: Deferred[None] = Deferred()
        self._awaited.setdefault(name, []).append(waiting)
        late = self._reactor.callLater(PATIENCE, self._stop_waiting, name)
        try:
            await waiting
        finally:
            if late.active():
                late.cancel()
            waiters = self._awaited.get(name, [])
            if waiting in waiters:
                waiters.remove(waiting)

    def end_turn(self, key: bytes) -> None:
        name = key.decode("latin-1")
        with self._common:
            self._common.note(TURN, name)
            awaiting = [number for number, _ in self._common.elsewhere(AWAITED, name)]
        self._common.ring(awaiting)

    def _rung(self) -> None:
        """Another worker has asked, or is gone."""
        for name in tuple(self._awaited):
            with self._common:
                others = any(self._common.elsewhere(TURN, name))
            if not others:
                self._stop_waiting(name)

    def _stop_waiting(self, name: str) -> None:
        with self._common:
            self._common.note(AWAITED, name)
        for waiting in self._awaited.pop(name, []):
            if not waiting.called:
                waiting.callback(None)


class _Lending(Protocol):
    """The connection to a worker that borrows."""

    def __init__(self, fetches: SharedFetches, number: int, wanted: Range, first: bool) -> None:
        self.number = number
        self.wanted = wanted
        self.first = first
        self._fetches = fetches
        self._working: Any = None

    def connectionMade(self) -> None:
        self._working = self._fetches.begin_lending(self)
        if self._working is None:
            self._close()
        else:
            self._working.addBoth(lambda _: self._close())

    def connectionLost(self, reason: Failure | None = None) -> None:
        self._fetches.end_lending(self)

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()
