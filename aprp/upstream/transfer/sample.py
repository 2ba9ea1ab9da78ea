"""`compare: sample`: the first bytes of a transfer, with which further sources are compared.

The source that sends the first bytes is the reference, and up to 64 KiB of them are kept. Another
source is used only after it has sent the same bytes. Those are dropped once they are compared, so
that a client never gets bytes of a comparison.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.defer import Deferred

from aprp.core.choices import Same
from aprp.core.http.ranges import Range
from aprp.core.reasons import Name, reason
from aprp.core.recovery.ends import End
from aprp.core.recovery.same_file import Rejected, judge
from aprp.core.recovery.versions import Facts
from aprp.upstream.transfer.body import SKIPPED, discard
from aprp.upstream.transfer.collector import Collector
from aprp.upstream.transfer.source import TransferSource
from aprp.upstream.wall_clock import time

SIZE = 65536
"""Bytes that are compared, if as many come."""
PATIENCE = 1.0
"""Seconds after which fewer bytes are enough."""


class Deliverer(Protocol):
    """An attempt, as far as comparing needs it."""

    source: TransferSource


class Sample:
    """The comparison of the first bytes in one transfer."""

    def __init__(self, clock: Any) -> None:
        self.start = 0
        self._clock = clock
        self._data = b""
        self._deliverer: Deliverer | None = None
        self._reference: TransferSource | None = None
        self._compared: set[str] = set()
        self._waiting: list[Deferred[None]] = []

    def admits(self, source: TransferSource) -> bool:
        """Return whether the source's bytes may be used: it was compared, or is the first."""
        return self._reference is None or source.name in self._compared

    def received(self, deliverer: Deliverer, at: int, data: bytes) -> None:
        """Take bytes of an admitted source, from the offset `at` on."""
        if self._reference is None:
            self._reference, self._deliverer, self.start = deliverer.source, deliverer, at
            self._compared.add(deliverer.source.name)
        if len(self._data) < SIZE and at == self.start + len(self._data):
            self._data += data[: SIZE - len(self._data)]
            if len(self._data) == SIZE:
                self._stop_waiting()

    def ended(self, deliverer: Deliverer) -> None:
        """Note that this attempt sends no more bytes."""
        if self._deliverer is deliverer:
            self._stop_waiting()

    async def compare(
        self, source: TransferSource, same: Same, known: Facts | None
    ) -> Rejected | None:
        """Request the sample from the source; return why it can't be used, or None if it can.

        Raises SourceError.
        """
        await self._wait_for_sample()
        held = Range(self.start, self.start + len(self._data))
        answer = await source.get(held)
        exchange, version = answer.exchange, source.version_at(answer.place)
        good = judge(answer.summary(), answer.fields, held, same, known, version, int(time()))
        if isinstance(good, Rejected):
            discard(exchange)
            return good
        skipped = held.start - good.body.start
        if skipped > SKIPPED:
            exchange.abort()
            return Rejected(
                End.LIED, reason("ignores ranges, so that `compare: sample` can't compare it")
            )
        source.showed(answer.place, good.version)
        wanted = min(held.stop, good.body.stop) - good.body.start
        collector = Collector(wanted)
        if good.body.stop <= held.stop:
            await exchange.pump(collector)
        else:
            await exchange.pump(collector, wanted)
            exchange.abort()
        if collector.data[skipped:] != self._data[: wanted - skipped]:
            return self._differs(held)
        self._compared.add(source.name)
        return None

    def _differs(self, held: Range) -> Rejected:
        assert self._reference is not None
        return Rejected(
            End.LIED,
            reason(
                f"has another file: of the bytes {held.start}-{held.stop - 1} ",
                "some are not those of ",
                Name(self._reference.name, "another source"),
                "; `compare: off` would admit it",
            ),
        )

    async def _wait_for_sample(self) -> None:
        """Wait for the rest of the sample, but not for long."""
        if self._deliverer is None:
            return
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        late = self._clock.callLater(PATIENCE, self._stop_waiting)
        try:
            await waiting
        finally:
            if late.active():
                late.cancel()

    def _stop_waiting(self) -> None:
        """Compare with what is held now."""
        self._deliverer = None
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.called:
                each.callback(None)
