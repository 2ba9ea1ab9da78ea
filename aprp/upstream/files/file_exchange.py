"""The response to one request for a file, and how its bytes move into a consumer.

One piece is read at a time, and the next one only while a pump runs and its consumer isn't paused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from aprp.core.http.heads import ResponseHead
from aprp.core.http.ranges import Range
from aprp.core.reasons import Name
from aprp.upstream.errors import BodyBroken, BodyStalled, SourceError
from aprp.upstream.exchange import Inflow, SourceRequest, Timings
from aprp.upstream.files.open_file import FileChanged, OpenFile
from aprp.upstream.watchdog import Watchdog

PIECE = 262144
"""Bytes of one read."""


@implementer(IPushProducer)
class FileExchange:
    """An `Exchange` whose body is the bytes `held` of `file`, None for no body."""

    reused = True
    connection: object | None = None

    def __init__(
        self,
        clock: Any,
        request: SourceRequest,
        head: ResponseHead,
        timings: Timings,
        held: Range,
        file: OpenFile | None,
        ended: Callable[[FileExchange], None],
    ) -> None:
        self.head = head
        self.length: int | None = held.length
        self.timings = timings
        self.moved = 0
        self._clock = clock
        self._request = request
        self._where = str(request.origin)
        self._whole = held.length
        self._at = held.start
        self._stop = held.stop
        self._file = file
        self._ended = ended
        self._error: SourceError | None = None
        self._piece = b""
        self._reading = False
        self._watchdog = Watchdog(clock, self._late)
        self._sink: IConsumer | None = None
        self._goal = 0
        self._start = 0
        self._pumped: Deferred[int] | None = None
        self._paused = False
        if held.length == 0:
            self._close()

    def take(self, n: int) -> bytes | None:
        return None

    def pump(self, sink: IConsumer, n: int | None = None) -> Deferred[int]:
        assert self._pumped is None, "one pump at a time"
        pumped: Deferred[int] = Deferred(lambda _: self._cancelled())
        left = self._stop - self._at + len(self._piece)
        self._sink, self._paused, self._pumped = sink, False, pumped
        self._start = self.moved
        self._goal = self.moved + (left if n is None else min(n, left))
        sink.registerProducer(self, True)
        self._flush()
        return pumped

    def send_on(self, inflow: Inflow) -> Deferred[None]:
        raise NotImplementedError("a file is never upgraded")

    def hang_up(self) -> None:
        self.abort()

    def abort(self) -> None:
        self._piece = b""
        if self._error is None and self.moved < self._whole:
            self._fail(BodyBroken("", "stopped by the proxy itself"))

    def _cancelled(self) -> None:
        sink, self._sink, self._pumped = self._sink, None, None
        if sink is not None:
            sink.unregisterProducer()
        self.abort()

    # Called with the results of reads.

    def _read(self) -> None:
        assert self._file is not None
        self._reading = True
        self._watchdog.expect(self._request.timeouts.between_bytes)
        count = min(PIECE, self._stop - self._at)
        self._file.read(self._at, count).addCallbacks(self._came, self._not_read)

    def _came(self, data: bytes) -> None:
        self._reading = False
        self._watchdog.rest()
        if self._file is None:
            return  # it came too late
        self._piece = data
        self._at += len(data)
        if self._at == self._stop:
            self._close()
        self._flush()

    def _not_read(self, failure: Failure) -> None:
        self._reading = False
        self._watchdog.rest()
        if self._file is None:
            return
        if failure.check(FileChanged):
            error = BodyBroken(self._where, "has a file that changed while it was read")
        else:
            text = Name(f": {_text_of(failure.value)}")
            error = BodyBroken(self._where, "has a file that can't be read any further", text)
        self._count(error)

    def _late(self) -> None:
        self._count(BodyStalled(self._where, "was silent in the middle of a file"))

    def _count(self, error: SourceError) -> None:
        self._request.tally.failed(error, self._clock.seconds())
        self._fail(error)

    def _fail(self, error: SourceError) -> None:
        self._error = error
        self._close()
        self._flush()

    def _close(self) -> None:
        """Stop reading, and close the file."""
        self._watchdog.close()
        file, self._file = self._file, None
        if file is not None:
            file.close()
        self._ended(self)

    # The consumer

    def _flush(self) -> None:
        """Write what was read, as far as it is wanted; then read on, or end the pump."""
        while self._pumped is not None and self._sink is not None:
            left = self._goal - self.moved
            if left == 0:
                self._finish_pump()
            elif self._paused and self._error is None:
                return
            elif self._piece:
                self._write(self._sink, left)
            elif self._error is not None:
                self._finish_pump()
            else:
                if not self._reading:
                    self._read()
                return

    def _write(self, sink: IConsumer, left: int) -> None:
        data, self._piece = self._piece[:left], self._piece[left:]
        self.moved += len(data)
        self._request.tally.received += len(data)
        sink.write(data)

    def _finish_pump(self) -> None:
        pumped, self._pumped = self._pumped, None
        sink, self._sink = self._sink, None
        assert pumped is not None and sink is not None
        sink.unregisterProducer()
        if self._error is not None and self.moved != self._goal:
            pumped.errback(self._error)
        else:
            pumped.callback(self.moved - self._start)

    # Called by the consumer.

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        self._flush()

    def stopProducing(self) -> None:
        self.abort()


def _text_of(error: BaseException | None) -> str:
    """Return the text of an error, without its number and file name."""
    return (isinstance(error, OSError) and error.strerror) or str(error)
