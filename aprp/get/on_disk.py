"""Verify the pieces of a file that are on disk, those of a partial one or of a complete one."""

from __future__ import annotations

from pathlib import Path

from aprp.core.metalink import Pieces
from aprp.get.partial import Partial
from aprp.upstream.transfer.hashing import digests


async def good_part(partial: Partial, pieces: Pieces, size: int) -> int:
    """Return how many bytes of a partial file are whole pieces without a wrong one among them."""
    whole = pieces.whole_in(partial.written, size)
    for number in range(whole):
        held = pieces.range_of(number, size)
        if not await _right(partial.read(held.start, held.stop), pieces, number):
            return held.start
    return pieces.range_of(whole - 1, size).stop if whole else 0


async def wrong_piece(path: Path, pieces: Pieces) -> int | None:
    """Return the number of the first wrong piece of a file, counted from 0, or None."""
    with path.open("rb") as file:
        for number in range(len(pieces.digests)):
            if not await _right(file.read(pieces.length), pieces, number):
                return number
    return None


async def _right(data: bytes, pieces: Pieces, number: int) -> bool:
    """Return whether a piece has its digest; it is hashed in a thread."""
    (found,) = await digests(pieces, [[data]])
    return found == pieces.digests[number]
