"""Hash bytes in a thread. hashlib releases the GIL meanwhile, so the reactor goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from aprp.core.metalink import HASHLIB, TREE, Pieces
from aprp.core.torrents import LEAF

Chunks = Sequence[bytes | memoryview]
AT_ONCE = 1 << 20
"""Bytes that are hashed without the GIL."""


def digests(pieces: Pieces, contents: Sequence[Chunks]) -> Deferred[list[str]]:
    """Return the hexadecimal digests of some pieces, each given in chunks."""
    return deferToThread(_digests, pieces, contents)


def _digests(pieces: Pieces, contents: Sequence[Chunks]) -> list[str]:
    return [_digest(pieces, chunks) for chunks in contents]


def _digest(pieces: Pieces, chunks: Chunks) -> str:
    if pieces.algorithm == TREE:
        return _root(b"".join(chunks), pieces.length // LEAF).hex()
    state = hashlib.new(HASHLIB[pieces.algorithm])
    for data in _joined(chunks):
        state.update(data)
    return state.hexdigest()


def _joined(chunks: Chunks) -> Iterator[bytes | memoryview]:
    """Yield the bytes in large parts: after each of them the thread has to wait for the GIL."""
    waiting: list[bytes | memoryview] = []
    size = 0
    for chunk in chunks:
        waiting.append(chunk)
        size += len(chunk)
        if size >= AT_ONCE:
            yield chunk if len(waiting) == 1 else b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)


def _root(data: bytes, leaves: int) -> bytes:
    """Return the root of the tree over the leaves of a piece; missing ones are zeros (BEP 52)."""
    view = memoryview(data)
    layer = [hashlib.sha256(view[at : at + LEAF]).digest() for at in range(0, len(data), LEAF)]
    layer += [bytes(32)] * (leaves - len(layer))
    while len(layer) > 1:
        pairs = zip(layer[::2], layer[1::2], strict=True)
        layer = [hashlib.sha256(left + right).digest() for left, right in pairs]
    return layer[0]
