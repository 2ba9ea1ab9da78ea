"""What a Metalink says of a file (RFC 5854), and the arithmetic of its pieces.

A file is divided into pieces of equal length, of which the last may be shorter. A piece counts only
as a whole: a file on disk is good up to the last piece before the first wrong one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aprp.core.http.ranges import Range
from aprp.core.http.urls import Url
from aprp.core.values import dataclass

DIGITS = {"sha-512": 128, "sha-384": 96, "sha-256": 64, "sha-1": 40, "md5": 32}
"""Hexadecimal digits of the hash functions that are verified, the strongest first."""
TREE = "sha-256-tree"
"""The algorithm of a torrent's version 2: the root of a tree of SHA-256 hashes (BEP 52)."""
HASHLIB = {name: name.replace("-", "") for name in DIGITS}
"""What Python's hashlib calls them."""
LONGEST_PIECE = 64 << 20
"""Bytes; a piece is held in memory until it is verified."""
LAST = 999999
"""The priority of a mirror without one, and the highest there is (RFC 5854 section 4.2.16.2)."""


MOST_BYTES = 16 << 20
"""The largest Metalink that is read; one of 100,000 pieces has about 9 MB."""


class BadMetalink(Exception):
    """Raised for a Metalink that can't be used; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Hash:
    """An algorithm (a key of DIGITS) and a digest in lower-case hexadecimal."""

    algorithm: str
    digest: str


@dataclass(frozen=True, slots=True)
class Pieces:
    """The digests of all pieces of `length` bytes, in order."""

    algorithm: str
    length: int
    digests: tuple[str, ...]

    def fits(self, complete: int) -> bool:
        """Return whether a file of `complete` bytes has as many pieces as there are digests."""
        return -(-complete // self.length) == len(self.digests)

    def at(self, offset: int) -> int:
        """Return the number of the piece that holds the offset, counted from 0."""
        return offset // self.length

    def range_of(self, number: int, complete: int) -> Range:
        """Return the bytes of a piece."""
        start = number * self.length
        return Range(start, min(start + self.length, complete))

    def around(self, start: int, stop: int | None, complete: int) -> tuple[int, int]:
        """Return the bytes of all pieces that hold some of [start, stop); None: to the end."""
        last = complete if stop is None else min(stop, complete)
        return self.range_of(self.at(start), complete).start, self.range_of(
            self.at(last - 1), complete
        ).stop

    def whole_in(self, written: int, complete: int) -> int:
        """Return how many pieces the first `written` bytes hold from start to end."""
        return len(self.digests) if written >= complete else written // self.length


@dataclass(frozen=True, slots=True)
class Mirror:
    """A place that has the file: a lower priority comes first; a location is a country's code."""

    url: Url
    priority: int = LAST
    location: str | None = None


@dataclass(frozen=True, slots=True)
class MetalinkFile:
    """One file of a Metalink. `hashes` are of the whole file; `name` is a relative path.

    `signature` is an OpenPGP signature of the file itself, with its armor (section 4.2.13).
    """

    name: str
    mirrors: tuple[Mirror, ...]
    size: int | None = None
    hashes: tuple[Hash, ...] = ()
    pieces: Pieces | None = None
    signature: str | None = None

    @property
    def checksum(self) -> Hash | None:
        """The strongest hash of the whole file, or None if there is none that can be verified."""
        return strongest(self.hashes)

    def ordered(self, locations: Iterable[str] = ()) -> tuple[Mirror, ...]:
        """Return the mirrors by location, as far as preferred ones are given, then by priority."""
        preferred = {code.lower() for code in locations}
        return tuple(
            sorted(
                dict.fromkeys(self.mirrors),
                key=lambda each: ((each.location or "") not in preferred, each.priority),
            )
        )


def chosen(files: Sequence[MetalinkFile], path: str) -> MetalinkFile | None:
    """Return the file that a request for a path means: the one of that name, or the only one."""
    if len(files) == 1:
        return files[0]
    named = [each for each in files if ("/" + path).endswith("/" + each.name)]
    return max(named, key=lambda each: len(each.name), default=None)


def strongest(hashes: Sequence[Hash]) -> Hash | None:
    """Return the hash whose algorithm comes first in DIGITS."""
    order = list(DIGITS)
    return min(hashes, key=lambda each: order.index(each.algorithm), default=None)


def check_name(name: str) -> None:
    """Raise ValueError if a file's name leads out of the folder, or isn't one (section 4.1.2.1)."""
    if not name or name.startswith("/") or "\\" in name:
        raise ValueError("isn't a relative path with slashes")
    if any(ord(character) < 32 or ord(character) == 127 for character in name):
        raise ValueError("has a control character")
    if any(part in ("", ".", "..") for part in name.split("/")):
        raise ValueError("has an empty, . or .. segment, which may lead out of the folder")
