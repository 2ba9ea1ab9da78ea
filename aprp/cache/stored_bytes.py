"""Stored bytes on their way to a consumer: by sendfile to plain sockets, else copied.

Bytes are verified piece by piece, in a thread of the store, just before they are sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from aprp.cache.cached_file import CachedFile
from aprp.cache.store.store import Verified
from aprp.core.cache.extents import BLOCK, around
from aprp.core.scheduling.messages import KIB, MIB
from aprp.upstream.exchange import SocketSink
from aprp.upstream.splice.file_splice import FileSplice, file_to

FIRST = 256 * KIB
"""Bytes that are verified before the first are sent."""
PIECE = 4 * MIB
"""Bytes that are verified at once after that."""
COPIED = 256 * KIB
"""Bytes that are read at once where they have to be copied."""
WORTH_SENDING = 2 * BLOCK
"""Bytes; fewer are copied, from blocks that stay in memory for a while."""


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
        self._sink = sink
        self._outlet = sink.outlet if isinstance(sink, SocketSink) else None
        self._taken = taken
        self._done = done
        self._at = 0
        self._stop = 0
        self._size = FIRST
        self._paused = False
        self._busy = False
        self._over = False
        self._reading = False
        self._copies = False
        self._ready: Verified | None = None
        self._splice: FileSplice | None = None

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
                elif self._ready is not None:
                    self._send(self._ready)
                elif self._reading or not self._look():
                    return
        finally:
            self._busy = False

    def _look(self) -> bool:
        """Get more bytes; return whether they are there already."""
        file, stored = self._file, self._file.stored
        assert stored is not None
        if self._splices():
            stop = min(self._stop, self._at + self._size)
            self._size = PIECE
            self._wait(stored.read(self._at, stop))
            return False
        block = self._at // BLOCK * BLOCK
        held = file.hot.get((stored.id, block))
        if held is not None:
            self._copy(held, self._at - block)
            return True
        wanted = BLOCK if self._stop - self._at < WORTH_SENDING else COPIED
        stop = min(around(self._at, self._stop, file.complete).stop, block + wanted)
        self._wait(stored.read(block, stop, into_memory=True))
        return False

    def _splices(self) -> bool:
        left = self._stop - self._at
        return (
            not self._copies
            and left >= WORTH_SENDING
            and self._outlet is not None
            and self._outlet(left) is not None
        )

    def _wait(self, reading: Deferred[Verified]) -> None:
        self._reading = True
        reading.addCallbacks(self._came, self._failed)

    def _came(self, verified: Verified) -> None:
        self._reading = False
        if self._over:
            verified.release()
            return
        self._ready = verified
        self._go()

    def _failed(self, failure: Failure) -> None:
        self._reading = False
        if self._over:
            return
        self._file.read_failed(self._at, failure)
        self._end()

    def _send(self, verified: Verified) -> None:
        """Begin to send what was verified."""
        if verified.data is not None:
            self._hold(verified, verified.data)
            return
        count = verified.stop - self._at
        outlet = self._sink.outlet(count)
        offset = verified.offset + self._at - verified.start
        splice = (
            None if outlet is None else file_to(outlet, verified.descriptor, offset, count, self)
        )
        if splice is None:
            self._copies = True
            self._release()
            return
        self._splice = splice
        splice.begin()

    def _hold(self, verified: Verified, data: bytes) -> None:
        """Keep blocks in memory that were read there, and write the first."""
        stored = self._file.stored
        assert stored is not None
        start = verified.start
        self._release()
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
        verified, self._ready = self._ready, None
        if verified is not None:
            verified.release()

    def _end(self) -> None:
        if not self._over:
            self._over = True
            self._release()
            self._done()

    # Called by the splice.

    def sent(self, count: int) -> None:
        self._at += count
        self._taken(count)
        self._sink.passed(count)

    def receiver_full(self) -> None:
        self._sink.pauseProducing()

    def file_sent(self, was_full: bool) -> None:
        self._splice = None
        self._release()
        if was_full:
            self._sink.resumeProducing()
        self._go()

    def file_failed(self) -> None:
        self._splice = None
        self._file.trouble()
        self._end()
