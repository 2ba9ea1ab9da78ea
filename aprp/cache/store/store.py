"""What the cache keeps files in, as those who use it see it.

All Deferreds fire in the reactor's thread. They fail with `CacheTrouble`, or with CancelledError
once they are cancelled. Bytes that a failed read didn't deliver are no longer `present`: to its
caller a failure is a hole. Nothing here waits for the disk in the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred

from aprp.core.cache.extents import Extents
from aprp.core.cache.meta import Meta
from aprp.upstream.splice.file_splice import FilePart

Numbered = Callable[[int], object]
"""Is called with the number of a new file."""


def unheard(number: int) -> None:
    """Do nothing: nobody wants to know the number."""


class CacheTrouble(Exception):
    """Raised when the disk or the index can't do what was asked. The text is for the log."""


class Verified(Protocol):
    """Bytes [start, stop) of a file whose checksums were right; they stay until released.

    They are in `data`, or, if that is None, in these parts of open files, and in memory just now.
    They may stop before the wanted range does, never at or before its start.
    """

    start: int
    stop: int
    data: bytes | None
    parts: Sequence[FilePart]

    def release(self) -> None:
        """Close the files, in a thread. Call it exactly once."""
        ...


class StoredFile(Protocol):
    """One version of one representation. Its users in a process share it, and each closes it."""

    id: int
    meta: Meta
    doomed: bool
    """Whether it isn't found any more; its users may finish it."""
    present: Extents
    """Which bytes can be read, as far as is known now."""

    def write(self, at: int, *pieces: bytes | memoryview, hurried: bool = False) -> Deferred[bool]:
        """Keep whole blocks, which lie in `pieces`; the last one of the file may be shorter.

        Fires when they can be read, or with False if they aren't kept: there is no room for them,
        the disk is too slow, or the file is doomed. Never more than a bounded number of bytes wait.

        `hurried`: too much waits already, so the system may write it to the disk later.
        """
        ...

    def read(self, start: int, stop: int, into_memory: bool = False) -> Deferred[Verified]:
        """Return the first bytes of [start, stop) once they are verified.

        It fails if the first byte isn't present: it may have made room since the caller looked.

        `into_memory`: in `data`, not in open files.
        """
        ...

    def update(self, meta: Meta) -> Deferred[None]:
        """Replace what is stored beside the body, after a 304 or once the length is known."""
        ...

    def doom(self) -> None:
        """Don't find it any more, and delete it when the last user has closed it."""
        ...

    def touch(self, start: int, stop: int) -> None:
        """Count a viewer's use of these bytes; it keeps them from eviction for longer."""
        ...

    def close(self) -> None:
        """Stop using it."""
        ...


class Store(Protocol):
    """The files of one cache."""

    def find(self, key: bytes) -> Deferred[tuple[StoredFile, ...]]:
        """Return the variants under this key, newest first. The caller closes each."""
        ...

    def create(
        self, key: bytes, meta: Meta, pinned: bool = False, numbered: Numbered = unheard
    ) -> Deferred[StoredFile]:
        """Begin a file. The one with the same key and `vary` is doomed. The caller closes it.

        `numbered` is called with its number before anyone finds it.
        """
        ...

    def remove(self, key: bytes) -> Deferred[int]:
        """Doom all variants under this key; return how many there were."""
        ...

    def close(self) -> Deferred[None]:
        """Write what waits, and stop. Open files can't be read any more."""
        ...
