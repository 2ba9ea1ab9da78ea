"""Room for what is written next: evicts until the cache, its index and what may be written fit."""

from __future__ import annotations

from aprp.cache.store.chunk_rows import ChunkRows
from aprp.core.cache.eviction import Fate, Queue, fate, whose_turn

_AT_ONCE = 32
MOST_EVICTED = 64
"""Chunks that one transaction evicts, and whose files it deletes: other processes wait for it."""


def make_room(
    chunks: ChunkRows, process: int, outstanding: int, wanted: int, limit: int
) -> tuple[int, list[tuple[int, int]]]:
    """Reserve room for this process, within a transaction.

    `outstanding` bytes are reserved already and not in the index yet; up to `wanted` more are
    reserved. `limit` is for all data files together. Return how many more bytes may be written, and
    the chunks to unlink, of which there are more if there are `MOST_EVICTED`.
    """
    others = chunks.reserve(process, outstanding + wanted)
    over = sum(chunks.bytes_in().values()) + others + outstanding + wanted - limit
    evicted: list[tuple[int, int]] = []
    while over > 0 and len(evicted) < MOST_EVICTED:
        freed, gone = _evict(chunks, over, MOST_EVICTED - len(evicted))
        if not freed:
            break
        over -= freed
        evicted += gone
    granted = max(0, wanted - max(0, over))
    if granted != wanted:
        chunks.reserve(process, outstanding + granted)
    return granted, evicted


def _evict(chunks: ChunkRows, needed: int, most: int) -> tuple[int, list[tuple[int, int]]]:
    """Give the first chunks of the queue whose turn it is what they deserve; evict some of them."""
    held = chunks.bytes_in()
    queue = whose_turn(held[Queue.SMALL], held[Queue.MAIN])
    freed, gone = 0, list[tuple[int, int]]()
    while queue is not None and freed < needed and len(gone) < most:
        firsts = chunks.first_of(queue, _AT_ONCE)
        if not firsts:
            break
        for file, chunk, uses, allocated in firsts:
            what = fate(queue, uses)
            if what is Fate.EVICT:
                if queue is Queue.SMALL:
                    chunks.remember(file, chunk)
                chunks.drop([(file, chunk)])
                gone.append((file, chunk))
                freed += allocated
                held[queue] -= allocated
            elif what is Fate.TO_MAIN:
                chunks.move(file, chunk, Queue.MAIN, 0)
                held[Queue.SMALL] -= allocated
                held[Queue.MAIN] += allocated
            else:
                chunks.move(file, chunk, queue, uses - 1)
            enough = freed >= needed or len(gone) == most
            if enough or whose_turn(held[Queue.SMALL], held[Queue.MAIN]) is not queue:
                break
        queue = whose_turn(held[Queue.SMALL], held[Queue.MAIN])
    return freed, gone
