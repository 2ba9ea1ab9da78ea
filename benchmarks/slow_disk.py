"""The longest stall of the reactor while the cache's disk is slow.

A store writes a film of 64 MiB and reads it again, on a disk whose every operation sleeps. A timer
that is due each millisecond shows for how long the reactor did nothing else. Beside it, the same
without the sleep, and with a reactor that has nothing to do.

    python -m benchmarks.slow_disk [--seconds 0.05]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater, react

from aprp.cache.store.disk import SystemDisk
from aprp.cache.store.disk_store import DiskStore
from aprp.core.cache.meta import Meta
from aprp.core.http.fields import Fields

MIB = 2**20
SIZE = 64 * MIB
reactor: Any = _reactor


class SlowDisk(SystemDisk):
    """A disk whose operations on files take so many seconds more."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __getattribute__(self, name: str) -> Any:
        found = object.__getattribute__(self, name)
        if name in ("open", "read_into", "write", "write_directly", "fstat", "unlink"):
            time.sleep(object.__getattribute__(self, "_seconds"))
        return found


async def longest_gap(work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Return the longest time between two turns of a timer while work is done, and how long that
    took, in seconds.
    """
    gaps, last = [0.0], [time.monotonic()]

    def tick() -> None:
        now = time.monotonic()
        gaps[0], last[0] = max(gaps[0], now - last[0]), now

    timer = LoopingCall(tick)
    timer.start(0.001)
    began = time.monotonic()
    await work()
    timer.stop()
    return gaps[0], time.monotonic() - began


async def write_and_read(seconds: float) -> None:
    """Keep a film on a slow disk, and read it."""
    with tempfile.TemporaryDirectory() as folder:
        store = DiskStore(folder, 1024 * MIB, reactor, disk=SlowDisk(seconds))
        await store.opened
        while not await store.run(lambda index: index.counter("swept"), None):
            await deferLater(reactor, 0.05)
        await store.upkeep.now()
        file = await store.create(b"film", Meta(200, b"", Fields(), SIZE))
        data = bytes(MIB)
        for at in range(0, SIZE, MIB):
            while not await file.write(at, data):
                await deferLater(reactor, 0.05)
        at = 0
        while at < SIZE:
            verified = await file.read(at, SIZE)
            at = verified.stop
            verified.release()
        file.close()
        await store.close()


async def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.slow_disk", description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.05, help="that each operation sleeps")
    options = parser.parse_args(arguments)
    works: list[tuple[str, Callable[[], Awaitable[object]]]] = [
        ("nothing to do", lambda: deferLater(reactor, 2.0)),
        ("a fast disk", lambda: write_and_read(0.0)),
        (f"{options.seconds * 1000:g} ms an operation", lambda: write_and_read(options.seconds)),
    ]
    for name, work in works:
        gap, took = await longest_gap(work)
        print(f"{name:<24} longest stall {gap * 1000:6.1f} ms, in {took:.1f} s", flush=True)


if __name__ == "__main__":
    react(lambda _, *arguments: Deferred.fromCoroutine(main(list(arguments))), sys.argv[1:])
