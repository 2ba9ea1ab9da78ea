"""Verifies the hash of a whole file while it passes, and holds its last bytes back until it fits.

A client that gets a wrong file sees it cut off before its end. The bytes are hashed in a thread;
when too many wait for that, what sends them is paused.
"""

from __future__ import annotations

import hashlib
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.internet.threads import deferToThread
from zope.interface import implementer

from aprp.core.http.ranges import Range
from aprp.core.metalink import HASHLIB, Hash
from aprp.core.recovery.pieces import Proof
from aprp.core.recovery.versions import Facts

HELD = 65536
"""The last bytes, which are held back; all of a shorter file."""
MOST_WAITING = 4 << 20
"""Bytes that may wait to be hashed."""


def whole_file(
    proof: Proof | None, wanted: Range, facts: Facts, sink: IConsumer
) -> WholeFile | None:
    """Return what verifies the range, or None if it isn't the whole of a file with only a hash."""
    if proof is None or proof.pieces is not None or proof.whole is None:
        return None
    if wanted != Range(0, facts.complete):
        return None
    return WholeFile(sink, facts.complete, proof.whole)


@implementer(IConsumer, IPushProducer)
class WholeFile:
    """A consumer of all `complete` bytes of a file, in order, in front of another."""

    def __init__(self, sink: IConsumer, complete: int, expected: Hash) -> None:
        self._sink = sink
        self._expected = expected
        self._open = max(0, complete - HELD)
        """Bytes that may still be written before the hash is known."""
        self._tail: list[bytes] = []
        self._state = hashlib.new(HASHLIB[expected.algorithm])
        self._waiting: list[bytes] = []
        self._size = 0
        self._job: Deferred[Any] | None = None
        self._idle: Deferred[None] | None = None
        self._producer: Any = None
        self._full = False
        self._sink_paused = False
        self._paused = False

    async def finish(self) -> bool:
        """Write the last bytes and return true if the file has the hash, else drop them."""
        if self._job is not None:
            self._idle = Deferred()
            await self._idle
        if self._state.hexdigest() != self._expected.digest:
            return False
        for data in self._tail:
            self._sink.write(data)
        return True

    # The consumer's side

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._producer = producer
        self._sink.registerProducer(self, streaming)

    def unregisterProducer(self) -> None:
        self._producer = None
        self._sink.unregisterProducer()

    def write(self, data: bytes) -> None:
        self._waiting.append(data)
        self._size += len(data)
        self._hash()
        now, self._open = data[: self._open], max(0, self._open - len(data))
        if len(now) < len(data):
            self._tail.append(data[len(now) :])
        if now:
            self._sink.write(now)

    # The producer's side

    def pauseProducing(self) -> None:
        self._sink_paused = True
        self._pace()

    def resumeProducing(self) -> None:
        self._sink_paused = False
        self._pace()

    def stopProducing(self) -> None:
        if self._producer is not None:
            self._producer.stopProducing()

    def _pace(self) -> None:
        """Pause the producer while the sink is full or too many bytes wait to be hashed."""
        paused = self._sink_paused or self._full
        if paused == self._paused or self._producer is None:
            return
        self._paused = paused
        if paused:
            self._producer.pauseProducing()
        else:
            self._producer.resumeProducing()

    def _hash(self) -> None:
        if self._job is None and self._waiting:
            waiting, self._waiting, self._size = self._waiting, [], 0
            self._job = deferToThread(self._update, waiting)
            self._job.addCallback(self._hashed)
        self._full = self._size >= MOST_WAITING
        self._pace()

    def _update(self, waiting: list[bytes]) -> None:
        for data in waiting:
            self._state.update(data)

    def _hashed(self, _: None) -> None:
        self._job = None
        self._hash()
        idle, self._idle = self._idle, None
        if self._job is None and idle is not None:
            idle.callback(None)
        elif idle is not None:
            self._idle = idle
