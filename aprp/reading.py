"""One file from all of its sources as an asynchronous iterator of bytes, for programs.

- `open_transfer` works in Twisted coroutines, and in asyncio ones where Twisted's asyncio reactor
  runs; each step waits in the way of whoever awaits it.
- Bytes come in order, each as soon as it is there. Nothing is fetched ahead of the reader than
  what the window holds.
- Whoever stops reading stops the transfer: by leaving ``async with``, by `aclose`, by cancelling,
  or by dropping the reading.
"""

from __future__ import annotations

import asyncio
import sys
import weakref
from collections import deque
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

from pydantic import ValidationError
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.python.failure import Failure
from zope.interface import implementer

from aprp.config import SourceSettings, SourcesRoute, Url
from aprp.core.copies import Facts
from aprp.core.messages import Source
from aprp.core.ranges import FromTo, Range, Spec
from aprp.upstream.agent import Agent
from aprp.upstream.errors import BodyBroken, SourceError
from aprp.upstream.guard import Guard, own_host_or
from aprp.upstream.hub import Hub
from aprp.upstream.terms import Copy, Terms
from aprp.upstream.tls import UNVERIFIED
from aprp.upstream.transfer import Transfer
from aprp.upstream.trust import trust_of

ENOUGH = 1 << 18
"""Bytes that may wait for the reader before the transfer is told to pause."""

T = TypeVar("T")

_hubs: weakref.WeakKeyDictionary[Any, Hub] = weakref.WeakKeyDictionary()


class NotInFile(SourceError):
    """The file has no bytes in the range that was asked for."""


def open_transfer(
    urls: Iterable[str],
    *,
    start: int = 0,
    stop: int | None = None,
    reactor: Any = None,
    **settings: Any,
) -> Reading:
    """The bytes [start, stop) of the file that is at all of these URLs; None: to its end.

    `settings` are those of a ``sources:`` route by the same names and with the same defaults, as
    text or as values: ``window="8MiB"``, ``same="length"``, ``delay="diff"``, and so on; `headers`
    is a mapping. ``connections`` is for every source, ``static_delay`` a list with a number for
    each. ValueError for what can't be used. Nothing is asked before the reading is entered or
    iterated.
    """
    if start < 0 or (stop is not None and stop <= start):
        raise ValueError(f"[{start}, {stop}) isn't a range of bytes, which begins before it ends")
    return Reading(order(urls, **settings), FromTo(start, stop), reactor)


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be fetched, and by which rules; see `order`."""

    route: SourcesRoute
    verify: bool = True
    leave_late: bool = False
    initial_delay: int = 10

    @property
    def copies(self) -> tuple[Copy, ...]:
        """Its sources, named by their origins, or by their URLs where two share an origin."""
        told = self.route.sources
        origins = [each.url.origin for each in told]
        return tuple(_copy(each, origins.count(each.url.origin) == 1) for each in told)

    def terms(self, reactor: Any) -> Terms:
        """Its rules, on this reactor."""
        trust = trust_of(self.route.tls) if self.verify else UNVERIFIED
        terms = Terms.of(self.route, trust, own_host_or(Guard(reactor), trust))
        scheduling = replace(
            terms.scheduling, leave_late=self.leave_late, initial_delay=self.initial_delay
        )
        return replace(terms, scheduling=scheduling)


def hub_of(reactor: Any) -> Hub:
    """What all transfers on a reactor share; its connections are closed when the reactor stops."""
    hub = _hubs.get(reactor)
    if hub is None:
        agent = Agent(reactor)
        hub = _hubs[reactor] = Hub(agent, reactor)
        reactor.addSystemEventTrigger("before", "shutdown", agent.close)
    return hub


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


class Reading:
    """A file being read; see the module. Made by `open_transfer`.

    After it is entered, or after its first bytes: `facts` is what is known of the file, `range`
    the bytes that come. `transfer` tells where they came from.
    """

    def __init__(self, order: Order, spec: Spec, reactor: Any = None) -> None:
        if reactor is None:
            from twisted.internet import reactor
        self.transfer = Transfer(hub_of(reactor), order.copies, order.terms(reactor))
        self.range: Range | None = None
        self._spec = spec
        self._basket: _Basket | None = None
        self._begun = False
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
        self._begun = True
        facts = await self.transfer.begin(self._spec)
        self.range = self._spec.resolve(facts.complete)
        if self.range is None and self._spec != FromTo(0):
            raise NotInFile(f"the file has {facts.complete} bytes, none of them in that range")

    async def read(self) -> bytes:
        """The next bytes, empty at the end. Raises TransferFailed."""
        await self.begin()
        if self.range is None:
            return b""
        if self._basket is None:
            basket = self._basket = _Basket()
            sent = Deferred.fromCoroutine(self.transfer.send(self.range, basket))
            sent.addBoth(basket.end)
        piece = await self._basket.take()
        self._read += len(piece)
        if not piece and self._read != self.range.length:
            raise BodyBroken(f"the transfer ended after {self._read} of {self.range.length} bytes")
        return piece

    def abort(self) -> None:
        """Stop at once; harmless when repeated. For the reactor's own thread."""
        self._close.detach()
        self.transfer.abort()

    async def aclose(self) -> None:
        """Stop at once, as `abort`."""
        self.abort()

    async def __aenter__(self) -> Self:
        try:
            await _awaitable(self.begin())
        except BaseException:
            self.abort()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self.abort()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece: bytes = await _awaitable(self.read())
        except BaseException:
            self.abort()
            raise
        if not piece:
            self.abort()
            raise StopAsyncIteration
        return piece


