"""The bytes of every version of every file: slices of one pool, so that they cost nothing.

Two versions have no stretch of bytes in common at the same offset.
"""

from __future__ import annotations

import base64
import hashlib
import random
from functools import lru_cache

from tests.simulation.scenario import Version

POOL = random.Random(7).randbytes(6 << 20)
LONGEST = 3 << 20


def content(version: Version) -> bytes:
    """The whole of it."""
    start = version.start % (len(POOL) - LONGEST)
    return POOL[start : start + version.size]


def part(version: Version, start: int, stop: int) -> bytes:
    """[start, stop) of it, or as much as there is."""
    base = version.start % (len(POOL) - LONGEST)
    return POOL[base + min(start, version.size) : base + min(stop, version.size)]


@lru_cache(maxsize=512)
def digest(algorithm: str, version: Version) -> str:
    """In base 64, as Repr-Digest has it."""
    name = algorithm.replace("-", "")
    return base64.b64encode(hashlib.new(name, content(version)).digest()).decode()
