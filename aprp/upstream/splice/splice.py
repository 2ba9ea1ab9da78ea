"""Bytes on their way from one socket to another through a pipe.

What a read brings into the pipe is sent at once as far as the receiver takes it. While bytes wait
in the pipe nothing more is read, so the pipe is the only buffer. When a splice ends before its pipe
is empty, the rest is copied to the receiver's transport: bytes that were counted are never lost.
"""

from __future__ import annotations

import os
import socket
from typing import Any, Protocol

from aprp.upstream.splice.borrowed import (
    CONNECTION_DONE,
    CONNECTION_LOST,
    Borrowed,
    splice_socket,
)
from aprp.upstream.splice.pipes import WANTED, Pipe, Pipes

_FLAGS = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK


class Spliced(Protocol):
    """The owner of a splice: the exchange whose body it moves."""

    @property
    def left(self) -> int:
        """How many bytes are still to be moved."""
        ...

    def spliced(self, count: int) -> None:
        """Note that `count` bytes were read from the source. May end the splice."""
        ...

    def receiver_full(self) -> None:
        """Note that the receiver's buffer is full."""
        ...

    def receiver_ready(self) -> None:
        """Note that the receiver has taken everything."""
        ...


class Splice:
    """Moves bytes from `source` to `sink`, both open, until its owner ends it."""

    def __init__(self, source: Borrowed, sink: Borrowed, pipes: Pipes, owner: Spliced) -> None:
        self._source = source
        self._sink = sink
        self._pipes = pipes
        self._owner = owner
        self._pipe: Pipe | None = None
        self._held = 0
        source.replace_read(self._read)
        sink.replace_write(self._write)

    def end(self) -> None:
        """Stop, and copy what is left in the pipe to the receiver."""
        self._give_back()
        if self._pipe is not None:
            data = os.read(self._pipe.out, self._held)
            self._pipes.give_back(self._pipe, empty=len(data) == self._held)
            self._pipe = None
            self._sink.transport.write(data)

    def abandon(self) -> None:
        """Stop, and drop what is left in the pipe."""
        self._give_back()
        if self._pipe is not None:
            self._pipes.give_back(self._pipe, empty=False)
            self._pipe = None

    def _give_back(self) -> None:
        self._source.give_back()
        self._sink.give_back()

    def _read(self) -> Any:
        """Move what the source has sent; called by the reactor in place of `doRead`."""
        if self._pipe is None and (pipe := self._pipes.take()) is not None:
            self._pipe = pipe
        if self._pipe is None:
            return self._source.default_read()
        try:
            count = os.splice(
                self._source.fileno(), self._pipe.into, min(self._owner.left, WANTED), flags=_FLAGS
            )
        except BlockingIOError:
            count = None
        except OSError:
            return CONNECTION_LOST
        if count:
            self._held += count
        self._send()
        if count:
            self._owner.spliced(count)
        return CONNECTION_DONE if count == 0 else None

    def _write(self) -> Any:
        """Go on sending; called by the reactor in place of `doWrite`."""
        pipe = self._pipe
        if pipe is None or self._sink.unsent:
            lost = self._sink.default_write()
            if lost is not None or self._pipe is None:
                return lost
        lost = self._send()
        if lost is None and self._pipe is None:
            lost = self._sink.default_write()  # it stops writing, or closes if it was asked to
            self._owner.receiver_ready()
        return lost

    def _send(self) -> Any:
        """Move what is in the pipe, as far as the receiver takes it.

        Return the reason if the connection is lost, None otherwise.
        """
        pipe, lost = self._pipe, None
        assert pipe is not None
        while self._held and not self._sink.unsent:
            try:
                self._held -= os.splice(pipe.out, self._sink.fileno(), self._held, flags=_FLAGS)
            except BlockingIOError:
                break
            except OSError:
                lost = CONNECTION_LOST
                break
        if self._held:
            self._sink.transport.startWriting()
            self._owner.receiver_full()
        else:
            self._pipes.give_back(pipe, empty=True)
            self._pipe = None
        return lost


def splice_between(source: Any, sink: Any, pipes: Pipes, owner: Spliced) -> Splice | None:
    """Begin to move bytes between two transports; return None if they have to be copied."""
    if not pipes.enabled:
        return None
    reading, writing = splice_socket(source), splice_socket(sink)
    if reading is None or writing is None:
        return None
    return Splice(Borrowed(source, reading), Borrowed(sink, writing), pipes, owner)


def has_more(transport: Any) -> bool:
    """Return whether bytes wait to be read from a transport that was spliced."""
    handle = splice_socket(transport)
    try:
        return handle is not None and bool(handle.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except OSError:
        return False
