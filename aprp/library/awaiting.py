"""Await work on the reactor from any coroutine, Twisted's or asyncio's.

- If the reactor runs in this thread, the coroutine may be driven by a Deferred or, under
  Twisted's asyncio reactor, by a task: `Step` can be awaited by both.
- Under plain ``asyncio.run()``, or in a notebook, no reactor runs in this thread. It then runs in a
  background thread, which passes results to the loop (`Elsewhere`).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.python.threadable import isInIOThread

from aprp.library.reactor_thread import running_reactor

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, T]]


class Step(Generic[T]):
    """Work in progress. It may be awaited once."""

    def __init__(self, work: Deferred[T]) -> None:
        self._work = work

    def __await__(self) -> Generator[Any, Any, T]:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return (yield from self._work.__await__())
        future = self._work.asFuture(loop)
        waiting = future.__await__()
        try:
            asked = next(waiting)
        except StopIteration as done:
            return cast(T, done.value)
        # A task waits for the future and sends None. What drives a Deferred's coroutine can't wait
        # for a future, and sends it back at once: then it gets a Deferred.
        if (yield asked) is asked:
            return cast(T, (yield Deferred.fromFuture(future)))
        return (yield from waiting)


class Here:
    """Runs work on a reactor in this thread."""

    def run(self, work: Work[T]) -> Step[T]:
        """Start the work and return an awaitable."""
        return Step(Deferred.fromCoroutine(work()))

    def call(self, function: Callable[[], None]) -> None:
        """Call the function in the reactor's thread."""
        function()


class Elsewhere:
    """Runs work on a reactor in a background thread, for asyncio in this one."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    async def run(self, work: Work[T]) -> T:
        """Run the work there. Cancelling the waiting task cancels the work."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()
        begun: list[Deferred[T]] = []

        def settle(outcome: T | Failure) -> None:
            if result.done():
                return
            if isinstance(outcome, Failure):
                result.set_exception(outcome.value or RuntimeError("failed without a reason"))
            else:
                result.set_result(outcome)

        def hand_over(outcome: T | Failure) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, outcome)

        def begin() -> None:
            begun.append(Deferred.fromCoroutine(work()))
            begun[0].addBoth(hand_over)

        self._reactor.callFromThread(begin)
        try:
            return await result
        except asyncio.CancelledError:
            self._reactor.callFromThread(lambda: begun[0].cancel())
            raise

    def call(self, function: Callable[[], None]) -> None:
        """Call the function in the reactor's thread."""
        self._reactor.callFromThread(function)


def find_reactor() -> Here | Elsewhere:
    """Return how to run work on the reactor, started in a thread if necessary.

    Without an event loop in this thread only a Deferred can drive the coroutine, so the reactor
    runs here, or will. Raise RuntimeError if the reactor needs this loop but isn't running.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return Here()
    reactor = sys.modules.get("twisted.internet.reactor")
    if getattr(reactor, "running", False) and isInIOThread():
        return Here()
    if getattr(reactor, "_asyncioEventloop", None) is loop:
        raise RuntimeError(
            "Twisted's asyncio reactor is installed on this event loop, but doesn't run: start it "
            "with reactor.run() in place of asyncio.run(), or don't install it"
        )
    return Elsewhere(running_reactor())
