"""The index of a store while it is open: opened at the start, and again a while after it failed."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from aprp.cache.store.folder import NotReady
from aprp.cache.store.index import Index
from aprp.cache.store.store import CacheTrouble
from aprp.cache.store.threads import ANSWER, REST
from aprp.cache.store.tools import Tools
from aprp.cache.store.upkeep import SOON, Upkeep

T = TypeVar("T")


class Opening:
    """Opens the index. The process that is `keeper` locks the directory and puts it right.

    `on_opened` is called when it has opened, `on_lost` when it can't be used any more.
    """

    _log = Logger()

    def __init__(
        self,
        tools: Tools,
        upkeep: Upkeep,
        draw: random.Random,
        keeper: bool,
        on_opened: Callable[[], object],
        on_lost: Callable[[], object],
    ) -> None:
        self.keeper = keeper
        self._tools = tools
        self._upkeep = upkeep
        self._draw = draw
        self._on_opened = on_opened
        self._on_lost = on_lost
        self._index: Index | None = None
        self._lock = -1
        self._closed = False
        self._reopening: Any = None
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
                raise CacheTrouble("the index is not open")
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
            self._index = folder.recover(self._draw, said.append)
        else:
            self._index = folder.open_index(self._draw)
        self._upkeep.index = self._index
        return said

    def _opened(self, said: list[str]) -> None:
        self._reopening = None
        self._upkeep.start_over()
        for each in said:
            self._log.warn("cache: {said}", said=each)
        if self.keeper and not self._closed:
            Deferred.fromCoroutine(self._sweep()).addErrback(known_already)
        self._upkeep.now()
        self._on_opened()

    def _refused(self, failure: Any) -> None:
        if failure.check(NotReady):
            self._reopening = self._tools.reactor.callLater(SOON, self._reopen)
            return
        failure.trap(CacheTrouble)
        self._tools.threads.say(f"{failure.value}; until then nothing is cached")
        self._broken()

    async def _sweep(self) -> None:
        """Delete the data files that the index doesn't have, then allow writing."""
        removed = 0
        for low in range(256):
            removed += await self.run(functools.partial(self._tools.folder.sweep, low), None)
        await self.run(lambda index: index.set_counter("swept", 1))
        if removed:
            self._log.info("cache: {n} data files without an entry were deleted", n=removed)
        self._upkeep.now()

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
        if self._reopening is not None and self._reopening.active():
            self._reopening.cancel()

        def job() -> None:
            if self._index is not None:
                self._index.connection.close()
            if self._lock >= 0:
                self._tools.folder.disk.close(self._lock)
            self._index, self._lock = None, -1

        await self._tools.threads.index(job).addErrback(known_already)


def known_already(failure: Any) -> None:
    """Let a trouble be that has been logged."""
    failure.trap(CacheTrouble)
