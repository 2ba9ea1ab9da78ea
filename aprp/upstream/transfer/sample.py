"""`compare: sample`: bytes of a transfer's first source, with which further sources are compared.

The source that sends the first bytes is the reference, and up to 64 KiB of them are kept. Another
source is used only after it has sent the same bytes. Then blocks of the file are requested from
both, at places picked at random for each transfer, so that no source can know them beforehand; see
`aprp.core.recovery.sampling` for what that may miss. If the blocks are equal, the two sources are
not compared in this way again for a while. All these bytes are dropped once they are compared, so
that a client never gets bytes of a comparison. A comparison that is cut off is resumed by the next
attempt: a distant source may take longer for all of it than any attempt is given.
"""

from __future__ import annotations

from random import SystemRandom
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout

from aprp.core.choices import Same
from aprp.core.http.ranges import Range
from aprp.core.reasons import Name, reason
from aprp.core.recovery.ends import End
from aprp.core.recovery.same_file import Rejected, judge
from aprp.core.recovery.sampling import sampled
from aprp.core.recovery.versions import Facts
from aprp.upstream.errors import SourceError
from aprp.upstream.transfer.body import SKIPPED, discard
from aprp.upstream.transfer.collector import Collector
from aprp.upstream.transfer.compared import Compared
from aprp.upstream.transfer.source import TransferSource
from aprp.upstream.wall_clock import time

SIZE = 65536
"""Bytes that are compared, if as many come."""
PATIENCE = 1.0
"""Seconds after which fewer bytes are enough; also those that the reference has for a block."""


pick = SystemRandom().sample
"""Picks that many different numbers of a range; no source can guess them."""


class Deliverer(Protocol):
    """An attempt, as far as comparing needs it."""

    source: TransferSource


class Sample:
    """The comparison of the first bytes in one transfer."""

    def __init__(self, clock: Any, compared: Compared, count: int) -> None:
        self.start = 0
        self._clock = clock
        self._known_equal = compared
        self._count = count
        self._blocks: tuple[Range, ...] | None = None
        self._read: dict[Range, bytes] = {}
        self._data = b""
        self._deliverer: Deliverer | None = None
        self._reference: TransferSource | None = None
        self._compared: set[str] = set()
        self._begun: dict[str, Facts | None] = {}
        self._equal: set[tuple[str, Range]] = set()
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
        """Compare the source, or resume that; return why it can't be used, or None if it can.

        Raises SourceError.
        """
        name = source.name
        if name not in self._begun:
            found = await self._compare_beginning(source, same, known)
            if isinstance(found, Rejected):
                return found
            self._begun[name] = found
        facts = self._begun[name]
        if facts is not None:
            differs = await self._compare_blocks(source, same, facts)
            if differs is not None:
                return differs
        self._compared.add(name)
        return None

    async def _compare_beginning(
        self, source: TransferSource, same: Same, known: Facts | None
    ) -> Rejected | Facts | None:
        """Request the sample from the source, and return what it shows of the file.

        None if it ignores ranges, so that no blocks can be requested.
        """
        await self._wait_for_sample()
        held = Range(self.start, self.start + len(self._data))
        answer = await source.get(held)
        exchange, version = answer.exchange, source.requests.version_at(answer.place)
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
        source.requests.showed(answer.place, good.version)
        wanted = min(held.stop, good.body.stop) - good.body.start
        collector = Collector(wanted)
        if good.body.stop <= held.stop:
            await exchange.pump(collector)
        else:
            await exchange.pump(collector, wanted)
            exchange.abort()
        if collector.data[skipped:] != self._data[: wanted - skipped]:
            return self._differs(held)
        return good.facts if exchange.head.status == 206 else None

    async def _compare_blocks(
        self, source: TransferSource, same: Same, facts: Facts
    ) -> Rejected | None:
        """Compare blocks at random places. Return why the source can't be used, or None."""
        reference = self._reference
        assert reference is not None
        if self._known_equal.are_equal(reference.url, source.url, facts):
            return None
        if self._blocks is None:
            self._blocks = sampled(facts.complete, self._count, pick) if self._count else ()
        for block in tuple(self._blocks):
            if (source.name, block) in self._equal:
                continue
            if block not in self._read:
                reading = Deferred.fromCoroutine(_block(reference, block, same, facts))
                reading.addTimeout(PATIENCE, self._clock)
                try:
                    found = await reading
                except (SourceError, DeferredTimeout):
                    found = None
                if not isinstance(found, bytes):
                    self._blocks = ()  # the reference fails, and other sources take its place
                    return None
                self._read[block] = found
            theirs = await _block(source, block, same, facts)
            if isinstance(theirs, Rejected):
                return theirs
            if theirs != self._read[block]:
                return self._differs(block)
            self._equal.add((source.name, block))
        self._known_equal.note(reference.url, source.url, facts)
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


async def _block(
    source: TransferSource, block: Range, same: Same, facts: Facts
) -> bytes | Rejected:
    """Return a block of the file, or why the source doesn't give it. Raise SourceError."""
    answer = await source.get(block)
    exchange, version = answer.exchange, source.requests.version_at(answer.place)
    good = judge(answer.summary(), answer.fields, block, same, facts, version, int(time()))
    if isinstance(good, Rejected):
        discard(exchange)
        return good
    if good.body != block:
        exchange.abort()
        return Rejected(
            End.LIED, reason("answers with another range, so that `compare: sample` can't compare")
        )
    collector = Collector(block.length)
    await exchange.pump(collector)
    return collector.data
