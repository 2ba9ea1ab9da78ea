"""Stored bytes on their way to a viewer by sendfile, on a clock."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aprp.cache import stored_bytes
from aprp.cache.cached_file import CachedFile, Shared
from aprp.cache.stored_bytes import STAYS, StoredBytes
from aprp.core.cache.meta import Meta
from aprp.core.cache.portions import FIRST
from aprp.core.http.fields import Fields
from aprp.upstream.splice.file_splice import FileOwner, FilePart
from tests.support.memory_store import MemoryFile, MemoryStore
from tests.support.replies import Pattern

MIB = 1 << 20
SIZE = 40 * MIB
FILM = Pattern(SIZE)


class _Splice:
    """Sends what it is told to, when it is told to."""

    def __init__(self, sink: _Sink, parts: Sequence[FilePart], owner: FileOwner) -> None:
        self.sink = sink
        self.owner = owner
        self.left = b"".join(os.pread(each.descriptor, each.size, each.offset) for each in parts)
        self.abandoned = False

    def begin(self) -> None:
        self.sink.splice = self

    def abandon(self) -> None:
        self.abandoned = True

    def send(self, count: int | None = None) -> int:
        """Send so many bytes, or all; return how many."""
        if not self.owner.still_in_memory():
            self.owner.file_sent(False)
            return 0
        piece = self.left if count is None else self.left[:count]
        self.left = self.left[len(piece) :]
        self.sink.got += piece
        self.owner.sent(len(piece))
        if not self.left:
            self.owner.file_sent(False)
        return len(piece)


class _Sink:
    """A client's plain connection."""

    def __init__(self) -> None:
        self.got = bytearray()
        self.splice: Any = None

    def outlet(self, n: int) -> _Sink:
        return self

    def passed(self, n: int) -> None:
        """Count nothing."""

    def pauseProducing(self) -> None:
        """Do nothing: the test sets the pace."""

    def resumeProducing(self) -> None:
        """Do nothing."""

    def write(self, data: bytes) -> None:
        raise AssertionError("it is copied")


class StoredBytesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(self.clock)
        meta = Meta(200, b"", Fields(), SIZE)
        self.file = CachedFile(meta, Shared(self.clock), lambda _: None)
        self.kept = MemoryFile(self.store, 1, meta)
        self.kept._write(0, FILM[0:SIZE])
        self.file.stored = self.kept
        self.sink = _Sink()
        self.taken = 0
        self.ended = False
        self.patch(stored_bytes, "file_to", _Splice)

    def begin(self, start: int = 0) -> StoredBytes:
        stored = StoredBytes(self.file, self.sink, self._took, self._done)
        stored.begin(start, SIZE)
        self.clock.advance(0.001)
        return stored

    def _took(self, count: int) -> None:
        self.taken += count

    def _done(self) -> None:
        self.ended = True

    @property
    def splice(self) -> _Splice:
        found = self.sink.splice
        assert found is not None
        return found  # type: ignore[no-any-return]

    @property
    def open(self) -> int:
        return sum(not each.released for each in self.kept.given)

    def test_the_next_bytes_are_there_when_a_fast_viewer_needs_them(self) -> None:
        self.begin()
        while not self.ended:
            self.clock.advance(0.002)  # as long as reading takes, and longer
            self.assertLessEqual(self.open, 2)
            self.splice.send()  # there is one: it never waits
        self.assertTrue(self.sink.got == FILM[0:SIZE])
        self.assertEqual(self.taken, SIZE)
        sizes = [each.stop - each.start for each in self.kept.given]
        self.assertEqual(sizes[0], FIRST)
        self.assertEqual(max(sizes), 16 * MIB)
        self.assertLess(len(sizes), 8)
        self.assertEqual(self.open, 0)

    def test_a_slow_viewer_has_few_bytes_open(self) -> None:
        self.begin()
        while not self.ended:
            before = self.splice
            self.clock.advance(0.5)
            before.send(MIB)
            self.clock.advance(0.001)
        self.assertTrue(self.sink.got == FILM[0:SIZE])
        sizes = [each.stop - each.start for each in self.kept.given]
        self.assertLessEqual(max(sizes[2:]), 4 * MIB)
        self.assertLess(len(sizes), 16)

    def test_bytes_that_may_have_left_memory_are_read_again(self) -> None:
        self.begin()
        self.clock.advance(0.001)
        self.assertEqual(self.open, 2)
        self.splice.send(10)
        self.clock.advance(STAYS)
        self.assertEqual(self.splice.send(), 0)
        self.assertEqual(self.open, 0)
        self.clock.advance(0.001)
        self.assertEqual(self.kept.given[-1].start, 10)
        while not self.ended:
            self.splice.send()
            self.clock.advance(0.001)
        self.assertTrue(self.sink.got == FILM[0:SIZE])

    def test_what_cannot_be_read_early_is_tried_again_when_it_is_needed(self) -> None:
        calls = []

        def fails(call: str) -> bool:
            calls.append(call)
            return len(calls) == 2

        self.store.fails = fails
        self.begin()
        self.clock.advance(0.001)
        self.kept.present.add(0, SIZE)  # it failed for another reason
        self.assertFalse(self.ended)
        self.assertFalse(self.file.troubled)
        while not self.ended:
            self.splice.send()
            self.clock.advance(0.001)
        self.assertTrue(self.sink.got == FILM[0:SIZE])

    def test_a_hole_ahead_is_met_when_the_bytes_before_it_are_sent(self) -> None:
        self.store.fails = lambda call: bool(self.kept.given)
        self.begin()
        self.clock.advance(0.001)
        self.assertFalse(self.ended)
        self.splice.send()
        self.clock.advance(0.001)
        self.assertTrue(self.ended)
        self.assertEqual(len(self.sink.got), FIRST)
        self.assertFalse(self.file.troubled)

    def test_a_viewer_who_leaves_keeps_nothing_open(self) -> None:
        for wait in (0.0005, 0.001, 0.002):
            stored = self.begin()
            self.clock.advance(wait)
            stored.abandon()
            self.clock.advance(0.002)
            self.assertEqual(self.open, 0)
        self.assertFalse(self.ended)
