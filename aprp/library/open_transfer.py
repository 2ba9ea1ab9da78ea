"""Read one file from several sources as an asynchronous iterator of bytes.

- `open_transfer` works in Twisted's and asyncio's coroutines, whether or not a reactor runs in
their
  thread; see `aprp.library.awaiting`.
- Bytes arrive in order, as soon as they are available. No more than the window is read ahead.
- To stop a transfer, leave ``async with``, call `aclose`, cancel, or drop the reader.
- A transfer that failed or was stopped early raises again whenever it is read. The iteration only
ends
  normally at the end of the file.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer
from twisted.python.failure import Failure
from zope.interface import implementer

from aprp.core.http.ranges import FromTo, Range, Spec
from aprp.core.recovery.versions import Facts
from aprp.library.awaiting import Elsewhere, Here, find_reactor
from aprp.library.fetch_request import FetchRequest
from aprp.upstream.errors import BodyBroken, SourceError
from aprp.upstream.http.agent import Agent
from aprp.upstream.transfer.shared import SharedResources
from aprp.upstream.transfer.transfer import Transfer

ENOUGH = 1 << 18
"""How many bytes may wait for the reader before the transfer pauses."""

_shared: weakref.WeakKeyDictionary[Any, SharedResources] = weakref.WeakKeyDictionary()


class NotInFile(SourceError):
    """Raised when the file has no bytes in the requested range."""


def open_transfer(
    urls: Iterable[str],
    *,
    start: int = 0,
    stop: int | None = None,
    reactor: Any = None,
    **settings: Any,
) -> TransferReader:
    """Read the bytes [start, stop) of the file at these URLs; `stop` None is the end of the file.

    `settings` are those of a ``sources:`` route, with the same names and defaults, as text or
    values: ``window="8MiB"``, ``same="length"``, ``delay="diff"``; `headers` is a mapping.
    ``connections`` applies to every source; ``static_delay`` is a list with a number for each.
    Raise ValueError for invalid arguments. The first request is sent when the reader is entered or
    iterated.
    """
    if start < 0 or (stop is not None and stop <= start):
        raise ValueError(f"[{start}, {stop}) isn't a range of bytes; start must be less than stop")
    from aprp.library.arguments import fetch_request  # loads pydantic, which `aprp get` never needs

    return TransferReader(fetch_request(urls, **settings), FromTo(start, stop), reactor)


def shared_by(reactor: Any) -> SharedResources:
    """Return what transfers on a reactor share; connections close when the reactor stops."""
    shared = _shared.get(reactor)
    if shared is None:
        agent = Agent(reactor)
        shared = _shared[reactor] = SharedResources(agent, reactor)
        reactor.addSystemEventTrigger("before", "shutdown", agent.close)
    return shared


@implementer(IConsumer)
class _ReaderBuffer:
    """A consumer with a small buffer for the reader."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._producer: Any = None
        self._waiting: Deferred[None] | None = None
        self._ended = False
        self._failure: Failure | None = None

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._producer = producer

    def unregisterProducer(self) -> None:
        self._producer = None

    def write(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size += len(data)
        if self._size >= ENOUGH and self._producer is not None:
            self._producer.pauseProducing()
        self._wake()

    def end(self, result: Failure | None) -> None:
        """End the stream, with a failure if there is one."""
        self._ended, self._failure = True, result
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    async def take(self) -> bytes:
        """Wait for bytes and return them all; empty at the end. Raise the failure that ended it."""
        if not self._pieces and not self._ended:
            self._waiting = Deferred()
            await self._waiting
        if self._pieces:
            taken = self._pieces.popleft() if len(self._pieces) == 1 else b"".join(self._pieces)
            self._pieces.clear()
            self._size = 0
            if self._producer is not None:
                self._producer.resumeProducing()
            return taken
        if self._failure is not None:
            self._failure.raiseException()
        return b""


class TransferReader:
    """An asynchronous iterator of a file's bytes, created by `open_transfer`.

    Once it is entered, or has returned its first bytes, `facts` describes the file and `range` is
    the range being read. `transfer` knows which source sent which bytes.
    """

    def __init__(self, fetch_request: FetchRequest, spec: Spec, reactor: Any = None) -> None:
        self._where: Here | Elsewhere | None = None if reactor is None else Here()
        if reactor is None:
            from twisted.internet import reactor
        shared = shared_by(reactor)
        options = fetch_request.options(shared.agent.names)
        self.transfer = Transfer(shared, fetch_request.locations, options, fetch_request.known)
        self.range: Range | None = None
        self.failure: Exception | None = None
        """The exception that each further read raises, or None."""
        self._spec = spec
        self._buffer: _ReaderBuffer | None = None
        self._begun = False
        self._ended = False
        self._stopped = False
        self._read = 0
        self._close = weakref.finalize(self, _drop, reactor, self.transfer)
        self._close.atexit = False

    @property
    def facts(self) -> Facts:
        """The file's complete length, Last-Modified and media type."""
        assert self.transfer.facts is not None, "nothing is known before the reading is entered"
        return self.transfer.facts

    @property
    def spoken(self) -> dict[str, str]:
        """The version of HTTP, such as ``HTTP/2``, that each source spoke last, by its name."""
        return self.transfer.spoken

    async def begin(self) -> None:
        """Start, and wait for the first good response. Raise TransferFailed or NotInFile."""
        if self._begun:
            return
        self._check()
        with self._failing():
            facts = await self.transfer.begin(self._spec)
            self.range = self._spec.resolve(facts.complete)
            if self.range is None and self._spec != FromTo(0):
                text = f"the file has {facts.complete} bytes, none in the requested range"
                raise NotInFile("", text)
        self._begun = True

    async def read(self) -> bytes:
        """Return the next bytes, empty at the end. Raise TransferFailed, on further calls too."""
        await self.begin()
        if self._ended or self.range is None:
            self._ended = True
            return b""
        self._check()
        with self._failing():
            return await self._next(self.range)

    async def _next(self, wanted: Range) -> bytes:
        if self._buffer is None:
            buffer = self._buffer = _ReaderBuffer()
            sent = Deferred.fromCoroutine(self.transfer.send(wanted, buffer))
            sent.addBoth(buffer.end)
        piece = await self._buffer.take()
        self._read += len(piece)
        if not piece and self._read != wanted.length:
            raise BodyBroken("", f"the transfer ended after {self._read} of {wanted.length} bytes")
        self._ended = not piece
        return piece

    def _check(self) -> None:
        """Raise the earlier failure, or an error if it was stopped before the end of the file."""
        if self.failure is not None:
            raise self.failure
        if self._stopped:
            raise BodyBroken(
                "", f"the transfer was stopped after {self._read} bytes, before its end"
            )

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Record why the work inside fails, for later reads; cancelled work can't be resumed."""
        try:
            yield
        except BaseException as error:
            self.failure = BodyBroken("", f"the transfer was cancelled after {self._read} bytes")
            if isinstance(error, Exception) and not isinstance(error, CancelledError):
                self.failure = error
            raise

    def abort(self) -> None:
        """Stop at once, from the reactor's thread. Calling it again does nothing."""
        self._stopped = True
        self._close.detach()
        self.transfer.abort()

    async def aclose(self) -> None:
        """Stop at once, from any coroutine."""
        self._found().call(self.abort)

    async def __aenter__(self) -> Self:
        try:
            await self._found().run(self.begin)
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece: bytes = await self._found().run(self.read)
        except BaseException:
            await self.aclose()
            raise
        if not piece:
            await self.aclose()
            raise StopAsyncIteration
        return piece

    def _found(self) -> Here | Elsewhere:
        """Return how to run work on the reactor, determined on first use."""
        if self._where is None:
            self._where = find_reactor()
        return self._where


def _drop(reactor: Any, transfer: Transfer) -> None:
    """Abort the transfer of a dropped reader, in whatever thread that happened."""
    reactor.callFromThread(transfer.abort)
