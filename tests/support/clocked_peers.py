"""Processes that share a cache, on one clock: what they note, and the pipes between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from aprp.cache.peers import Lend
from aprp.core.http.ranges import Range
from aprp.core.sharing.epochs import Epochs
from aprp.core.sharing.fetches import may_lend

DELAY = 0.001
"""Seconds from one process to another."""


class Pipe:
    """A connection, as the lender's transport and the borrower's."""

    def __init__(self, clock: Clock, protocol: Any) -> None:
        self.sent = 0
        self.mute = False
        """Whether what is written stays where it is."""
        self._clock = clock
        self._protocol = protocol
        self._producer: Any = None
        self._closed = False
        self._over = False

    def write(self, data: bytes) -> None:
        if not self.mute:
            self.sent += len(data)
            self._clock.callLater(DELAY, self._deliver, data)

    def _deliver(self, data: bytes) -> None:
        if not self._over:
            self._protocol.dataReceived(data)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._producer = producer

    def unregisterProducer(self) -> None:
        self._producer = None

    def loseConnection(self) -> None:
        self._clock.callLater(2 * DELAY, self.cut)

    def cut(self) -> None:
        """End it at once for both."""
        if not self._over:
            self._over = True
            if self._producer is not None:
                self._producer.stopProducing()
            self._protocol.connectionLost(Failure(ConnectionError()))

    abortConnection = cut

    def pauseProducing(self) -> None:
        if self._producer is not None:
            self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        if self._producer is not None:
            self._producer.resumeProducing()


class ClockedPeers:
    """The `Peers` of the process `own`; `everyone` are all of them, in order."""

    def __init__(self, clock: Clock, everyone: list[ClockedPeers]) -> None:
        self.own = len(everyone)
        self.noted: dict[int, Range] = {}
        self.answers = True
        """Whether it answers what others ask for."""
        self.runs = True
        """Whether its pulse goes on."""
        self.pipes: list[Pipe] = []
        """Those over which it has borrowed."""
        self.epochs = Epochs.alone()
        """Those of the first are everyone's."""
        self._clock = clock
        self._everyone = everyone
        self._lend: Lend | None = None
        self._beats = 0
        everyone.append(self)

    def lend_by(self, lend: Lend) -> None:
        self._lend = lend

    def claim(self, number: int, at: int, fetched: Range) -> Sequence[int]:
        lenders = self.may_have(number, at)
        if not lenders:
            self.noted[number] = fetched
        return lenders

    def note(self, number: int, fetched: Range | None) -> None:
        self.noted.pop(number, None)
        if fetched is not None:
            self.noted[number] = fetched

    def may_have(self, number: int, at: int) -> Sequence[int]:
        found = [
            (each.own, (each.noted[number].start, each.noted[number].stop, 0, 0))
            for each in self._everyone
            if each is not self and number in each.noted
        ]
        return may_lend(found, at)

    def epoch(self, key: bytes) -> int:
        return self._everyone[0].epochs.of(key)

    def end_epoch(self, key: bytes) -> None:
        self._everyone[0].epochs.end(key)

    def borrow(self, process: int, number: int, wanted: Range, protocol: Protocol) -> bool:
        pipe: Any = Pipe(self._clock, protocol)
        self.pipes.append(pipe)
        protocol.makeConnection(pipe)
        asked = self._everyone[process].asked
        self._clock.callLater(DELAY, asked, number, wanted, pipe, process < self.own)
        return True

    def asked(self, number: int, wanted: Range, pipe: Pipe, first: bool) -> None:
        if not self.answers:
            return
        assert self._lend is not None
        lent: Any = self._lend(number, wanted, pipe, first)
        if lent is None:
            pipe.loseConnection()
        else:
            lent.addBoth(lambda _: pipe.loseConnection())

    def pulse(self, process: int) -> int:
        peer = self._everyone[process]
        peer._beats += peer.runs
        return peer._beats

    async def turn(self, key: bytes) -> None:
        """Begin at once: nobody else does."""

    def end_turn(self, key: bytes) -> None:
        """Do nothing: nobody waits."""
