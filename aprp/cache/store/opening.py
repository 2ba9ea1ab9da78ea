"""The index of a store while it is open: opened at the start, and again a while after it failed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from aprp.cache.store.folder import NotReady
from aprp.cache.store.index import Index
from aprp.cache.store.store import CacheTrouble
from aprp.cache.store.threads import ANSWER, REST
from aprp.cache.store.tools import Tools
from aprp.cache.store.upkeep import SOON, Upkeep

T = TypeVar("T")

SETTLED = 10.0
"""Seconds after which the index has what a process wrote, unless that process has died."""


class Opening:
    """Opens the index. The process that is `keeper` locks the directory and puts it right.
    `shared`: there are others.

    `on_opened` is called when it has opened, `on_lost` when it can't be used any more.
    """

    _log = Logger()

    def __init__(
        self,
        tools: Tools,
        upkeep: Upkeep,
        keeper: bool,
        shared: bool,
        on_opened: Callable[[], object],
        on_lost: Callable[[], object],
    ) -> None:
        self.keeper = keeper
        self._tools = tools
        self._upkeep = upkeep
        self._shared = shared
        self._on_opened = on_opened
        self._on_lost = on_lost
        self._index: Index | None = None
        self._lock = -1
        self._closed = False
        self._reopening: Any = None
        self._pause: Deferred[None] | None = None
        tools.threads.on_broken = self._broken

    @property
    def is_open(self) -> bool:
        """Whether the index can be used."""
        return self._index is not None

    @property
    def waits(self) -> bool:
        """Whether it isn't tried for now."""
        return self._reopening is not None

    def run(self, job: Callable[[Index], T], wait: float | None = ANSWER) -> Deferred[T]:
        """Run a job with the index, in its thread."""

        def with_index() -> T:
            if self._index is None:
                raise CacheTrouble(self._tools.threads.trouble)
            return job(self._index)

        return self._tools.threads.index(with_index, wait)

    def open(self) -> Deferred[None]:
        """Open the index; fires once it is open or known to be unusable, which has been logged."""
        return self._tools.threads.index(self._opened_in_thread, None).addCallbacks(
            self._opened, self._refused
        )

    def _opened_in_thread(self) -> list[str]:
        said: list[str] = []
        folder = self._tools.folder
        if self.keeper:
            if self._lock >= 0:
                folder.disk.close(self._lock)
                self._lock = -1
            self._lock = folder.claim()
            resumes = self._shared and folder.resumed
            self._index = folder.recover(said.append, resumes)
        else:
            self._index = folder.open_index()
        self._upkeep.index = self._index
        return said

    def _opened(self, said: list[str]) -> None:
        self._reopening = None
        self._upkeep.start_over()
        for each in said:
            self._log.warn("cache: {said}", said=each)
        if self.keeper and not self._closed:
            Deferred.fromCoroutine(self._sweep_until_done())
        self._upkeep.now()
        self._on_opened()

    def _refused(self, failure: Any) -> None:
        if failure.check(NotReady):
            self._reopening = self._tools.reactor.callLater(SOON, self._reopen)
            return
        failure.trap(CacheTrouble)
        self._tools.threads.say(f"{failure.value}; until then nothing is cached")
        self._broken()

    async def _sweep_until_done(self) -> None:
        """Sweep, and again after a while if the disk fails: nothing is kept before."""
        index, again = self._index, True
        while again and self._index is index:
            try:
                await self._sweep()
                again = False
            except CacheTrouble:  # which has been logged
                again = await self._paused(REST)

    async def _sweep(self) -> None:
        """Delete the data files that the index doesn't have, then allow writing.

        What other workers have just written isn't in the index yet: they are given time.
        """
        folder, only = self._tools.folder, None
        if await self.run(lambda index: index.counter("swept")):
            only = set[str]()
            for low in range(256):
                only |= await self.run(functools.partial(folder.unknown, low), None)
            if not await self._paused(SETTLED):
                return
        removed = 0
        for low in range(256):
            removed += await self.run(functools.partial(folder.sweep, low, only=only), None)
        await self.run(_swept)
        if removed:
            self._log.info("cache: {n} data files without an entry were deleted", n=removed)
        self._upkeep.now()

    async def _paused(self, seconds: float) -> bool:
        """Wait for so long; return False if it is closed meanwhile."""
        if self._closed:
            return False
        pause = self._pause = deferLater(self._tools.reactor, seconds)
        try:
            await pause
        except CancelledError:
            return False
        return True

    def _broken(self) -> None:
        """Stop using the index, and open it again in a while."""
        if self._closed or self._reopening is not None:
            return
        self._reopening = self._tools.reactor.callLater(REST, self._reopen)
        index, self._index, self._upkeep.index = self._index, None, None
        if index is not None:
            self._tools.threads.index(index.connection.close, None).addErrback(known_already)
        self._on_lost()

    def _reopen(self) -> None:
        self._reopening = None
        self.open()

    async def close(self) -> None:
        """Close the index, and give up the directory."""
        self._closed = True
        if self._pause is not None:
            self._pause.cancel()
        if self._reopening is not None and self._reopening.active():
            self._reopening.cancel()

        def job() -> None:
            if self._index is not None:
                self._index.connection.close()
            if self._lock >= 0:
                self._tools.folder.disk.close(self._lock)
            self._index, self._lock = None, -1

        await self._tools.threads.index(job).addErrback(known_already)


def _swept(index: Index) -> None:
    with index.changing():
        index.set_counter("swept", 1)
        index.chunks.forget_reserved()


def known_already(failure: Any) -> None:
    """Let a trouble be that has been logged."""
    failure.trap(CacheTrouble)
