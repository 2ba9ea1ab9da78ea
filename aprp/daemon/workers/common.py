"""What all workers of a daemon see: the memory of a `Board` and of `Epochs`, its lock, bells and
boxes.

Each worker has a bell, which says that something has changed, and a box, which takes short messages
with a descriptor.

The parent creates it and passes the descriptors on. A lock is held for microseconds. One that
isn't free for `HELD` belongs to a process that was stopped, and is passed over: a count that is off
for a moment is better than a daemon that hangs.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, lockf
from mmap import mmap
from typing import Any, Self

from twisted.internet.abstract import FileDescriptor

from aprp.core.sharing.board import ROW_BYTES, Board, Values, key_of
from aprp.core.sharing.epochs import EPOCH_BYTES, Epochs

HELD = 0.5
"""Seconds."""
_STEP = 0.0002
_FIRST = 4
"""The first descriptor of those that a worker inherits; 3 is the connection to its parent."""
PARENT = -1
"""The number of the parent, which has no row."""
MOST_MESSAGE = 4096
"""Bytes of a message."""

Box = tuple[int, int]
"""The descriptors from which its owner reads, and to which the others write."""


class Common:
    """The memory, the bells and the boxes; `own` is the number of the process.

    As a context manager, it holds the lock.
    """

    def __init__(
        self, memory: int, bells: Sequence[int], own: int, boxes: Sequence[Box] = ()
    ) -> None:
        self._memory = memory
        self._bells = bells
        self._boxes = boxes
        self._heard: list[Callable[[], object]] = []
        self.number = own
        """The number of this worker, from 0."""
        self.workers = len(bells)
        """The number of workers."""
        self._stuck = False
        view, rows = memoryview(mmap(memory, 0)), len(bells) * ROW_BYTES
        self._board = Board(view[:rows], own)
        self._epochs = Epochs(view[rows:])

    @classmethod
    def create(cls, count: int) -> Self:
        """Return the parent's, for `count` workers."""
        memory = os.memfd_create("aprp workers")
        os.ftruncate(memory, count * ROW_BYTES + EPOCH_BYTES)
        bells = [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(count)]
        return cls(memory, bells, PARENT, [_new_box() for _ in range(count)])

    @classmethod
    def inherited(cls, number: int, count: int) -> Self:
        """Return that of worker `number`, which inherited the `descriptors` of its parent."""
        bells = range(_FIRST + 1, _FIRST + 1 + count)
        ends = range(bells.stop, bells.stop + 2 * count)
        return cls(_FIRST, bells, number, list(zip(ends[::2], ends[1::2], strict=True)))

    @property
    def descriptors(self) -> dict[int, int]:
        """The descriptors that a worker inherits, by their number in the worker."""
        ends = (end for box in self._boxes for end in box)
        return dict(enumerate((self._memory, *self._bells, *ends), _FIRST))

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

    def epoch(self, key: bytes) -> int:
        """Return the number of the epoch of a key. Needs no lock."""
        return self._epochs.of(key)

    def end_epoch(self, key: bytes) -> None:
        """End the epoch of a key."""
        self._epochs.end(key)

    def ring(self, numbers: Iterable[int]) -> None:
        """Ring the bells of these workers."""
        for number in numbers:
            with suppress(BlockingIOError):
                os.eventfd_write(self._bells[number], 1)

    def answer(self, reactor: Any, rung: Callable[[], object]) -> None:
        """Call `rung`, too, in the reactor when this worker's bell was rung."""
        if not self._heard:
            reactor.addReader(Bell(reactor, self._bells[self.number], self._rung))
        self._heard.append(rung)

    def _rung(self) -> None:
        for rung in self._heard:
            rung()

    def post(self, number: int, message: bytes, descriptor: int) -> bool:
        """Put a message and a copy of a descriptor into a worker's box; False: it doesn't fit."""
        with socket.socket(fileno=os.dup(self._boxes[number][1])) as box:
            try:
                socket.send_fds(box, [message], [descriptor])
            except OSError:
                return False
        return True

    def receive(self, reactor: Any, received: Callable[[bytes, int], object]) -> None:
        """Call `received` in the reactor with each message to this worker, and its descriptor.

        The descriptor has to be closed.
        """
        reactor.addReader(Mail(reactor, self._boxes[self.number][0], received))

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


class Mail(FileDescriptor):
    """Reads the box of this worker."""

    def __init__(
        self, reactor: Any, descriptor: int, received: Callable[[bytes, int], object]
    ) -> None:
        super().__init__(reactor)
        self._box = socket.socket(fileno=os.dup(descriptor))
        self._received = received

    def fileno(self) -> int:
        return self._box.fileno()

    def doRead(self) -> None:
        try:
            message, descriptors, _, _ = socket.recv_fds(self._box, MOST_MESSAGE, 1)
        except OSError:  # there is none, or no descriptor is free
            return
        for descriptor in descriptors:
            self._received(message, descriptor)


def _new_box() -> Box:
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    return ends[0].detach(), ends[1].detach()
