"""The bytes of a cached file for one request, and where its missing bytes come from."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IConsumer

from aprp.cache.cached_file import CachedFile
from aprp.cache.origin import Origin
from aprp.cache.reader import Reader
from aprp.core.cache.extents import BLOCK
from aprp.core.http.ranges import Range
from aprp.upstream.errors import SourceError, SourceLied
from aprp.upstream.transfer.collector import Collector
from aprp.upstream.transfer.resumed_body import ResumedBody
from aprp.web.from_cache import FromCache


class UpstreamOrigin:
    """Delivers bytes of one version from the upstream; `doubt` is called if that has another."""

    def __init__(self, stream: ResumedBody, doubt: Callable[[], None]) -> None:
        self._stream = stream
        self._doubt = doubt

    async def deliver(self, wanted: Range, sink: IConsumer) -> None:
        try:
            await self._stream.send(wanted, sink)
        except SourceLied:
            self._doubt()
            raise

    def end_at(self, stop: int) -> None:
        """Do nothing: what was requested is cut off instead."""

    def drain(self) -> None:
        """Do nothing: nothing is held here."""

    def ready(self) -> int:
        return 0

    def abort(self) -> None:
        self._stream.abort()


class HeldOrigin:
    """Delivers a body that is in memory."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def deliver(self, wanted: Range, sink: IConsumer) -> None:
        sink.write(self._body[wanted.start : wanted.stop])

    def end_at(self, stop: int) -> None:
        """Do nothing: all of it is there."""

    def drain(self) -> None:
        """Do nothing: all of it is there."""

    def ready(self) -> int:
        return len(self._body)

    def abort(self) -> None:
        """Do nothing: nothing is under way."""


class FileSupply:
    """The bytes of `file` for one request. `opened` returns a stream of missing bytes.

    `taken` has those that the request got from the cache, or from another's fetch.
    """

    def __init__(
        self, file: CachedFile, opened: Callable[[], ResumedBody], doubt: Callable[[], None]
    ) -> None:
        self.file = file
        self.taken = FromCache()
        self.resumes = 0
        self._opened = opened
        self._doubt = doubt
        self._held: bytes | None = None
        file.use()

    def at_hand(self, wanted: Range) -> bytes | None:
        """Return these bytes if they are in memory in one piece, else None."""
        if self._held is not None:
            return self._held[wanted.start : wanted.stop]
        stored, block = self.file.stored, wanted.start // BLOCK * BLOCK
        stored_to = self.file.stored_to(wanted.start)
        if stored is None or stored_to is None or stored_to < wanted.stop:
            return None
        held = self.file.hot.get((stored.id, block))
        if held is None or len(held) < wanted.stop - block:
            return None
        self.taken.add(wanted.start, wanted.length)
        return held[wanted.start - block : wanted.stop - block]

    async def hold(self) -> bool:
        """Read the whole file, which is small, into memory. Return whether that was possible."""
        held = Collector(keep=self.file.complete)
        try:
            await Reader(self.file, Range(0, self.file.complete), held, self).begin()
        except SourceError:
            return False
        self._held = held.data
        return True

    async def send(self, wanted: Range, sink: IConsumer) -> None:
        self.taken.begin(wanted.start)
        if self._held is None:
            await Reader(self.file, wanted, sink, self).begin()
        else:
            sink.write(self._held[wanted.start : wanted.stop])

    def origin(self) -> Origin:
        return UpstreamOrigin(self._opened(), self._doubt)

    def read(self, at: int, count: int) -> None:
        self.taken.add(at, count)

    def close(self) -> None:
        """Use the file no more."""
        self.file.leave()
