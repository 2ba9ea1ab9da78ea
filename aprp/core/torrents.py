"""What a torrent says of files: their lengths, piece hashes and web seeds (BEP 3, 19, 47 and 52).

Of a torrent with both versions of hashes, those of version 2 are used: they are SHA-256, and each
file has its own. The pieces of version 1 run across files, so they are only used for a torrent of
one file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from aprp.core.http.urls import Url
from aprp.core.metalink import LONGEST_PIECE, TREE, MetalinkFile, Mirror, Pieces, check_name

LEAF = 16384
"""Bytes of a leaf of the hash trees of version 2."""
_MOST_DEPTH = 32
_MOST_DIGITS = 18
_MOST_FILES = 1000


def parse_torrent(data: bytes) -> tuple[MetalinkFile, ...]:
    """Return the files of a torrent, one at least. Raise ValueError with what is wrong."""
    torrent, end = _value(data, 0, 0)
    if end != len(data) or not isinstance(torrent, dict):
        raise ValueError("isn't a torrent: it has to be one bencoded dictionary")
    info = _of(torrent, b"info", dict)
    files = tuple(_second(torrent, info) if b"file tree" in info else _first(torrent, info))
    if not files or len(files) > _MOST_FILES:
        raise ValueError(f"has {len(files)} files; 1 to {_MOST_FILES} are read")
    return files


def _first(torrent: dict[bytes, Any], info: dict[bytes, Any]) -> Iterator[MetalinkFile]:
    """Yield the files of version 1."""
    name = _text(_of(info, b"name", bytes))
    if b"files" in info:
        for each in _of(info, b"files", list):
            if not isinstance(each, dict) or b"p" in each.get(b"attr", b""):
                continue
            path = "/".join(_text(part) for part in _of(each, b"path", list))
            yield _file(torrent, f"{name}/{path}", _size(each), None)
        return
    size, length = _size(info), _length(info)
    hashes = _of(info, b"pieces", bytes)
    digests = tuple(hashes[at : at + 20].hex() for at in range(0, len(hashes), 20))
    pieces = Pieces("sha-1", length, digests)
    if len(hashes) % 20 or not pieces.fits(size):
        raise ValueError(f"has {len(digests)} pieces of {length} bytes for {size} bytes")
    yield _file(torrent, name, size, pieces)


def _second(torrent: dict[bytes, Any], info: dict[bytes, Any]) -> Iterator[MetalinkFile]:
    """Yield the files of version 2."""
    length, layers = _length(info), torrent.get(b"piece layers", {})
    if length < LEAF or length & (length - 1) or not isinstance(layers, dict):
        raise ValueError("has pieces whose length isn't a power of two, or no piece layers")
    found = list(_tree(_of(info, b"file tree", dict), ()))
    for path, about in found:
        size = _size(about)
        root = about.get(b"pieces root", b"")
        name = "/".join(path)
        if len(found) > 1:
            name = f"{_text(_of(info, b'name', bytes))}/{name}"
        yield _file(torrent, name, size, _layer(size, length, root, layers))


def _layer(size: int, length: int, root: Any, layers: dict[bytes, Any]) -> Pieces:
    """Return the pieces of a file of version 2; one that fits in a piece has the root alone."""
    if size <= length:
        leaves = max(1, -(-size // LEAF))
        one = (1 << (leaves - 1).bit_length()) * LEAF
        hashes, length = (root if size else b""), one
    else:
        hashes = layers.get(root, b"")
    if not isinstance(hashes, bytes):
        raise ValueError("has a piece layer that isn't a string")
    digests = tuple(hashes[at : at + 32].hex() for at in range(0, len(hashes), 32))
    pieces = Pieces(TREE, length, digests)
    if len(hashes) % 32 or not pieces.fits(size):
        raise ValueError(f"has {len(digests)} pieces of {length} bytes for {size} bytes")
    return pieces


def _tree(tree: dict[bytes, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, below in tree.items():
        if not isinstance(below, dict):
            raise ValueError("has a file tree that isn't one of dictionaries")
        if name == b"":
            yield path, below
        else:
            yield from _tree(below, (*path, _text(name)))


def _file(torrent: dict[bytes, Any], name: str, size: int, pieces: Pieces | None) -> MetalinkFile:
    try:
        check_name(name)
    except ValueError as error:
        raise ValueError(f"has the file name {name!a}, which {error}") from None
    seeds = torrent.get(b"url-list", [])
    texts = [seeds] if isinstance(seeds, bytes) else seeds
    mirrors = []
    for text in texts if isinstance(texts, list) else []:
        if isinstance(text, bytes) and text:
            base = text.decode("utf-8", "replace")
            try:
                url = Url.parse(base + quote(name) if base.endswith("/") else base)
            except ValueError:
                continue
            mirrors.append(Mirror(url))
    return MetalinkFile(name, tuple(mirrors), size, (), pieces)


def _length(info: dict[bytes, Any]) -> int:
    length: int = _of(info, b"piece length", int)
    if not 1 <= length <= LONGEST_PIECE:
        raise ValueError(f"has pieces of {length} bytes; 1 to {LONGEST_PIECE} work")
    return length


def _size(about: Any) -> int:
    size: int = _of(about, b"length", int)
    if size < 0:
        raise ValueError("has a file of a negative length")
    return size


def _of(about: Any, key: bytes, kind: type) -> Any:
    found = about.get(key) if isinstance(about, dict) else None
    if not isinstance(found, kind):
        raise ValueError(f"has no {key.decode()}, or a malformed one")
    return found


def _text(value: Any) -> str:
    if not isinstance(value, bytes):
        raise ValueError("has a name that isn't a string")
    return value.decode("utf-8", "surrogateescape")


def _value(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    """Return the bencoded value at an offset, and where it ends."""
    kind = data[at : at + 1]
    if depth > _MOST_DEPTH:
        raise ValueError(f"is nested deeper than {_MOST_DEPTH}")
    if kind == b"i":
        end = data.find(b"e", at, at + _MOST_DIGITS + 3)
        return _number(data[at + 1 : end], signed=True), end + 1
    if kind in (b"l", b"d"):
        items, at = [], at + 1
        while data[at : at + 1] != b"e":
            item, at = _value(data, at, depth + 1)
            items.append(item)
        if kind == b"l":
            return items, at + 1
        keys = items[::2]
        if len(items) % 2 or not all(isinstance(key, bytes) for key in keys):
            raise ValueError("has a malformed dictionary")
        return dict(zip(keys, items[1::2], strict=True)), at + 1
    colon = data.find(b":", at, at + _MOST_DIGITS + 1)
    start = colon + 1
    stop = start + _number(data[at:colon] if colon >= 0 else b"")
    if stop > len(data):
        raise ValueError("ends in the middle of a string")
    return data[start:stop], stop


def _number(digits: bytes, signed: bool = False) -> int:
    plain = digits.removeprefix(b"-") if signed else digits
    if not plain.isdigit():
        raise ValueError("isn't bencoded")
    return int(digits)
