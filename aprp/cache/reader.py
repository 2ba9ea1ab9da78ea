"""One reader: a range of a cached file, sent to a consumer in order and at its pace.

It takes what is in memory or stored, waits for the fetch that brings its next byte soon, or else
begins one for the hole it stands at. A dead origin and a hole are the same to its consumer.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from aprp.cache.buffered import Buffered
from aprp.cache.cached_file import CachedFile
from aprp.cache.fetch import SharedFetch
from aprp.cache.origin import Origin
from aprp.cache.stored_bytes import StoredBytes
from aprp.core.http.ranges import Range


class Supplier(Protocol):
    """The request of a reader, as far as it matters for what is missing: it owns the fetches that
    begin for it.
    """

    def origin(self) -> Origin:
        """Return a new origin of missing bytes."""
        ...

    def read(self, at: int, count: int) -> None:
        """Count the bytes from the offset `at` on, which this request didn't have fetched."""
        ...


@implementer(IPushProducer)
class Reader:
    """Sends `wanted` of `file` to `sink`."""

    def __init__(self, file: CachedFile, wanted: Range, sink: IConsumer, supply: Supplier) -> None:
        self.at = wanted.start
        self._stop = wanted.stop
        self._file = file
        self._sink = sink
        self._supply = supply
        self._paused = False
        self._busy = False
        self._over = False
        self._fetch: SharedFetch | None = None
        self._own = False
        self._excused = False
        self._stored: StoredBytes | None = None
        self._buffered = Buffered(sink, file.clock, wanted.start)
        self._done: Deferred[None] = Deferred(lambda _: self._close())

    @property
    def waits(self) -> bool:
        """Whether it would send the byte `at` now."""
        return not self._paused

    def begin(self) -> Deferred[None]:
        """Start; fires when all was written, fails with why it can't be. Cancelling it stops it."""
        self._file.use()
        self._sink.registerProducer(self, True)
        self._go()
        return self._done

    def _go(self) -> None:
        """Write what can be had now, and see to it that more comes."""
        if self._busy:
            return
        self._busy = True
        try:
            while not self._paused and not self._over and self._stored is None:
                if self.at >= self._stop:
                    self._finish()
                elif not self._step():
                    break
        except Exception:
            self._fail(Failure())
        finally:
            self._busy = False

    def _step(self) -> bool:
        """Move on by one piece; return whether to look for another now."""
        fetch, piece = self._file.bytes_at(self.at)
        if fetch is not None:
            self._follow(fetch)
            self._write(piece)
            return True
        stored_to = self._file.stored_to(self.at)
        if stored_to is not None:
            self._leave()
            self._read(min(stored_to, self._stop))
            return True
        fetch = self._fetch
        if fetch is None or fetch.ended or not fetch.position <= self.at < fetch.stop:
            self._seek()
        else:
            fetch.pace()
        fetch = self._fetch  # more may have come at once
        return fetch is None or fetch.ended or bool(fetch.bytes_at(self.at))

    # Bytes in memory, and on their way

    def _seek(self) -> None:
        """Wait for a running fetch, or begin one."""
        fetch = self._file.fetch_for(self.at)
        if fetch is not None:
            self._follow(fetch)
            return
        self._leave()
        hole = self._file.hole(Range(self.at, self._stop))
        fetch = self._file.fetch(hole, self._supply.origin(), self._supply)
        if fetch.ended:
            self._fetch, self._own = fetch, True
            self.fetch_ended(fetch, fetch.error)
        else:
            self._follow(fetch)

    def _follow(self, fetch: SharedFetch) -> None:
        if fetch is not self._fetch:
            self._leave()
            self._fetch, self._own = fetch, fetch.owner is self._supply
            self._buffered.bound(True)
            fetch.follow(self)

    def _leave(self) -> None:
        fetch, self._fetch = self._fetch, None
        if fetch is not None:
            fetch.leave(self)

    def _write(self, piece: bytes) -> None:
        left = self._stop - self.at
        piece = piece if len(piece) <= left else piece[:left]
        at, self.at = self.at, self.at + len(piece)
        if not self._own or (self._fetch is not None and self._fetch.borrowed):
            self._supply.read(at, len(piece))
        self._sink.write(piece)

    def came(self, at: int, data: bytes) -> None:
        if self._paused or self._busy or self._over or self._stored is not None:
            return
        if at <= self.at < at + len(data):
            self._busy = True
            try:
                self._write(data[self.at - at :] if at < self.at else data)
            finally:
                self._busy = False
            if self.at >= self._stop:
                self._go()

    def fetch_ended(self, fetch: SharedFetch, error: Exception | None) -> None:
        """Go on after a fetch; one failure of a fetch for another request is excused."""
        if fetch is not self._fetch:
            return
        self._fetch = None
        if error is not None:
            if self._own or self._excused:
                self._fail(Failure(error))
                return
            self._excused = True
        self._go()

    # Stored bytes

    def _read(self, stop: int) -> None:
        assert self._file.stored is not None
        self._buffered.bound(False)
        self._stored = StoredBytes(self._file, self._sink, self._taken, self._read_on)
        self._stored.begin(self.at, stop)

    def _taken(self, count: int) -> None:
        at, self.at = self.at, self.at + count
        self._supply.read(at, count)

    def _read_on(self) -> None:
        """Go on after stored bytes: all were sent, or no more can be read."""
        self._stored = None
        self._go()

    # The consumer's side

    def pauseProducing(self) -> None:
        self._paused = True
        if self._stored is not None:
            self._stored.pause()

    def resumeProducing(self) -> None:
        self._paused = False
        self._buffered.resumed(self.at)
        if self._stored is not None:
            self._stored.resume()
        self._go()

    def stopProducing(self) -> None:
        self._close()

    # The end

    def _finish(self) -> None:
        self._close()
        self._done.callback(None)

    def _fail(self, failure: Failure) -> None:
        if not self._over:
            self._close()
            self._done.errback(failure)

    def _close(self) -> None:
        if self._over:
            return
        self._over = True
        stored, self._stored = self._stored, None
        if stored is not None:
            stored.abandon()
        self._leave()
        self._sink.unregisterProducer()
        self._file.leave()
