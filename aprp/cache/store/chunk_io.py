"""Reads and writes the data files of chunks, with their checksums; waits for the disk."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

import xxhash

from aprp.cache.store.disk import Disk
from aprp.core.cache.extents import BLOCK
from aprp.core.cache.layout import CHUNK, Blocks
from aprp.core.values import dataclass

TRUSTED_FOR = 60.0
"""Seconds for which a block that was right isn't looked at again, while its file is unchanged."""

_PIECE = 4
"""Blocks that are read at once to check them."""

Stamp = tuple[int, int, int, int]
"""What changes with each write to a file."""


class BlocksLost(Exception):
    """Raised for blocks that can't be read, or aren't what was written; None: the whole chunk."""

    def __init__(self, said: str, blocks: list[int] | None) -> None:
        super().__init__(said)
        self.blocks = blocks


@dataclass(slots=True)
class Trust:
    """Which blocks of a data file were right, as of `since`."""

    stamp: Stamp
    since: float
    bits: int = 0

    def after(self, change: Change) -> Trust:
        """Return what is known after a write: as much as before of what wasn't written.

        If the file had been written to before that as well, nothing is known of it.
        """
        kept = self.bits & ~change.bits if change.before == self.stamp else 0
        return Trust(change.after, self.since, kept)


@dataclass(frozen=True, slots=True)
class Change:
    """A write of the blocks `bits` to a data file, and the file's stamps around it."""

    bits: int
    before: Stamp
    after: Stamp


@dataclass(frozen=True, slots=True)
class Expected:
    """A block of a chunk: its offset in the data file, its length and its checksum."""

    block: int
    length: int
    checksum: int

    @property
    def offset(self) -> int:
        return self.block * BLOCK


def expected(
    blocks: Blocks, chunk: int, complete: int | None, numbers: Iterable[int]
) -> list[Expected]:
    """Return what these blocks of a chunk have to be, of a file of `complete` bytes."""
    found = []
    for block in numbers:
        left = BLOCK if complete is None else complete - chunk * CHUNK - block * BLOCK
        found.append(Expected(block, min(BLOCK, left), blocks.sum_of(block)))
    return found


def checksum_of(data: memoryview | bytes, file: int, chunk: int, block: int) -> int:
    """Return a block's checksum, which is right at its own place only."""
    return xxhash.xxh3_64_intdigest(data, seed=_seed(file, chunk, block))


def _seed(file: int, chunk: int, block: int) -> int:
    return (file ^ chunk << 8 ^ block) & (2**64 - 1)


def checksums(
    file: int, chunk: int, at: int, pieces: Sequence[memoryview]
) -> Iterator[tuple[int, int]]:
    """Yield the number and checksum of each block in these pieces. The last may be short.

    A block that lies in one piece is hashed in one call.
    """
    part = None  # of a block that lies in several pieces
    for piece in pieces:
        while piece:
            block, done = divmod(at, BLOCK)
            now, piece = piece[: BLOCK - done], piece[BLOCK - done :]
            at += len(now)
            if len(now) == BLOCK:
                yield block, checksum_of(now, file, chunk, block)
                continue
            if part is None:
                part = xxhash.xxh3_64(seed=_seed(file, chunk, block))
            part.update(now)
            if at % BLOCK == 0:
                yield block, part.intdigest()
                part = None
    if part is not None:
        yield at // BLOCK, part.intdigest()


def stamp_of(found: os.stat_result) -> Stamp:
    """Return the stamp of a data file."""
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def size_in(stamp: Stamp) -> int:
    """Return the size of the data file that has this stamp."""
    return stamp[1]


def open_chunk(disk: Disk, path: str) -> tuple[int, Stamp]:
    """Open a data file for reading. Raise BlocksLost, or OSError if that says nothing of it."""
    try:
        descriptor = disk.open(path, os.O_RDONLY)
    except FileNotFoundError:
        raise BlocksLost("has no data file", None) from None
    try:
        return descriptor, stamp_of(disk.fstat(descriptor))
    except OSError:
        disk.close(descriptor)
        raise


def read_verified(
    disk: Disk, descriptor: int, file: int, chunk: int, wanted: Sequence[Expected]
) -> bytearray:
    """Return consecutive blocks. Raise BlocksLost for those that are wrong."""
    buffer = bytearray(wanted[-1].offset + wanted[-1].length - wanted[0].offset)
    with memoryview(buffer) as view:
        _fill(disk, descriptor, view, wanted)
        _check(view, file, chunk, wanted)
    return buffer


def verify(disk: Disk, descriptor: int, file: int, chunk: int, wanted: Sequence[Expected]) -> None:
    """Check blocks that needn't be consecutive, without keeping them."""
    buffer = bytearray(_PIECE * BLOCK)
    with memoryview(buffer) as whole:
        for some in _runs(wanted):
            with whole[: some[-1].offset + some[-1].length - some[0].offset] as view:
                _fill(disk, descriptor, view, some)
                _check(view, file, chunk, some)


def _runs(blocks: Sequence[Expected]) -> Iterator[list[Expected]]:
    """Yield consecutive blocks together, up to a few."""
    run: list[Expected] = []
    for each in blocks:
        if run and (len(run) == _PIECE or run[-1].block + 1 != each.block):
            yield run
            run = []
        run.append(each)
    if run:
        yield run


def _fill(disk: Disk, descriptor: int, view: memoryview, wanted: Sequence[Expected]) -> None:
    offset, filled = wanted[0].offset, 0
    while filled < len(view):
        try:
            count = disk.read_into(descriptor, view[filled:], offset + filled)
        except OSError as error:
            bad = [each.block for each in wanted if each.offset + each.length > offset + filled]
            raise BlocksLost(f"can't be read: {error.strerror}", bad) from None
        if not count:
            bad = [each.block for each in wanted if each.offset + each.length > offset + filled]
            raise BlocksLost("is shorter than what was written", bad)
        filled += count


def _check(view: memoryview, file: int, chunk: int, wanted: Sequence[Expected]) -> None:
    base = wanted[0].offset
    bad = [
        each.block
        for each in wanted
        if checksum_of(
            view[each.offset - base : each.offset - base + each.length], file, chunk, each.block
        )
        != each.checksum
    ]
    if bad:
        raise BlocksLost("isn't what was written: its checksum is wrong", bad)
