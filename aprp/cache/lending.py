"""What this process fetches of a file, as the other processes see it, and what it gives them.

It lends what is in memory or stored, and what its own fetches bring soon. What it borrows itself
isn't lent while it comes, so that no two processes wait for each other. If two ask each other for
the same bytes at the same time, the one that comes first fetches them, and lends them to the other.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from aprp.cache.cached_file import CachedFile
from aprp.cache.fetch import SharedFetch
from aprp.cache.origin import Origin
from aprp.cache.peers import YES
from aprp.cache.reader import Reader
from aprp.core.cache.extents import BLOCK
from aprp.core.http.ranges import Range
from aprp.upstream.errors import SourceError


class NothingToLend(SourceError):
    """Raised where the bytes end that can be lent."""


class _Borrower:
    """The request of another process: it owns no fetch."""

    def origin(self) -> Origin:
        raise NothingToLend("", "isn't there")

    def read(self, at: int, count: int) -> None:
        """Count nothing: the other process does."""


class Lender(Reader):
    """A reader that begins no fetch, and follows none that is borrowed."""

    def _follow(self, fetch: SharedFetch) -> None:
        if fetch.borrowed:
            raise NothingToLend("", "is borrowed")
        super()._follow(fetch)


def lend(file: CachedFile, wanted: Range, sink: Any, first: bool = False) -> Deferred[None] | None:
    """Write a range to `sink` as far as it can be lent; None, and its first byte can't be.

    A fetch that would have come to that byte ends there: the other process fetches it now. `first`:
    this process comes before the other one.
    """
    fetch, _ = file.bytes_at(wanted.start)
    if fetch is not None and _is_torn(fetch, file, wanted.start):
        fetch = None
    if fetch is None and file.stored_to(wanted.start) is None:
        fetch = file.fetch_for(wanted.start)
        if fetch is None:
            file.end_fetches_at(wanted.start)
            return None
    if fetch is not None and fetch.borrowed:
        if fetch.asks and first:
            return Deferred.fromCoroutine(_lend_if_fetched(fetch, file, wanted, sink))
        if fetch.asks and fetch.position < wanted.start:
            fetch.limit(wanted.start)
        return None
    return _lend(file, wanted, sink)


async def _lend_if_fetched(fetch: SharedFetch, file: CachedFile, wanted: Range, sink: Any) -> None:
    """Lend what this process is about to fetch, unless another process has it."""
    await fetch.asked()
    if not fetch.borrowed and not fetch.ended:
        await _lend(file, wanted, sink)


def _lend(file: CachedFile, wanted: Range, sink: Any) -> Deferred[None]:
    sink.write(YES)
    return Lender(file, wanted, sink, _Borrower()).begin().addErrback(_ended)


def _is_torn(fetch: SharedFetch, file: CachedFile, at: int) -> bool:
    """Return whether a fetch broke off within the block at `at`.

    That part would bring the other process no further: what it asks for begins with a block.
    """
    return fetch.ended and fetch.position < min(at + BLOCK, file.complete)


def _ended(failure: Any) -> None:
    failure.trap(SourceError)
