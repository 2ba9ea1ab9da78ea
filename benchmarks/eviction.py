"""Which chunks a cache of films should keep: policies on one simulated trace of viewers.

    python -m benchmarks.eviction

Films are chosen by a Zipf law. A viewer begins at the start, reads on at the film's rate, often
leaves early, and seeks now and then. During the middle third of the trace one client reads the
whole library once, from the first film to the last. Printed is the part of the viewers' bytes that
the cache had.
"""

from __future__ import annotations

import random
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Protocol

from aprp.core.cache.eviction import MOST_USES, Fate, Queue, enters, fate, whose_turn

FILMS = 400
CHUNKS = 300, 700
"""Chunks of a film, 4 MiB each: 1.2 to 2.8 GiB."""
VIEWERS = 60
"""How many watch at once."""
VIEWS = 4000
STEP = 4.0 / VIEWERS
"""Seconds between two chunks of all viewers together, at 1 MiB/s each."""
TOUCH_AGAIN = 60.0
Chunk = tuple[int, int]


class Policy(Protocol):
    def get(self, chunk: Chunk, now: float) -> bool:
        """Return whether the chunk is there; if not, fetch it."""
        ...


class Lru:
    def __init__(self, most: int) -> None:
        self.most = most
        self.held: OrderedDict[Chunk, None] = OrderedDict()

    def get(self, chunk: Chunk, now: float) -> bool:
        hit = chunk in self.held
        self.held[chunk] = None
        self.held.move_to_end(chunk)
        if len(self.held) > self.most:
            self.held.popitem(last=False)
        return hit


class Sieve:
    """Zhang et al., "SIEVE is simpler than LRU", NSDI 2024, over a ring of slots."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.visited: OrderedDict[Chunk, bool] = OrderedDict()  # oldest first
        self.sweep: Iterator[Chunk] = iter(())

    def get(self, chunk: Chunk, now: float) -> bool:
        if chunk in self.visited:
            self.visited[chunk] = True
            return True
        if len(self.visited) >= self.most:
            self._evict()
        self.visited[chunk] = False
        return False

    def _evict(self) -> None:
        while True:
            for chunk in self.sweep:
                if chunk not in self.visited:
                    continue
                if not self.visited[chunk]:
                    del self.visited[chunk]
                    return
                self.visited[chunk] = False
            self.sweep = iter(list(self.visited))


class S3Fifo:
    """The cache's own rules, on queues in memory."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.queues: dict[Queue, deque[Chunk]] = {Queue.SMALL: deque(), Queue.MAIN: deque()}
        self.uses: dict[Chunk, int] = {}
        self.touched: dict[Chunk, float] = {}
        self.ghosts: OrderedDict[Chunk, None] = OrderedDict()

    def get(self, chunk: Chunk, now: float) -> bool:
        if chunk in self.uses:
            if now - self.touched[chunk] >= TOUCH_AGAIN:
                self.uses[chunk] = min(MOST_USES, self.uses[chunk] + 1)
                self.touched[chunk] = now
            return True
        while len(self.uses) >= self.most:
            self._turn()
        queue = enters(False, chunk in self.ghosts)
        self.ghosts.pop(chunk, None)
        self.queues[queue].append(chunk)
        self.uses[chunk], self.touched[chunk] = 0, now
        return False

    def _turn(self) -> None:
        small, main = self.queues[Queue.SMALL], self.queues[Queue.MAIN]
        queue = whose_turn(len(small), len(main))
        assert queue is not None
        chunk = self.queues[queue].popleft()
        what = fate(queue, self.uses[chunk])
        if what is Fate.EVICT:
            del self.uses[chunk], self.touched[chunk]
            if queue is Queue.SMALL:
                self.ghosts[chunk] = None
                if len(self.ghosts) > self.most:
                    self.ghosts.popitem(last=False)
        elif what is Fate.TO_MAIN:
            self.uses[chunk] = 0
            main.append(chunk)
        else:
            self.uses[chunk] -= 1
            self.queues[queue].append(chunk)


def trace(seed: int, slope: float) -> Iterator[tuple[bool, Chunk]]:
    """Yield whether a viewer reads, or else the one who reads everything, and which chunk."""
    chance = random.Random(seed)
    lengths = [chance.randint(*CHUNKS) for _ in range(FILMS)]
    weights = [1 / (rank + 1) ** slope for rank in range(FILMS)]
    ranks = list(range(FILMS))
    chance.shuffle(ranks)
    library = ((film, chunk) for film in range(FILMS) for chunk in range(lengths[film]))
    whole = sum(lengths)
    viewers: list[Iterator[Chunk]] = []
    begun = ended = reads = 0
    per_view = 0.0
    while ended < VIEWS:
        while len(viewers) < VIEWERS and begun < VIEWS:
            film = ranks[chance.choices(range(FILMS), weights)[0]]
            viewers.append(_view(chance, film, lengths[film]))
            begun += 1
        if not viewers:
            return
        at = chance.randrange(len(viewers))
        chunk = next(viewers[at], None)
        if chunk is None:
            viewers[at] = viewers[-1]
            viewers.pop()
            ended += 1
            per_view = reads / ended
            continue
        reads += 1
        yield True, chunk
        if VIEWS / 3 < ended < 2 * VIEWS / 3:
            for _ in range(int(whole / (per_view * VIEWS / 3) + chance.random())):
                scanned = next(library, None)
                if scanned is not None:
                    yield False, scanned


def _view(chance: random.Random, film: int, length: int) -> Iterator[Chunk]:
    at = 0
    until = length if chance.random() < 0.4 else chance.randrange(2, max(3, length // 3))
    left = until
    while left > 0 and at < length:
        yield film, at
        left -= 1
        at += 1
        if chance.random() < 0.01:
            at = chance.randrange(length)


def main() -> None:
    print("| Zipf | cache | | LRU | SIEVE | S3-FIFO |")
    print("|---|---|---|---|---|---|")
    for slope in (0.8, 1.1):
        for share in (0.02, 0.05, 0.1):
            most = int(FILMS * sum(CHUNKS) / 2 * share)
            found = {}
            for name, policy in (("LRU", Lru), ("SIEVE", Sieve), ("S3-FIFO", S3Fifo)):
                found[name] = _measure(policy(most), slope)
            for part, what in enumerate(("before the scan", "during it", "after it")):
                rates = " | ".join(f"{each[part]:.1%}" for each in found.values())
                print(f"| {slope} | {share:.0%} | {what} | {rates} |", flush=True)


def _measure(policy: Policy, slope: float) -> list[float]:
    """Return the hit rates of viewers in the thirds of the trace."""
    reads: list[list[bool]] = [[], [], []]
    part = 0
    scanned_at = 0
    for step, (viewer, chunk) in enumerate(trace(7, slope)):
        hit = policy.get(chunk, step * STEP)
        if not viewer:
            part, scanned_at = 1, step
        elif part == 1 and step - scanned_at > 1000:
            part = 2
        if viewer:
            reads[part].append(hit)
    return [sum(each) / max(1, len(each)) for each in reads]


if __name__ == "__main__":
    main()
