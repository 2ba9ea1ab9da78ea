"""Torrents of files that tests make up."""

from __future__ import annotations

import hashlib
from typing import Any

LEAF = 16384


def bencoded(value: Any) -> bytes:
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(map(bencoded, value)) + b"e"
    return b"d" + b"".join(bencoded(key) + bencoded(value[key]) for key in sorted(value)) + b"e"


def first_version(name: bytes, content: bytes, piece: int, **more: Any) -> bytes:
    """A torrent of one file with SHA-1 pieces; `more` are members beside `info`."""
    parts = (content[at : at + piece] for at in range(0, len(content), piece))
    info = {
        b"name": name,
        b"length": len(content),
        b"piece length": piece,
        b"pieces": b"".join(hashlib.sha1(part).digest() for part in parts),
    }
    return bencoded({b"info": info} | {key.encode(): value for key, value in more.items()})


def second_version(
    name: bytes, files: dict[bytes, bytes], piece: int, older: bool = False, **more: Any
) -> bytes:
    """A torrent of version 2, or a hybrid whose older part is of another length."""
    tree: dict[bytes, Any] = {}
    layers: dict[bytes, bytes] = {}
    for path, content in files.items():
        about: dict[bytes, Any] = {b"length": len(content)}
        if content:
            leaves = [content[at : at + LEAF] for at in range(0, len(content), LEAF)]
            hashes = [hashlib.sha256(leaf).digest() for leaf in leaves]
            count = 1
            while count < len(hashes):
                count *= 2
            about[b"pieces root"] = root = merkle(hashes + [bytes(32)] * (count - len(hashes)))
            if len(content) > piece:
                per = piece // LEAF
                rows = [hashes[at : at + per] for at in range(0, len(hashes), per)]
                rows = [row + [bytes(32)] * (per - len(row)) for row in rows]
                layers[root] = b"".join(map(merkle, rows))
        *folders, last = path.split(b"/")
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = {b"": about}
    info = {b"name": name, b"piece length": piece, b"meta version": 2, b"file tree": tree}
    if older:
        info |= {b"length": 1, b"pieces": bytes(20)}
    members = {b"info": info, b"piece layers": layers}
    return bencoded(members | {key.encode(): value for key, value in more.items()})


def merkle(hashes: list[bytes]) -> bytes:
    if len(hashes) == 1:
        return hashes[0]
    half = len(hashes) // 2
    return hashlib.sha256(merkle(hashes[:half]) + merkle(hashes[half:])).digest()
