"""What all workers of a daemon see: the memory of a `Board`, its lock, and a bell for each worker.

The parent creates it and passes the descriptors on. A lock is held for microseconds. One that
isn't free for `HELD` belongs to a process that was stopped, and is passed over: a count that is off
for a moment is better than a daemon that hangs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, lockf
from mmap import mmap
from typing import Any, Self

from twisted.internet.abstract import FileDescriptor

from aprp.core.sharing.board import ROW_BYTES, Board, Values, key_of

HELD = 0.5
"""Seconds."""
_STEP = 0.0002
_FIRST = 4
"""The first descriptor of those that a worker inherits; 3 is the connection to its parent."""
PARENT = -1
"""The number of the parent, which has no row."""


class Common:
    """The memory and the bells; `own` is the number of the process.

    As a context manager, it holds the lock.
    """

    def __init__(self, memory: int, bells: Sequence[int], own: int) -> None:
        self._memory = memory
        self._bells = bells
        self.number = own
        """The number of this worker, from 0."""
        self.workers = len(bells)
        """The number of workers."""
        self._stuck = False
        self._board = Board(memoryview(mmap(memory, 0)), own)

    @classmethod
    def create(cls, count: int) -> Self:
        """Return the parent's, for `count` workers."""
        memory = os.memfd_create("aprp workers")
        os.ftruncate(memory, count * ROW_BYTES)
        bells = [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(count)]
        return cls(memory, bells, PARENT)

    @classmethod
    def inherited(cls, number: int, count: int) -> Self:
        """Return that of worker `number`, which inherited the `descriptors` of its parent."""
        return cls(_FIRST, range(_FIRST + 1, _FIRST + 1 + count), number)

    @property
    def descriptors(self) -> dict[int, int]:
        """The descriptors that a worker inherits, by their number in the worker."""
        return dict(enumerate((self._memory, *self._bells), _FIRST))

    def __enter__(self) -> Self:
        if self._lock():
            self._stuck = False
            return self
        for _ in range(0 if self._stuck else int(HELD / _STEP)):
            time.sleep(_STEP)
            if self._lock():
                return self
        self._stuck = True
        return self

    def _lock(self) -> bool:
        try:
            lockf(self._memory, LOCK_EX | LOCK_NB)
        except OSError:
            return False
        return True

    def __exit__(self, *_: object) -> None:
        lockf(self._memory, LOCK_UN)

    def elsewhere(self, kind: str, name: str) -> Iterator[tuple[int, Values]]:
        """Give the numbers of the other workers that have noted something, and what."""
        return self._board.elsewhere(key_of(kind, name))

    def count(self, kind: str, name: str) -> int:
        """Return the sum of the first values of all other workers."""
        return sum(values[0] for _, values in self.elsewhere(kind, name))

    def note(self, kind: str, name: str, *values: int) -> None:
        """Note values of this worker; zeros forget them."""
        self._board.note(key_of(kind, name), *values)

    def ring(self, numbers: Iterable[int]) -> None:
        """Ring the bells of these workers."""
        for number in numbers:
            with suppress(BlockingIOError):
                os.eventfd_write(self._bells[number], 1)

    def answer(self, reactor: Any, rung: Callable[[], object]) -> None:
        """Call `rung` in the reactor when this worker's bell was rung."""
        reactor.addReader(Bell(reactor, self._bells[self.number], rung))

    def forget(self, number: int) -> None:
        """Free what a worker that is gone had, and tell all others."""
        with self:
            self._board.clear(number)
        self.ring(range(len(self._bells)))


class Bell(FileDescriptor):
    """Reads the bell of this worker."""

    def __init__(self, reactor: Any, descriptor: int, rung: Callable[[], object]) -> None:
        super().__init__(reactor)
        self._descriptor = descriptor
        self._rung = rung

    def fileno(self) -> int:
        return self._descriptor

    def doRead(self) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self._descriptor)
        self._rung()
