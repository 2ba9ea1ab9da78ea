"""Bytes in a pipe: a piece of a body that the kernel holds, in place of bytes that Python holds.

A piece belongs to whoever has a reference to it. Its pipe goes back when the bytes have been
moved on or read, or with the last reference, so that a piece that is dropped leaves nothing behind.
"""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from enum import Enum, auto
from typing import Protocol, cast

from aprp.upstream.splice.pipes import WANTED, Pipe, Pipes

_FLAGS = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK

WORTH_KEEPING = 131072
"""Bytes that are worth a pipe of their own while they wait."""


class Use(Enum):
    """What becomes of the next bytes of a body."""

    COPY = auto()
    """They have to be read."""
    PASS = auto()
    """They are sent at once, so they may be moved through a pipe."""
    KEEP = auto()
    """They wait for bytes before them, and may wait in a pipe."""


class Piped:
    """A piece of a body in a pipe of its own. Its length is what is left of it."""

    __slots__ = ("_data", "_left", "_pipe", "_pipes")

    def __init__(self, pipe: Pipe, count: int, pipes: Pipes) -> None:
        self._pipe: Pipe | None = pipe
        self._left = count
        self._pipes = pipes
        self._data = b""

    def __len__(self) -> int:
        return self._left

    def __del__(self) -> None:
        self._release()

    def read(self) -> bytes:
        """Return the bytes, copied out of the pipe."""
        if self._pipe is not None:
            self._data = os.read(self._pipe.out, self._left)
            assert len(self._data) == self._left
            self._release(empty=True)
        return self._data

    def move_to(self, descriptor: int) -> None:
        """Move all of it to a socket; raise BlockingIOError when that takes no more now."""
        while self._left:
            assert self._pipe is not None
            self._left -= os.splice(self._pipe.out, descriptor, self._left, flags=_FLAGS)
        self._release(empty=True)

    def _release(self, empty: bool = False) -> None:
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            self._pipes.give_back(pipe, empty)


Piece = bytes | Piped
"""A piece of a body."""


class PipeSink(Protocol):
    """A consumer that takes pieces in pipes, too."""

    def piped_use(self, n: int) -> Use:
        """Return what becomes of the next bytes, at most `n`."""
        ...

    def write(self, data: Piece) -> None: ...


def pipe_sink(consumer: object) -> PipeSink | None:
    """Return the consumer if it takes pieces in pipes."""
    return cast(PipeSink, consumer) if hasattr(consumer, "piped_use") else None


def as_bytes(piece: Piece) -> bytes:
    """Return the bytes of a piece."""
    return piece.read() if isinstance(piece, Piped) else piece


def receive(descriptor: int, most: int, use: Use, pipes: Pipes) -> Piped | None:
    """Move what a socket has received into a pipe, at most `most` bytes.

    The piece is empty at the end of the stream. None: there is no pipe, or so few bytes aren't
    worth keeping in one. Raises OSError, BlockingIOError among them.
    """
    if use is Use.KEEP and _waiting(descriptor) < min(most, WORTH_KEEPING):
        return None
    pipe = pipes.take(waiting=use is Use.KEEP)
    if pipe is None:
        return None
    count = 0
    try:
        count = os.splice(descriptor, pipe.into, min(most, WANTED), flags=_FLAGS)
    finally:
        piece = Piped(pipe, count, pipes)
        if not count:
            piece.read()
    return piece


def _waiting(descriptor: int) -> int:
    """Return the bytes that a socket has received and nobody has read."""
    return int(struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, b"\0\0\0\0"))[0])
