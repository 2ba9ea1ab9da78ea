"""One version of a file as the requests of this process share it: what is stored, and what is
being fetched.

It works without its stored file too: before that is created, and after the store failed. Readers
then share the running fetches alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from twisted.python.failure import Failure

from aprp.cache.announced import Announced
from aprp.cache.backlog import Backlog
from aprp.cache.borrowing import BorrowingOrigin
from aprp.cache.fetch import SharedFetch
from aprp.cache.hot import Hot
from aprp.cache.origin import Origin
from aprp.cache.peers import Peers
from aprp.cache.store.store import StoredFile
from aprp.core.cache.holes import hole_at, joins
from aprp.core.cache.meta import Meta
from aprp.core.http.ranges import Range
from aprp.upstream.transfer.memory import MemoryBudget

MOST_FAILURES = 3
"""Failed reads of one file after which its stored bytes aren't used any more."""


class Shared:
    """What all files of a process share: the clock, memory, and the other processes, if any."""

    def __init__(
        self, clock: Any, peers: Peers | None = None, budget: MemoryBudget | None = None
    ) -> None:
        self.clock = clock
        self.peers = peers
        self.budget = budget or MemoryBudget(clock, sys.maxsize)
        self.backlog = Backlog(clock)
        self.hot = Hot()


