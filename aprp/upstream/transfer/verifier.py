"""Verifies the pieces of a transfer while they wait in the store.

A piece is hashed in a thread once it is whole, several at a time if more became whole meanwhile;
one such job runs for each transfer. `aprp.core.recovery.pieces` decides what follows from a wrong
one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from aprp.core.reasons import Reason
from aprp.core.recovery.pieces import PieceLedger, Ruling, Whole, blame_for, differing
from aprp.core.scheduling import messages as m
from aprp.upstream.transfer.fetched_range import FetchedRange
from aprp.upstream.transfer.hashing import digests
from aprp.upstream.transfer.store import Store


class Verifier:
    """The verification of the pieces of one range.

    `feed` takes events for the scheduler, `blame` is called with each source that lied and why,
    `failed` with an error of the proxy itself.
    """

    def __init__(
        self,
        fetched: FetchedRange,
        store: Store,
        feed: Callable[[m.Event], None],
        blame: Callable[[str, Reason], None],
        failed: Callable[[Failure], None],
    ) -> None:
        assert fetched.pieces is not None and fetched.facts is not None
        self._pieces = fetched.pieces
        self._store = store
        self._feed = feed
        self._blame = blame
        self._failed = failed
        self._ledger = PieceLedger(fetched.pieces, fetched.facts.complete, fetched.start)
        self._waiting: list[Whole] = []
        self._job: Deferred[Any] | None = None
        self._wrong_copy = b""
        self._closed = False

    @property
    def held(self) -> int:
        """The number of bytes that it keeps besides those in the store."""
        return len(self._wrong_copy)

    def kept(self, source: str, start: int, stop: int) -> None:
        """Note bytes of a source that were written to the store."""
        self._waiting += self._ledger.kept(source, start, stop)
        self._hash()

    def forgot(self, start: int, stop: int) -> None:
        """Note bytes that were dropped from the store."""
        self._ledger.forgot(start, stop)

    def close(self) -> None:
        """Stop; a running job's result is ignored."""
        self._closed = True
        self._waiting.clear()
        self._wrong_copy = b""

    def _hash(self) -> None:
        """Hash all pieces that are whole, unless a job runs already."""
        if self._job is not None or self._closed:
            return
        pieces = [each for each in self._waiting if self._ledger.is_current(each)]
        self._waiting.clear()
        if pieces:
            chunks = [self._store.read(each.held.start, each.held.stop) for each in pieces]
            self._job = digests(self._pieces, chunks)
            self._job.addCallback(self._hashed, pieces).addErrback(self._failed)

    def _hashed(self, found: list[str], pieces: list[Whole]) -> None:
        self._job = None
        for whole, digest in zip(pieces, found, strict=True):
            if self._closed:
                return
            if not self._ledger.is_current(whole):
                continue
            if digest == self._pieces.digests[whole.number]:
                self._right(whole)
            else:
                self._wrong(whole)
        if not self._closed:
            self._hash()

    def _right(self, whole: Whole) -> None:
        before, decides = self._ledger.verified_to, self._ledger.case == whole.number
        self._ledger.right(whole)
        if decides:
            self._compare(whole)
        if self._ledger.verified_to > before:
            self._feed(m.Verified(self._ledger.verified_to))

    def _wrong(self, whole: Whole) -> None:
        ruling = self._ledger.wrong(whole)
        if ruling.keep_copy:
            self._wrong_copy = self._copy(whole)
            self._feed(m.OneByOne(True))
        self._apply(ruling, whole)

    def _compare(self, whole: Whole) -> None:
        """Find who sent wrong bytes of a piece, now that there is a right copy."""
        accused, wrong = self._ledger.accused, self._wrong_copy
        liars = differing(accused, whole.held.start, wrong, self._copy(whole))
        self._apply(self._ledger.compared(liars), whole)

    def _apply(self, ruling: Ruling, whole: Whole) -> None:
        why = blame_for(whole)
        for liar in ruling.liars:
            self._blame(liar, why)
            self._feed(m.Banned(liar, why))
        for lost in ruling.lost:
            self._feed(m.Lost(lost.start, lost.stop))
        if self._ledger.case is None and self._wrong_copy:
            self._wrong_copy = b""
            self._feed(m.OneByOne(False))

    def _copy(self, whole: Whole) -> bytes:
        return b"".join(self._store.read(whole.held.start, whole.held.stop))
