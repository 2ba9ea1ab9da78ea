"""Hash bytes in a thread. hashlib releases the GIL meanwhile, so the reactor goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from aprp.core.metalink import HASHLIB

Chunks = Sequence[bytes | memoryview]


def digests(algorithm: str, pieces: Sequence[Chunks]) -> Deferred[list[str]]:
    """Return the hexadecimal digests of some pieces, each given in chunks."""
    return deferToThread(_digests, algorithm, pieces)


def _digests(algorithm: str, pieces: Sequence[Chunks]) -> list[str]:
    found = []
    for chunks in pieces:
        state = hashlib.new(HASHLIB[algorithm])
        for chunk in chunks:
            state.update(chunk)
        found.append(state.hexdigest())
    return found
