"""Whether parts of files are in the page cache, so that sendfile(2) doesn't wait for the disk."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

from aprp.core.cache.extents import BLOCK

_PAGE = os.sysconf("SC_PAGESIZE")
_CACHESTAT = 451
"""The number of cachestat(2), which Linux has since 6.5, on all architectures."""


class _Range(ctypes.Structure):
    _fields_ = (("offset", ctypes.c_uint64), ("count", ctypes.c_uint64))


class _Found(ctypes.Structure):
    _fields_ = (("pages", ctypes.c_uint64), ("others", ctypes.c_uint64 * 4))


def cached(descriptor: int, offset: int, count: int) -> bool:
    """Return whether these bytes of a file are in memory, or can't be known to be elsewhere.

    One call of cachestat(2) tells; older kernels are asked for one byte of each block.
    """
    pages = _cached_pages(descriptor, offset, count)
    if pages is not None:
        return pages >= -(-(offset + count) // _PAGE) - offset // _PAGE
    buffer = [bytearray(1)]
    with suppress(OSError):
        try:
            for at in range(offset, offset + count, BLOCK):
                os.preadv(descriptor, buffer, at, os.RWF_NOWAIT)
        except BlockingIOError:
            return False
    return True


def _cached_pages(descriptor: int, offset: int, count: int) -> int | None:
    """Return how many pages of a part of a file are in memory; None: the kernel doesn't tell."""
    wanted, found = _Range(offset, count), _Found()
    refused = _syscall(
        ctypes.c_long(_CACHESTAT),
        ctypes.c_uint(descriptor),
        ctypes.byref(wanted),
        ctypes.byref(found),
        ctypes.c_uint(0),
    )
    return None if refused else int(found.pages)


_syscall = ctypes.CDLL(None).syscall
_syscall.restype = ctypes.c_long
