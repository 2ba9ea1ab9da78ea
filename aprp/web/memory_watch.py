"""The memory of the process against `limits.memory`: above it, new requests are refused.

Memory is sampled, since each sample costs a system call. Above the limit, memory that was freed but
kept by the allocator is returned to the system, so that refusing requests is enough to recover.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from aprp.core.limits import memory_is_short

SAMPLE = 0.25
"""Seconds between two samples."""
TRIM = 5.0
"""Seconds between two calls that give freed memory back."""
SAY_EVERY = 60.0
"""Seconds between two lines of the log."""
UNLIMITED = 1 << 60
"""Bytes; a group without a limit has one that is larger."""
PAGE = os.sysconf("SC_PAGE_SIZE")
MAPPED = 4 << 20
"""Bytes of an allocation that is mapped by itself, and unmapped when it is freed."""
KEPT = 16 << 20
"""Freed bytes at the end of the heap that aren't given back to the system at once."""
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


def resident() -> int:
    """Return the bytes of memory that the process has (proc(5)); 0 where there is no /proc."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
    except OSError:
        return 0


def allowed_by_group() -> int:
    """Return the bytes of memory that the control group of the process may use, by cgroups(7).

    0 where there is no limit. Groups above it count, too.
    """
    try:
        groups = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return 0
    limits = [limit for group in groups for limit in _limits_of(group)]
    return min(limits, default=0)


def _limits_of(group: str) -> Iterator[int]:
    """Give the limits of a line of /proc/self/cgroup, from the group up to the root."""
    _, controllers, path = group.split(":", 2)
    if not controllers:
        root, name = Path("/sys/fs/cgroup"), "memory.max"
    elif "memory" in controllers.split(","):
        root, name = Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"
    else:
        return
    folder = root / path.strip("/")
    for each in (folder, *folder.parents):
        with suppress(OSError, ValueError):  # "max", or no such file
            limit = int((each / name).read_text())
            if limit < UNLIMITED:
                yield limit
        if each == root:
            return


def give_back() -> None:
    """Give freed memory back to the system, where the C library can (malloc_trim(3))."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def keep_freed() -> None:
    """Have the allocator keep what is freed while bodies are copied, where it can (mallopt(3)).

    glibc gives freed memory back beyond 2 MiB as long as pieces of bodies are the largest things
    that it has freed. The next piece then needs new pages, each of which costs a page fault.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, MAPPED)
        mallopt(_M_TRIM_THRESHOLD, KEPT)


class MemoryWatch:
    """Samples the memory while there is a limit; logs when it is short unless `quiet`."""

    _log = Logger()

    def __init__(
        self,
        clock: Any,
        measure: Callable[[], int] = resident,
        trim: Callable[[], None] = give_back,
        quiet: bool = False,
    ) -> None:
        self.short = False
        """Whether the process has more than its limit."""
        self._clock = clock
        self._measure = measure
        self._trim = trim
        self._quiet = quiet
        self._limit = 0
        self._next: IDelayedCall | None = None
        self._trimmed = self._said = -SAY_EVERY

    @property
    def limit(self) -> int:
        """The most memory in bytes; 0: no limit, and nothing is sampled."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        waiting, self._next = self._next, None
        if waiting is not None:
            waiting.cancel()
        if limit:
            self._sample()
        else:
            self.short = False

    def _sample(self) -> None:
        self._next = self._clock.callLater(SAMPLE, self._sample)
        has, now = self._measure(), self._clock.seconds()
        self.short = memory_is_short(has, self._limit, self.short)
        if not self.short:
            return
        if now - self._said >= SAY_EVERY and not self._quiet:
            self._said = now
            self._log.warn(
                "refusing new requests: the process has {has} MiB of memory, and limits.memory is "
                "{limit} MiB; raise it, or lower memory or limits.connections",
                has=has >> 20,
                limit=self._limit >> 20,
            )
        if now - self._trimmed >= TRIM:
            self._trimmed = now
            self._trim()
