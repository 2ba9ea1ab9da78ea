"""Bytes on their way from open files to a socket by sendfile(2).

The files' bytes have to be in memory already: sendfile would wait for the disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

from aprp.upstream.splice.borrowed import CONNECTION_LOST, Borrowed, splice_socket

AT_ONCE = 1 << 22
"""Bytes of one call, so that other connections have their turn."""


class FilePart(NamedTuple):
    """Bytes of an open file."""

    descriptor: int
    offset: int
    size: int


class FileOwner(Protocol):
    """The owner of a file splice."""

    def still_in_memory(self) -> bool:
        """Return whether the rest of the bytes is still taken to be in memory."""
        ...

    def sent(self, count: int) -> None:
        """Note that the receiver's socket took `count` bytes."""
        ...

    def receiver_full(self) -> None:
        """Note that the receiver's buffer is full."""
        ...

    def file_sent(self, was_full: bool) -> None:
        """Go on: all was sent, or the rest may have left memory.

        `was_full` tells whether `receiver_full` was called.
        """
        ...

    def file_failed(self) -> None:
        """Go on: the file can't be read, or is shorter than it should be."""
        ...


class FileSplice:
    """Sends parts of files, of which none is empty, in their order, until it is abandoned."""

    def __init__(self, sink: Borrowed, parts: Iterable[FilePart], owner: FileOwner) -> None:
        self._sink = sink
        self._parts = iter(parts)
        self._descriptor, self._offset, self._left = next(self._parts)
        self._owner = owner
        self._full = False
        self._over = False

    def begin(self) -> None:
        """Send what the receiver takes now, and the rest as it takes it."""
        self._sink.replace_write(self._write)
        if self._sink.unsent:
            self._sink.transport.startWriting()
        else:
            self._send()

    def abandon(self) -> None:
        """Stop."""
        self._over = True
        self._sink.give_back()

    def _write(self) -> Any:
        """Go on sending; called by the reactor in place of `doWrite`."""
        if self._sink.unsent:
            lost = self._sink.default_write()
            if lost is not None or self._sink.unsent or self._over:
                return lost
        return self._send()

    def _send(self) -> Any:
        """Send what the receiver takes at once; return the reason if the connection is lost."""
        if not self._owner.still_in_memory():
            self._sent()
            return None
        asked = min(self._left, AT_ONCE)
        try:
            count = os.sendfile(self._sink.fileno(), self._descriptor, self._offset, asked)
        except BlockingIOError:
            count = None
        except (BrokenPipeError, ConnectionError):
            self._sink.transport.startWriting()  # the loss is reported by the transport's own write
            self._sink.give_back()
            return CONNECTION_LOST
        except OSError:
            count = 0
        if count == 0:
            self._end(self._owner.file_failed)
            return None
        if count:
            self._offset += count
            self._left -= count
            self._owner.sent(count)
        if self._over:
            return None
        if not self._left:
            following = next(self._parts, None)
            if following is None:
                self._sent()
                return None
            self._descriptor, self._offset, self._left = following
        self._sink.transport.startWriting()
        if count != asked and not self._full:
            self._full = True
            self._owner.receiver_full()
        return None

    def _sent(self) -> None:
        was_full = self._full
        self._end(lambda: self._owner.file_sent(was_full))

    def _end(self, then: Any) -> None:
        self._over = True
        self._sink.give_back()
        if not self._sink.unsent:
            self._sink.default_write()  # it stops writing, or closes if it was asked to
        then()


def file_to(transport: Any, parts: Iterable[FilePart], owner: FileOwner) -> FileSplice | None:
    """Return what sends parts of files to a transport; None if they have to be copied."""
    handle = splice_socket(transport)
    if handle is None:
        return None
    return FileSplice(Borrowed(transport, handle), parts, owner)
