"""The pipes through which splice(2) moves bytes: pooled, and bounded in number.

A pipe holds references to the kernel's network buffers, one in each of its slots, so a larger pipe
takes more from each read. The kernel limits the slots of all pipes of a user (pipe(7),
/proc/sys/fs/pipe-user-pages-soft); a pipe that comes out smaller than `LEAST` isn't worth using.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable

WANTED = 1 << 20
"""Bytes of capacity that are requested for a pipe."""
LEAST = 1 << 16
"""Bytes of capacity below which copying is cheaper."""
KEPT = 32
"""Unused pipes that are kept open."""
MOST_WAITING = 48
"""Pipes in use, at most, when one is given to bytes that have to wait: the rest are for bytes on
their way. So many are within the usual limit of a user."""


class Pipe:
    """One pipe, in non-blocking mode."""

    __slots__ = ("into", "out")

    def __init__(self) -> None:
        self.out, self.into = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def grow(self) -> int:
        """Enlarge it as far as the user's limit allows; return its capacity in bytes."""
        try:
            return fcntl.fcntl(self.into, fcntl.F_SETPIPE_SZ, WANTED)
        except OSError:
            return fcntl.fcntl(self.into, fcntl.F_GETPIPE_SZ)

    def close(self) -> None:
        os.close(self.into)
        os.close(self.out)


class Pipes:
    """The pipes of the process. `most` says how many may be in use now."""

    def __init__(self, most: Callable[[], int]) -> None:
        self.enabled = True
        """Whether pipes are given out at all."""
        self._most = most
        self._unused: list[Pipe] = []
        self._used = 0

    @property
    def used(self) -> int:
        """How many are in use."""
        return self._used

    def take(self, waiting: bool = False) -> Pipe | None:
        """Return an empty pipe; None if there is none, so that the bytes must be copied.

        `waiting`: for bytes that wait for others, of which there may be many.
        """
        most = self._most()
        if not self.enabled or self._used >= (min(MOST_WAITING, most // 2) if waiting else most):
            return None
        pipe = self._unused.pop() if self._unused else _new_pipe()
        if pipe is not None:
            self._used += 1
        return pipe

    def give_back(self, pipe: Pipe, empty: bool) -> None:
        """Take back a pipe. One that isn't `empty` is closed, since its bytes belong to nobody."""
        self._used -= 1
        if empty and len(self._unused) < KEPT:
            self._unused.append(pipe)
        else:
            pipe.close()

    def close(self) -> None:
        """Close the unused ones."""
        while self._unused:
            self._unused.pop().close()


def _new_pipe() -> Pipe | None:
    try:
        pipe = Pipe()
    except OSError:  # no descriptor is left
        return None
    if pipe.grow() < LEAST:
        pipe.close()
        return None
    return pipe