class CachedFile:
    """A version of a file, which `meta` describes; its complete length is known.

    `changed` is called when it comes to be used, and when nobody reads it any more and nothing of
    it is fetched or being stored.
    """

    def __init__(self, meta: Meta, shared: Shared, changed: Callable[[CachedFile], None]) -> None:
        assert meta.complete is not None
        self._meta = meta
        self.derived: Any = None
        """What a route makes of `meta`; None when that has changed."""
        self.doubted = False
        """Whether it has to be revalidated, since its origin seems to have another version."""
        self.complete: int = meta.complete
        self.stored: StoredFile | None = None
        self.troubled = False
        """Whether the store failed: what is stored isn't used any more."""
        self.fetches: list[SharedFetch] = []
        """Those that are under way."""
        self.hot = shared.hot
        self.clock = shared.clock
        self.number: int | None = None
        """Its number in the store, once it has one."""
        self._users = 0
        self._failures = 0
        self._shared = shared
        self._changed = changed
        self._announced = Announced(shared.peers, shared.clock)
        self._settling: list[SharedFetch] = []

    @property
    def meta(self) -> Meta:
        """What is stored beside the bytes."""
        return self._meta

    @meta.setter
    def meta(self, meta: Meta) -> None:
        self._meta, self.derived, self.doubted = meta, None, False

    @property
    def in_use(self) -> bool:
        """Whether somebody reads it, or bytes of it are fetched or stored."""
        return bool(self._users or self.fetches or self._settling)

    def use(self) -> None:
        """Keep it open until `leave` is called."""
        unused = not self.in_use
        self._users += 1
        if unused:
            self._changed(self)

    def leave(self) -> None:
        """Undo one `use`."""
        self._users -= 1
        self._look()

    def open(self, stored: StoredFile) -> None:
        """Keep the bytes in that file from now on."""
        self.stored = stored
        for fetch in (*self.fetches, *self._settling):
            if not fetch.borrowed:
                fetch.keep_in(stored)

    def announce(self, number: int) -> None:
        """Take note of the file's number, by which the other processes know it."""
        self.number = number
        self._announced.open(number, self._firsthand())

    def trouble(self, failure: Failure | None = None) -> None:
        """Use the stored file no more: it failed."""
        self.troubled = True
        for fetch in (*self.fetches, *self._settling):
            fetch.keep_nothing()

    def read_failed(self, at: int, failure: Failure) -> None:
        """Take note that stored bytes couldn't be read: they are a hole now, if all is well."""
        self._failures += 1
        if self._failures >= MOST_FAILURES or self.stored_to(at) is not None:
            self.trouble(failure)

    def stored_to(self, at: int) -> int | None:
        """Return where the stored bytes end that include `at`, or None if it isn't stored."""
        if self.stored is None or self.troubled:
            return None
        return self.stored.present.run_at(at)

    def bytes_at(self, at: int) -> tuple[SharedFetch | None, bytes]:
        """Return bytes from `at` on that are in memory, and the fetch that brought them."""
        for fetch in (*self.fetches, *self._settling):
            if found := fetch.bytes_at(at):
                return fetch, found
        return None, b""

    def has(self, wanted: Range) -> bool:
        """Return whether all of a range is stored or in memory."""
        at = wanted.start
        while at < wanted.stop:
            stop = self.stored_to(at)
            if stop is None:
                fetch, _ = self.bytes_at(at)
                if fetch is None:
                    return False
                stop = fetch.position
            at = stop
        return True

    def fetch_for(self, at: int) -> SharedFetch | None:
        """Return the running fetch that will bring the byte `at` soon, if there is one."""
        near = [each for each in self.fetches if joins(at, each.state())]
        return max(near, key=lambda each: each.position, default=None)

    def is_coming(self, at: int) -> bool:
        """Return whether a byte is there, or a fetch brings it soon; of another process, maybe."""
        return (
            self.stored_to(at) is not None
            or self.bytes_at(at)[0] is not None
            or self.fetch_for(at) is not None
            or bool(self._announced.may_have(at))
        )

    def hole(self, wanted: Range) -> Range:
        """Return the range to fetch for a reader of `wanted`, whose first byte is missing."""
        following = None
        if self.stored is not None and not self.troubled:
            following = self.stored.present.next_after(wanted.start)
        positions = [each.position for each in self.fetches]
        return hole_at(wanted, self.complete, following, positions)

    def fetch(self, wanted: Range, origin: Origin, owner: object = None) -> SharedFetch:
        """Begin to fetch a range, which begins at an edge; others that lead to it end there.

        `owner` is who began it.
        """
        unused = not self.in_use
        self.end_fetches_at(wanted.start)
        lenders = self._announced.claim(wanted, self._firsthand())
        if lenders:
            assert self._shared.peers is not None and self.number is not None
            origin = BorrowingOrigin(
                self._shared.peers,
                lenders,
                self.number,
                origin,
                self._shared.clock,
                lambda borrowed: self._decided(fetch, borrowed),
                lambda: fetch.limit(fetch.position),
            )
        fetch = SharedFetch(
            origin,
            wanted,
            self.complete,
            self._shared.clock,
            self._shared.backlog,
            self._shared.budget,
            self._ended,
            self._settled,
            self.trouble,
            owner,
        )
        fetch.borrowed = fetch.asks = bool(lenders)
        self.fetches.append(fetch)
        if unused:
            self._changed(self)
        if not lenders:
            self._keep(fetch)
        fetch.begin()
        return fetch

    def end_fetches_at(self, at: int) -> None:
        """End the fetches at `at` that lead there: from there on, the bytes come in another way."""
        for each in tuple(self.fetches):
            if each.position <= at < each.stop:
                each.limit(at)

    def _decided(self, fetch: SharedFetch, borrowed: bool) -> None:
        """Keep what is fetched from the sources; what is borrowed, its lender keeps."""
        if borrowed:
            fetch.keep_nothing()
            fetch.decided(True)
        else:
            fetch.decided(False)
            self._announced.look(self._firsthand())
            self._keep(fetch)

    def _keep(self, fetch: SharedFetch) -> None:
        if self.troubled:
            fetch.keep_nothing()
        elif self.stored is not None:
            fetch.keep_in(self.stored)

    def _firsthand(self) -> list[Range]:
        """Return what is fetched from the sources."""
        return [Range(each.start, each.stop) for each in self.fetches if not each.borrowed]

    def close(self) -> None:
        """Take note that it isn't found any more, and nobody uses it."""
        self._announced.close()

    def stop(self) -> None:
        """End all fetches."""
        for fetch in tuple(self.fetches):
            fetch.abandon()

    def _ended(self, fetch: SharedFetch) -> None:
        self.fetches.remove(fetch)
        self._settling.append(fetch)
        self._announced.look(self._firsthand())

    def _settled(self, fetch: SharedFetch) -> None:
        if fetch in self._settling:
            self._settling.remove(fetch)
            self._look()

    def _look(self) -> None:
        if not self.in_use:
            self._changed(self)
