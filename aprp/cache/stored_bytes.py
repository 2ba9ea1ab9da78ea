"""Stored bytes on their way to a consumer: by sendfile to plain sockets, else copied.

Bytes are verified in portions, in a thread of the store, shortly before they are sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from aprp.cache.cached_file import CachedFile
from aprp.cache.store.store import Verified
from aprp.core.cache.extents import BLOCK, around
from aprp.core.cache.portions import Portions
from aprp.core.scheduling.messages import KIB
from aprp.upstream.exchange import SocketSink
from aprp.upstream.splice.file_splice import FileSplice, file_to

COPIED = 256 * KIB
"""Bytes that are read at once where they have to be copied."""
WORTH_SENDING = 2 * BLOCK
"""Bytes; fewer are copied, from blocks that stay in memory for a while."""
STAYS = 10.0
"""Seconds for which what was just read or found in the page cache is taken to stay there."""


class StoredBytes:
    """Sends stored bytes of `file` to `sink`. Calls `taken` with each number of bytes that went
    out, and `done` when all did, or no more can be read.
    """

    def __init__(
        self,
        file: CachedFile,
        sink: Any,
        taken: Callable[[int], None],
        done: Callable[[], None],
    ) -> None:
        self._file = file
        self._clock = file.clock
        self._sink = sink
        self._outlet = sink.outlet if isinstance(sink, SocketSink) else None
        self._taken = taken
        self._done = done
        self._at = 0
        self._stop = 0
        self._portions = Portions()
        self._paused = False
        self._busy = False
        self._over = False
        self._copies = False
        self._reading: int | None = None
        """The offset from which bytes are being read."""
        self._ready: _Portion | None = None
        self._sending: _Portion | None = None
        self._splice: FileSplice | None = None
        self._began = 0.0

    def begin(self, start: int, stop: int) -> None:
        """Send the bytes [start, stop), which are stored."""
        self._at, self._stop = start, stop
        self._go()

    def pause(self) -> None:
        """Write nothing more until `resume`."""
        self._paused = True

    def resume(self) -> None:
        """Go on."""
        self._paused = False
        self._go()

    def abandon(self) -> None:
        """Stop."""
        self._over = True
        if self._splice is not None:
            self._splice.abandon()
        self._release()

    def _go(self) -> None:
        if self._busy:
            return
        self._busy = True
        try:
            while not self._over and not self._paused and self._splice is None:
                if self._at >= self._stop:
                    self._end()
                elif (portion := self._take()) is not None:
                    self._send(portion)
                elif self._reading is not None or not self._look():
                    return
        finally:
            self._busy = False

    # Verifying

    def _look(self) -> bool:
        """Get more bytes; return whether they are there already."""
        file, stored = self._file, self._file.stored
        assert stored is not None
        if self._splices():
            self._read(self._at)
            return False
        block = self._at // BLOCK * BLOCK
        held = file.hot.get((stored.id, block))
        if held is not None:
            self._copy(held, self._at - block)
            return True
        wanted = BLOCK if self._stop - self._at < WORTH_SENDING else COPIED
        stop = min(around(self._at, self._stop, file.complete).stop, block + wanted)
        self._wait(self._at, stored.read(block, stop, into_memory=True))
        return False

    def _read(self, at: int) -> None:
        """Have the bytes from `at` on verified where they are."""
        stored = self._file.stored
        assert stored is not None
        self._wait(at, stored.read(at, min(self._stop, self._portions.after(at))))

    def _splices(self) -> bool:
        left = self._stop - self._at
        return (
            not self._copies
            and left >= WORTH_SENDING
            and self._outlet is not None
            and self._outlet(left) is not None
        )

    def _wait(self, at: int, reading: Deferred[Verified]) -> None:
        self._reading = at
        reading.addCallbacks(self._came, self._failed)

    def _came(self, verified: Verified) -> None:
        self._reading = None
        if self._over:
            verified.release()
            return
        self._ready = _Portion(verified, self._clock.seconds())
        self._go()

    def _failed(self, failure: Failure) -> None:
        at, self._reading = self._reading, None
        if self._over:
            return
        if at == self._at:
            self._file.read_failed(at, failure)
            self._end()
        else:  # they were to be sent later, and are tried again then
            self._go()

    # Sending

    def _take(self) -> _Portion | None:
        """Return the bytes to send now, if they are there."""
        portion, self._ready = self._ready, None
        if portion is None or self._is_next(portion):
            return portion
        portion.verified.release()
        return None

    def _is_next(self, portion: _Portion) -> bool:
        verified = portion.verified
        return verified.start <= self._at < verified.stop and self._is_fresh(portion)

    def _is_fresh(self, portion: _Portion) -> bool:
        return bool(0 <= self._clock.seconds() - portion.since < STAYS)

    def _send(self, portion: _Portion) -> None:
        """Begin to send what was verified, and verify what comes next."""
        verified = portion.verified
        if verified.data is not None:
            self._hold(verified, verified.data)
            return
        outlet = self._sink.outlet(verified.stop - self._at)
        splice = None if outlet is None else file_to(outlet, verified.parts, self)
        if splice is None:
            self._copies = True
            verified.release()
            return
        self._sending, self._splice = portion, splice
        self._began = self._clock.seconds()
        if self._portions.early and self._reading is None and verified.stop < self._stop:
            self._read(verified.stop)
        splice.begin()

    def _hold(self, verified: Verified, data: bytes) -> None:
        """Keep blocks in memory that were read there, and write the first."""
        stored = self._file.stored
        assert stored is not None
        start = verified.start
        verified.release()
        if len(data) <= BLOCK:
            self._file.hot.put((stored.id, start), data)
        self._copy(data, self._at - start)

    def _copy(self, data: bytes, skipped: int) -> None:
        stop = min(len(data), skipped + self._stop - self._at)
        piece = data[skipped:stop] if skipped or stop < len(data) else data
        self._at += len(piece)
        self._taken(len(piece))
        self._sink.write(piece)

    def _release(self) -> None:
        for portion in (self._sending, self._ready):
            if portion is not None:
                portion.verified.release()
        self._sending = self._ready = None

    def _end(self) -> None:
        if not self._over:
            self._over = True
            self._release()
            self._done()

    # Called by the splice.

    def still_in_memory(self) -> bool:
        assert self._sending is not None
        return self._is_fresh(self._sending)

    def sent(self, count: int) -> None:
        self._at += count
        self._taken(count)
        self._sink.passed(count)

    def receiver_full(self) -> None:
        self._sink.pauseProducing()

    def file_sent(self, was_full: bool) -> None:
        portion, self._sending, self._splice = self._sending, None, None
        assert portion is not None
        sent = self._at - portion.verified.start
        self._portions.taken(sent, self._clock.seconds() - self._began)
        portion.verified.release()
        if was_full:
            self._sink.resumeProducing()
        self._go()

    def file_failed(self) -> None:
        self._splice = None
        self._file.trouble()
        self._end()


class _Portion(NamedTuple):
    """Verified bytes, and since when they are known to be in memory."""

    verified: Verified
    since: float
