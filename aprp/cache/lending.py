"""What this process fetches of a file, as the other processes see it, and what it gives them.

It lends what is in memory or stored, and what its own fetches bring soon. What it borrows itself
isn't lent while it comes, so that no two processes wait for each other.
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


def lend(file: CachedFile, wanted: Range, sink: Any) -> Deferred[None] | None:
    """Write a range to `sink` as far as it can be lent; None, and its first byte can't be.

    A fetch that would have come to that byte ends there: the other process fetches it now.
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
        return None
    sink.write(YES)
    return Lender(file, wanted, sink, _Borrower()).begin().addErrback(_ended)


def _is_torn(fetch: SharedFetch, file: CachedFile, at: int) -> bool:
    """Return whether a fetch broke off within the block at `at`.

    That part would bring the other process no further: what it asks for begins with a block.
    """
    return fetch.ended and fetch.position < min(at + BLOCK, file.complete)


def _ended(failure: Any) -> None:
    failure.trap(SourceError)