def order(
    urls: Iterable[str],
    *,
    verify: bool = True,
    connections: int = 4,
    static_delay: Sequence[int] | None = None,
    **settings: Any,
) -> Order:
    """Read what `open_transfer` is given; ValueError for what can't be used.

    Without `verify` certificates aren't checked.
    """
    if isinstance(urls, str | bytes):
        raise ValueError("urls must be a list of URLs, not a single one")
    texts = [str(url) for url in urls]
    delays = static_delay or [0] * len(texts)
    if len(delays) != len(texts):
        raise ValueError(f"static_delay has {len(delays)} numbers for {len(texts)} URLs")
    sources: dict[Url, SourceSettings] = {}
    for text, delay in zip(texts, delays, strict=True):
        try:
            url = Url.parse(text)
            told = SourceSettings(url=url, connections=connections, static_delay=delay)
        except ValueError as error:
            raise ValueError(f"{text} {_sentence(error)}") from None
        sources.setdefault(url, told)
    try:
        return Order(SourcesRoute(path="/", sources=tuple(sources.values()), **settings), verify)
    except ValueError as error:
        raise ValueError(_sentence(error)) from None


def _copy(told: SourceSettings, alone: bool) -> Copy:
    url = told.url
    name = url.origin if alone else str(url)
    return Copy(Source(name, url.authority, told.connections, told.static_delay), url)


def _sentence(error: ValueError) -> str:
    """What is wrong, and with which setting."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    name = ".".join(str(step) for step in first["loc"])
    return f"{name} {first.get('ctx', {}).get('error', first['msg'])}"


def _drop(reactor: Any, transfer: Transfer) -> None:
    """A reading was dropped, in whatever thread."""
    reactor.callFromThread(transfer.abort)


def _awaitable(work: Coroutine[Any, Any, T]) -> Any:
    """The work begun, to be awaited in the way of the running coroutine."""
    begun = Deferred.fromCoroutine(work)
    return begun.asFuture(asyncio.get_running_loop()) if _in_asyncio() else begun


def _in_asyncio() -> bool:
    """Whether the coroutine that asks is driven by an asyncio task, and not by a Deferred."""
    try:
        if asyncio.current_task() is None:
            return False
    except RuntimeError:
        return False
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_name != "_inlineCallbacks":
        frame = frame.f_back  # type: ignore[assignment]
    return frame is None
