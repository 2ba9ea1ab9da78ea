"""What a store counts, for metrics and the admin page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Figures:
    """Since the process began, but for the last two."""

    read: int = 0
    """Bytes read from the cache and verified."""
    written: int = 0
    """Bytes kept."""
    refused: int = 0
    """Bytes that weren't kept: no room, or the disk was too slow."""
    evicted: int = 0
    """Chunks that made room."""
    lost: int = 0
    """Blocks whose checksums were wrong, or that couldn't be read."""
    troubles: int = 0
    """Failures of the disk or the index."""
    used: int = 0
    """Bytes on disk, index included, as of the last look; of all processes together."""
    pinned: int = 0
    """Bytes of these that are pinned."""
