"""Ask mirrors for a file: what they say of it, the same sampled blocks from each, their speed.

Requests go through `TransferSource` and responses are judged by `judge`, as in a transfer, so that
a mirror that passes here is one that a route can use. Each mirror must keep to the version that it
showed first.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.interfaces import IConsumer
from zope.interface import implementer

from aprp.core.choices import Same
from aprp.core.http.ranges import Range
from aprp.core.http.urls import Url
from aprp.core.recovery.same_file import Accepted, facts_of, judge
from aprp.core.recovery.sampling import BLOCK, Pick, sampled
from aprp.core.recovery.versions import Facts
from aprp.library.fetch_request import FetchRequest
from aprp.mirror.findings import Finding
from aprp.upstream.errors import BodyBroken, SourceError
from aprp.upstream.transfer.body import discard
from aprp.upstream.transfer.collector import Collector
from aprp.upstream.transfer.options import FileLocation
from aprp.upstream.transfer.requests import SourceAnswer
from aprp.upstream.transfer.shared import SharedResources
from aprp.upstream.transfer.source import TransferSource
from aprp.upstream.wall_clock import time

AT_ONCE = 4
"""Blocks requested from one mirror at the same time."""
UNRANGED = 1 << 22
"""Bytes read from a mirror that ignores ranges; only sampled blocks among them are compared."""
SPEED_BYTES = 1 << 24
SPEED_SECONDS = 2.0
"""How much of the file is read to measure a mirror's rate, and for how long at most."""


@implementer(IConsumer)
class _Meter:
    """A consumer that counts bytes."""

    def __init__(self) -> None:
        self.count = 0

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Do nothing: it is never full."""

    def unregisterProducer(self) -> None:
        """Do nothing: it holds no producer."""

    def write(self, data: bytes) -> None:
        self.count += len(data)


class _Mirror:
    """One mirror while it is examined; `error` ends the examination."""

    def __init__(
        self, shared: SharedResources, location: FileLocation, request: FetchRequest
    ) -> None:
        self.error: str | None = None
        self.facts: Facts | None = None
        self._clock = shared.clock
        self._url = location.url
        self._source = TransferSource(shared, location, request.options(shared.agent.names))
        self._ranges = False
        self._connect: float | None = None
        self._latency: float | None = None
        self._rate: float | None = None
        self._redirected: Url | None = None
        self._blocks: dict[int, bytes] = {}

    async def look(self) -> None:
        """Learn what the mirror says of the file from the response to its first block."""
        with self._noting():
            self._connect = await self._source.connect()
            answer, good = await self._ask(Range(0, BLOCK))
            self._ranges = answer.status == 206
            if answer.place.origin != self._url.origin:
                self._redirected = answer.place
            discard(answer.exchange)
            self.facts = good.facts

    async def sample(self, blocks: Sequence[Range]) -> None:
        """Read these blocks, as far as the file has them."""
        if self.error is not None or self.facts is None:
            return
        inside = [each for each in blocks if each.stop <= self.facts.complete]
        with self._noting():
            if self._ranges:
                left = iter(inside)
                await _all(self._read(left) for _ in range(AT_ONCE))
            elif inside:
                start = await self._bytes(Range(0, min(UNRANGED, self.facts.complete)))
                for each in inside:
                    if each.stop <= len(start):
                        self._blocks[each.start] = start[each.start : each.stop]

    async def race(self) -> None:
        """Measure the rate at which the file's beginning arrives."""
        if self.error is not None or self.facts is None or not self.facts.complete:
            return
        with self._noting():
            wanted = Range(0, min(SPEED_BYTES, self.facts.complete))
            answer, good = await self._ask(wanted)
            meter, exchange, clock = _Meter(), answer.exchange, self._clock
            began = clock.seconds()
            late = clock.callLater(SPEED_SECONDS, exchange.abort)
            try:
                await exchange.pump(meter, min(good.body.length, wanted.length))
            except SourceError:
                if late.active():
                    raise
            finally:
                if late.active():
                    late.cancel()
                exchange.abort()
            self._rate = meter.count / max(clock.seconds() - began, 1e-4)

    def finding(self) -> Finding:
        """Return what was found out."""
        source = self._source
        return Finding(
            source.name,
            self._url,
            self.error,
            self.facts,
            self._ranges,
            source.requests.spoken,
            self._connect,
            self._latency,
            self._rate,
            self._redirected,
            self._blocks,
        )

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Note a SourceError raised inside, and continue after it."""
        try:
            yield
        except SourceError as error:
            self.error = self.error or str(error)

    async def _read(self, left: Iterator[Range]) -> None:
        for block in left:
            self._blocks[block.start] = await self._bytes(block)

    async def _bytes(self, wanted: Range) -> bytes:
        """Return the bytes of a range, from a part or from the start of the whole file."""
        answer, good = await self._ask(wanted)
        stop = min(wanted.stop, good.body.stop)
        collector = Collector(stop - good.body.start)
        if stop == good.body.stop:
            await answer.exchange.pump(collector)
        else:
            await answer.exchange.pump(collector, stop - good.body.start)
            answer.exchange.abort()
        data = collector.data[wanted.start - good.body.start :]
        if len(data) != wanted.length:
            raise BodyBroken(self._source.name, "ended its answer early")
        return data

    async def _ask(self, wanted: Range) -> tuple[SourceAnswer, Accepted]:
        """Request a range. Raise SourceError if the response can't be a part of the file."""
        source = self._source
        answer = await source.get(wanted)
        summary, fields = answer.summary(), answer.fields
        version = source.requests.version_at(answer.place)
        verdict = judge(summary, fields, wanted, Same.LENGTH, self.facts, version, int(time()))
        if isinstance(verdict, Accepted):
            latency = answer.exchange.timings.latency
            self._latency = latency if self._latency is None else min(latency, self._latency)
            source.requests.showed(answer.place, verdict.version)
            return answer, verdict
        if self.facts is None and verdict.length == 0:
            empty = facts_of(summary, fields, 0)
            return answer, Accepted(Range(0, 0), empty, summary.validators)
        discard(answer.exchange)
        raise SourceError.by(verdict.reason, source.name)


async def _all(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all of them at once. Raise the first failure, and cancel the others."""
    running = [Deferred.fromCoroutine(each) for each in work]
    try:
        await gatherResults(running, consumeErrors=True)
    except FirstError as error:
        for each in running:
            each.cancel()
        error.subFailure.raiseException()


async def examine(
    shared: SharedResources, request: FetchRequest, count: int, pick: Pick
) -> list[Finding]:
    """Examine all mirrors of the request, `count` blocks of each, and return what they showed."""
    mirrors = [_Mirror(shared, location, request) for location in request.locations]
    await _all(mirror.look() for mirror in mirrors)
    lengths = [mirror.facts.complete for mirror in mirrors if mirror.facts is not None]
    if lengths:
        blocks = sampled(max(set(lengths), key=lengths.count), count, pick)
        await _all(mirror.sample(blocks) for mirror in mirrors)
    for mirror in mirrors:  # one by one: they may share a line
        await mirror.race()
    return [mirror.finding() for mirror in mirrors]
