"""One file from all of its sources as an asynchronous iterator of bytes, for programs.

- `open_transfer` works in Twisted's coroutines and in asyncio's, whether or not a reactor runs in
  their thread; see `aprp.library.awaiting`.
- Bytes come in order, each as soon as it is there. Nothing is fetched ahead of the reader than
  what the window holds.
- Whoever stops reading stops the transfer: by leaving ``async with``, by `aclose`, by cancelling,
  or by dropping the reading.
- A transfer that failed, or was stopped before its end, fails again whenever it is read on. Only
  one that came to its end ends the iteration.
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
from aprp.library.fetch_request import FetchRequest, fetch_request
from aprp.upstream.errors import BodyBroken, SourceError
from aprp.upstream.http.agent import Agent
from aprp.upstream.transfer.shared import SharedResources
from aprp.upstream.transfer.transfer import Transfer

ENOUGH = 1 << 18
"""Bytes that may wait for the reader before the transfer is told to pause."""

_shared: weakref.WeakKeyDictionary[Any, SharedResources] = weakref.WeakKeyDictionary()


class NotInFile(SourceError):
    """The file has no bytes in the range that was asked for."""


def open_transfer(
    urls: Iterable[str],
    *,
    start: int = 0,
    stop: int | None = None,
    reactor: Any = None,
    **settings: Any,
) -> TransferReader:
    """The bytes [start, stop) of the file that is at all of these URLs; None: to its end.

    `settings` are those of a ``sources:`` route by the same names and with the same defaults, as
    text or as values: ``window="8MiB"``, ``same="length"``, ``delay="diff"``, and so on; `headers`
    is a mapping. ``connections`` is for every source, ``static_delay`` a list with a number for
    each. ValueError for what can't be used. Nothing is asked before the reading is entered or
    iterated.
    """
    if start < 0 or (stop is not None and stop <= start):
        raise ValueError(f"[{start}, {stop}) isn't a range of bytes; start must be less than stop")
    return TransferReader(fetch_request(urls, **settings), FromTo(start, stop), reactor)


def shared_by(reactor: Any) -> SharedResources:
    """What all transfers on a reactor share; its connections are closed when the reactor stops."""
    shared = _shared.get(reactor)
    if shared is None:
        agent = Agent(reactor)
        shared = _shared[reactor] = SharedResources(agent, reactor)
        reactor.addSystemEventTrigger("before", "shutdown", agent.close)
    return shared


@implementer(IConsumer)
class _Basket:
    """A consumer that holds a little, until it is taken."""

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
        """There will be no more, for that reason if there is one."""
        self._ended, self._failure = True, result
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    async def take(self) -> bytes:
        """All that is there, waiting for it if need be; empty at the end. Raises what ended it."""
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
    """A file being read; see the module. Made by `open_transfer`.

    After it is entered, or after its first bytes: `facts` is what is known of the file, `range`
    the bytes that come. `transfer` tells where they came from.
    """

    def __init__(self, fetch_request: FetchRequest, spec: Spec, reactor: Any = None) -> None:
        self._where: Here | Elsewhere | None = None if reactor is None else Here()
        if reactor is None:
            from twisted.internet import reactor
        shared = shared_by(reactor)
        self.transfer = Transfer(
            shared, fetch_request.locations, fetch_request.options(shared.agent.names)
        )
        self.range: Range | None = None
        self.failure: Exception | None = None
        """Why it failed, whenever it is asked again; None where it didn't."""
        self._spec = spec
        self._basket: _Basket | None = None
        self._begun = False
        self._ended = False
        self._stopped = False
        self._read = 0
        self._close = weakref.finalize(self, _drop, reactor, self.transfer)
        self._close.atexit = False

    @property
    def facts(self) -> Facts:
        """Complete length, Last-Modified, media type."""
        assert self.transfer.facts is not None, "nothing is known before the reading is entered"
        return self.transfer.facts

    async def begin(self) -> None:
        """Ask, and wait for the first good answer. Raises TransferFailed or NotInFile."""
        if self._begun:
            return
        self._check()
        with self._failing():
            facts = await self.transfer.begin(self._spec)
            self.range = self._spec.resolve(facts.complete)
            if self.range is None and self._spec != FromTo(0):
                raise NotInFile(f"the file has {facts.complete} bytes, none in the requested range")
        self._begun = True

    async def read(self) -> bytes:
        """The next bytes, empty at the end. Raises TransferFailed, and again when called again."""
        await self.begin()
        if self._ended or self.range is None:
            self._ended = True
            return b""
        self._check()
        with self._failing():
            return await self._next(self.range)

    async def _next(self, wanted: Range) -> bytes:
        if self._basket is None:
            basket = self._basket = _Basket()
            sent = Deferred.fromCoroutine(self.transfer.send(wanted, basket))
            sent.addBoth(basket.end)
        piece = await self._basket.take()
        self._read += len(piece)
        if not piece and self._read != wanted.length:
            raise BodyBroken(f"the transfer ended after {self._read} of {wanted.length} bytes")
        self._ended = not piece
        return piece

    def _check(self) -> None:
        """Raise what it failed with before, or that it was stopped: neither is the file's end."""
        if self.failure is not None:
            raise self.failure
        if self._stopped:
            raise BodyBroken(f"the transfer was stopped after {self._read} bytes, before its end")

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Note why the work within fails; a cancelled one can't be taken up again."""
        try:
            yield
        except BaseException as error:
            self.failure = BodyBroken(f"the transfer was cancelled after {self._read} bytes")
            if isinstance(error, Exception) and not isinstance(error, CancelledError):
                self.failure = error
            raise

    def abort(self) -> None:
        """Stop at once; harmless when repeated. For the reactor's own thread."""
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
        """Where the reactor runs; looked for when it is first needed."""
        if self._where is None:
            self._where = find_reactor()
        return self._where


def _drop(reactor: Any, transfer: Transfer) -> None:
    """A reading was dropped, in whatever thread."""
    reactor.callFromThread(transfer.abort)
