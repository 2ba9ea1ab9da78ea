"""Recognize that a file has changed, by what stat(2) says of it."""

from __future__ import annotations

from pathlib import Path

FileStamp = tuple[int, int, int]
"""Time of modification, size and inode."""


def stamp_of(path: Path) -> FileStamp | None:
    """Return a value that changes whenever the file does; None if there is no such file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
