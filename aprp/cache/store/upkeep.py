"""Brings the index up to date with what was written and used, and makes room.

A process may write only what it has reserved in the index. So all processes together never have
more on disk than `size`, whatever becomes of one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from aprp.cache.store.chunk_rows import Written
from aprp.cache.store.index import Index
from aprp.cache.store.room import MOST_EVICTED, make_room
from aprp.cache.store.store import CacheTrouble
from aprp.cache.store.tools import Tools
from aprp.core.cache.eviction import Queue
from aprp.core.cache.layout import Blocks
from aprp.core.values import dataclass

MIB = 1024 * 1024
SOON = 0.5
"""Seconds until what was written or used is in the index."""
TOUCH_AGAIN = 60.0
"""Seconds within which uses of one chunk count as one: a viewer reads it piece by piece."""
FULL_FOR = 5.0
"""Seconds to keep nothing, if no room could be made."""
_DIRTY = 64
_WAL = 2 * MIB
_MOST_TOUCHED = 100_000

Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Done:
    swept: bool
    granted: int
    evicted: list[Place]
    missing: list[Place]
    gone: list[Written]
    used: int
    pinned: int


class Upkeep:
    """What the index has to be told, and what this process may still write."""

    def __init__(self, tools: Tools, size: int, process: int) -> None:
        self._folder = tools.folder
        self._threads = tools.threads
        self._reactor = tools.reactor
        self._figures = tools.figures
        self.size = size
        self._process = process
        self._room = 0
        self._unindexed = 0  # reserved for what is being written, or not in the index yet
        self._spent = 0  # the part of it that is written
        self._needed = 0  # by what waits
        self._dirty: dict[Place, Written] = {}
        self._used: set[Place] = set()
        self._touched: dict[Place, float] = {}
        self._timer: Any = None
        self._running = False
        self._again = False
        self._full_until = 0.0
        self._closed = False
        self._waiting: list[Deferred[None]] = []
        self.index: Index | None = None
        """None: it isn't open."""
        self.on_room: Callable[[], object] = lambda: None
        """Called when there may be room for what waits."""
        self.on_evicted: Callable[[Sequence[Place]], object] = lambda places: None
        """Called with chunks that made room."""
        self.on_missing: Callable[[Sequence[Place]], object] = lambda places: None
        """Called with chunks of files that another process has deleted."""
        self.on_gone: Callable[[Sequence[Written]], object] = lambda written: None
        """Called with what was written to data files that made room at the same time."""

    @property
    def full(self) -> bool:
        """Whether no room could be made a moment ago."""
        return bool(self._closed or 0 < self._full_until - self._reactor.seconds() <= FULL_FOR)

    @property
    def _at_once(self) -> int:
        """How much to reserve at a time."""
        return max(MIB, min(64 * MIB, self.size // 16))

    def spend(self, cost: int) -> bool:
        """Use some of what is reserved; if it isn't enough, more is reserved."""
        if cost > self._room:
            self._needed = cost
            self._run()
            return False
        self._room -= cost
        self._unindexed += cost
        if self._room < self._at_once // 2:
            self._run()
        return True

    def written(self, written: Written) -> None:
        """Have the index learn of blocks."""
        place = (written.file, written.chunk)
        had = None if written.anew else self._dirty.get(place)
        if had is not None:
            had.blocks.merge(written.blocks)
        blocks = Blocks(bytes(written.blocks)) if had is None else had.blocks
        anew = written.anew if had is None else had.anew
        self._dirty[place] = Written(*place, blocks, written.allocated, anew)
        if len(self._dirty) >= _DIRTY:
            self._run()
        self._soon()

    def spent(self, cost: int) -> None:
        """What was to be written at this cost is on disk, or never will be."""
        self._spent += cost
        self._soon()

    def touch(self, file: int, chunk: int) -> None:
        """Count a use, unless there was one a moment ago."""
        now = self._reactor.seconds()
        if not 0 <= now - self._touched.get((file, chunk), -TOUCH_AGAIN) < TOUCH_AGAIN:
            if len(self._touched) >= _MOST_TOUCHED:
                self._touched.clear()
            self._touched[file, chunk] = now
            self._used.add((file, chunk))
            self._soon()

    def lose(self, place: Place, blocks: Sequence[int]) -> int:
        """Don't tell the index of lost blocks; return how many of them it hasn't heard of yet."""
        dirty = self._dirty.get(place)
        if dirty is None:
            return 0
        had = dirty.blocks.bits.bit_count()
        for block in blocks:
            dirty.blocks.discard(block)
        return had - dirty.blocks.bits.bit_count()

    def evicted(self, place: Place) -> Blocks | None:
        """Take note that a chunk made room; return what was written to a new data file since."""
        self._used.discard(place)
        self._touched.pop(place, None)
        dirty = self._dirty.get(place)
        return dirty.blocks if dirty is not None and dirty.anew else None

    def is_dirty(self, file: int, chunk: int) -> bool:
        """Return whether the index has still to learn of blocks of a chunk."""
        return (file, chunk) in self._dirty or self._running

    def forget(self, places: Sequence[Place]) -> None:
        """Don't tell the index of chunks that are deleted."""
        for place in places:
            self._dirty.pop(place, None)
            self._used.discard(place)
            self._touched.pop(place, None)

    def now(self) -> Deferred[None]:
        """Bring the index up to date at once; fires also if that failed."""
        done: Deferred[None] = Deferred()
        self._waiting.append(done)
        self._run()
        return done

    def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def start_over(self) -> None:
        """Forget everything: the index is another one, and empty."""
        self._dirty.clear()
        self._used.clear()
        self._touched.clear()
        self._unindexed -= self._spent
        self._room = self._spent = 0
        self._full_until = 0.0

    def _soon(self) -> None:
        if self._timer is None and not self._closed:
            self._timer = self._reactor.callLater(SOON, self._due)

    def _due(self) -> None:
        self._timer = None
        self._run()

    def _run(self) -> None:
        if self._running or self._closed:
            self._again = self._running
            return
        self._running = True
        dirty, self._dirty = list(self._dirty.values()), {}
        used, self._used = self._used, set()
        spent, self._spent = self._spent, 0
        outstanding = self._room + self._unindexed - spent
        wanted = max(0, max(self._at_once, self._needed) - self._room)
        needed, self._needed = self._needed, 0
        done = self._threads.index(lambda: self._change(dirty, used, outstanding, wanted), None)
        done.addCallbacks(
            self._changed,
            self._not_changed,
            callbackArgs=(spent, wanted, needed),
            errbackArgs=(dirty, used, spent),
        )

    def _change(
        self, dirty: Sequence[Written], used: set[Place], outstanding: int, wanted: int
    ) -> _Done:
        """Change the index, in its thread."""
        index = self.index
        if index is None:
            raise CacheTrouble("the index is not open")
        size = self._folder.index_size() + _WAL
        with index.changing():
            missing, gone = [], []
            for each in dirty:
                if self._is_gone(index, each):
                    gone.append(each)
                elif not index.chunks.keep(each):
                    missing.append((each.file, each.chunk))
            for file, chunk in used:
                index.chunks.used(file, chunk)
            swept = bool(index.counter("swept"))
            granted, evicted = make_room(
                index.chunks,
                self._process,
                outstanding,
                wanted if swept else 0,
                max(0, self.size - size),
            )
            # within the transaction, so that nobody takes what is written to one of these for kept
            self._folder.unlink(evicted)
            held = index.chunks.bytes_in()
        return _Done(
            swept, granted, evicted, missing, gone, sum(held.values()) + size - _WAL,
            held[Queue.PINNED],
        )  # fmt: skip

    def _is_gone(self, index: Index, written: Written) -> bool:
        """Return whether the data file has made room since it was written to."""
        place = written.file, written.chunk
        return not index.chunks.has(*place) and not self._folder.has_data(*place)

    def _changed(self, done: _Done, spent: int, wanted: int, needed: int) -> None:
        self._unindexed -= spent
        self._room += done.granted
        self._figures.used = done.used
        self._figures.pinned = done.pinned
        self._figures.evicted += len(done.evicted)
        if done.evicted:
            self.on_evicted(done.evicted)
        if done.missing:
            self.on_missing(done.missing)
        if done.gone:
            self.on_gone(done.gone)
        if not done.swept:
            self._soon()
        elif len(done.evicted) == MOST_EVICTED:
            self._again = True
        elif done.granted < wanted and self._room < max(needed, self._at_once // 4):
            self._full_until = self._reactor.seconds() + FULL_FOR
        self._ended()
        if done.swept:
            self.on_room()

    def _not_changed(
        self, failure: Failure, dirty: Sequence[Written], used: set[Place], spent: int
    ) -> None:
        failure.trap(CacheTrouble)
        later, self._dirty = self._dirty, {(each.file, each.chunk): each for each in dirty}
        for each in later.values():
            self.written(each)
        self._used |= used
        self._spent += spent
        self._full_until = self._reactor.seconds() + FULL_FOR
        self._ended()
        self.on_room()

    def _ended(self) -> None:
        self._running = False
        if self._again:
            self._again = False
            self._run()
            return
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)
