"""Missing bytes from another process that has them, or else from the sources.

Another process is asked first. One that has the first byte delivers as far as it can; where it
ends, the fetch ends too, and its readers look again for what is missing. One that says no, is
silent for `ANSWER` seconds, or doesn't run any more is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from aprp.cache.origin import Origin
from aprp.cache.peers import YES, Peers
from aprp.core.http.ranges import Range
from aprp.core.sharing.fetches import Pulse
from aprp.upstream.watchdog import Watchdog

ANSWER = 0.5
"""Seconds that a process has to say whether it has the bytes."""
SILENCE = 1.0
"""Seconds of silence after which it is looked at whether a process still runs."""


class BorrowingOrigin:
    """Delivers bytes of the file `number` from one of `lenders`, or else from `origin`.

    `decided` is called before the first byte with whether it is borrowed, and `short` when a lender
    has ended early.
    """

    def __init__(
        self,
        peers: Peers,
        lenders: Sequence[int],
        number: int,
        origin: Origin,
        clock: Any,
        decided: Callable[[bool], object],
        short: Callable[[], object],
    ) -> None:
        self._peers = peers
        self._lenders = lenders
        self._number = number
        self._origin = origin
        self._clock = clock
        self._decided = decided
        self._short = short
        self._own = False
        self._end: int | None = None

    async def deliver(self, wanted: Range, sink: IConsumer) -> None:
        for lender in self._lenders:
            loan = _Loan(sink, self._clock, lambda: self._decided(True), self._pulse_of(lender))
            if not self._peers.borrow(lender, self._number, wanted, loan):
                continue
            try:
                received = await loan.done
            finally:
                loan.close()
            if received:
                self._origin.abort()
                if received < wanted.length:
                    self._short()
                return
        self._own = True
        self._decided(False)
        stop = wanted.stop if self._end is None else min(wanted.stop, self._end)
        await self._origin.deliver(Range(wanted.start, stop), sink)

    def end_at(self, stop: int) -> None:
        self._end = stop
        if self._own:
            self._origin.end_at(stop)

    def drain(self) -> None:
        if self._own:
            self._origin.drain()

    def ready(self) -> int:
        return self._origin.ready() if self._own else 0

    def abort(self) -> None:
        self._origin.abort()

    def _pulse_of(self, lender: int) -> Callable[[], int]:
        return lambda: self._peers.pulse(lender)


@implementer(IPushProducer)
class _Loan(Protocol):
    """The bytes that one process lends; `done` fires with how many came."""

    transport: Any

    def __init__(
        self,
        sink: IConsumer,
        clock: Any,
        accepted: Callable[[], object],
        pulse: Callable[[], int],
    ) -> None:
        self.done: Deferred[int] = Deferred()
        self._sink = sink
        self._accepted = accepted
        self._look = pulse
        self._pulse: Pulse | None = None
        self._received = 0
        self._answered = False
        self._watchdog = Watchdog(clock, self._silent)
        self._watchdog.expect(ANSWER)

    def dataReceived(self, data: bytes) -> None:
        self._watchdog.expect(SILENCE)
        if not self._answered:
            data = data.removeprefix(YES)
            self._answered = True
            self._pulse = Pulse(self._look())
        if not data:
            return
        if not self._received:
            self._accepted()
            self._sink.registerProducer(self, True)
        self._received += len(data)
        self._sink.write(data)

    def connectionLost(self, reason: Failure | None = None) -> None:
        self._watchdog.close()
        if self._received:
            self._sink.unregisterProducer()
        if not self.done.called:
            self.done.callback(self._received)

    def close(self) -> None:
        """Take no more."""
        self._watchdog.close()
        if self.transport:
            self.transport.abortConnection()

    def _silent(self) -> None:
        if self._pulse is not None and self._pulse.goes_on(self._look()):
            self._watchdog.expect(SILENCE)
        else:
            self.close()

    # The sink's side

    def pauseProducing(self) -> None:
        self._watchdog.rest()
        if self.transport:
            self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        self._watchdog.expect(SILENCE)
        if self.transport:
            self.transport.resumeProducing()

    def stopProducing(self) -> None:
        self.close()
