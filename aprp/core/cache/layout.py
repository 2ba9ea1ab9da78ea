"""How stored files lie on disk: each is cut into chunks, and each chunk is a sparse data file.

A chunk is what is evicted, by unlinking it, so whoever has it open can go on reading. A block is
what has a checksum. `Blocks` says which blocks of a chunk are there, and has their checksums.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from aprp.core.cache.extents import BLOCK

PER_CHUNK = 64
"""Blocks of a chunk."""
CHUNK = PER_CHUNK * BLOCK
"""Bytes of a chunk; the last one of a file is shorter."""

_BITS = struct.Struct("<Q")
_SUM = struct.Struct("<Q")
_SIZE = _BITS.size + PER_CHUNK * _SUM.size


def in_chunks(start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Cut [start, stop) of a file at the chunks' edges; yield chunk, start and stop."""
    while start < stop:
        chunk = start // CHUNK
        edge = min(stop, (chunk + 1) * CHUNK)
        yield chunk, start, edge
        start = edge


class Blocks:
    """The blocks of one chunk that are there, and their checksums; numbered from 0 in the chunk."""

    __slots__ = ("bits", "sums")

    def __init__(self, stored: bytes | None = None) -> None:
        """Read what `bytes()` returned. Raise ValueError for anything else."""
        self.bits = 0
        self.sums = bytearray(PER_CHUNK * _SUM.size)
        if stored is not None:
            if len(stored) != _SIZE:
                raise ValueError(f"has {len(stored)} bytes of checksums, not {_SIZE}")
            (self.bits,) = _BITS.unpack_from(stored)
            self.sums[:] = stored[_BITS.size :]

    def __bytes__(self) -> bytes:
        return _BITS.pack(self.bits) + self.sums

    def __contains__(self, block: int) -> bool:
        return bool(self.bits >> block & 1)

    def __iter__(self) -> Iterator[int]:
        return numbers_of(self.bits)

    def sum_of(self, block: int) -> int:
        """Return the checksum of a block that is there."""
        found: int = _SUM.unpack_from(self.sums, block * _SUM.size)[0]
        return found

    def add(self, block: int, checksum: int) -> None:
        """Add a block, or replace its checksum."""
        self.bits |= 1 << block
        _SUM.pack_into(self.sums, block * _SUM.size, checksum)

    def discard(self, block: int) -> None:
        """Drop a block."""
        self.bits &= ~(1 << block)

    def merge(self, other: Blocks) -> None:
        """Add the other's blocks, with the other's checksums."""
        for first, stop in _spans(other.bits):
            self.sums[first * _SUM.size : stop * _SUM.size] = other.sums[
                first * _SUM.size : stop * _SUM.size
            ]
        self.bits |= other.bits

    def runs(self, chunk: int, complete: int | None) -> Iterator[tuple[int, int]]:
        """Yield the runs of bytes that are there, as offsets in the file."""
        base = chunk * CHUNK
        for first, last in _spans(self.bits):
            stop = base + last * BLOCK
            yield base + first * BLOCK, stop if complete is None else min(stop, complete)


def numbers_of(bits: int) -> Iterator[int]:
    """Yield the numbers of the bits that are set."""
    return (number for first, stop in _spans(bits) for number in range(first, stop))


def _spans(bits: int) -> Iterator[tuple[int, int]]:
    """Yield the runs of bits that are set, each with the number after its last."""
    at = 0
    while bits:
        missing = (bits & -bits).bit_length() - 1
        bits >>= missing
        there = (~bits & bits + 1).bit_length() - 1
        bits >>= there
        yield at + missing, at + missing + there
        at += missing + there
