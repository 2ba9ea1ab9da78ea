"""The checksums that a user gives, of a file or of its pieces; a file's, while it is downloaded."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Self

from aprp.config.scalars import Size
from aprp.core.metalink import LONGEST_PIECE, MOST_BYTES, Pieces
from aprp.core.values import dataclass

ALGORITHMS = {
    "sha-256": "sha256",
    "sha-512": "sha512",
    "sha-384": "sha384",
    "sha-1": "sha1",
    "md5": "md5",
}
_HEX = re.compile(r"[0-9A-Fa-f]+")


@dataclass(frozen=True, slots=True)
class Checksum:
    """An expected checksum: an algorithm (a key of ALGORITHMS) and a lower-case hex digest."""

    algorithm: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``sha-256=HEX``. Raise ValueError if it is invalid."""
        name, equals, digest = text.partition("=")
        if not equals:
            raise ValueError("write a checksum as sha-256=HEX")
        algorithm = _algorithm(name)
        return cls(algorithm, _digest(algorithm, digest))


def parse_pieces(text: str) -> Pieces:
    """Parse ``sha-256/1MiB=HEX,HEX`` or ``sha-256/1MiB=@FILE``; FILE has a checksum on each line.

    What follows a checksum on its line is ignored, as are empty lines and those that begin with #.
    Raise ValueError if it is invalid, or FILE can't be read.
    """
    name, _, rest = text.partition("/")
    length_text, equals, given = rest.partition("=")
    if not equals:
        raise ValueError("write checksums of pieces as sha-256/1MiB=@FILE")
    algorithm, length = _algorithm(name), Size().read(length_text)
    Size(1, LONGEST_PIECE).bound(length)
    if not given.startswith("@"):
        found = [_digest(algorithm, each.strip()) for each in given.split(",")]
        return Pieces(algorithm, length, tuple(found))
    found = []
    for number, line in enumerate(_lines(Path(given[1:])), 1):
        words = line.split()
        if words and not words[0].startswith("#"):
            try:
                found.append(_digest(algorithm, words[0]))
            except ValueError as error:
                raise ValueError(f"{given[1:]}:{number}: {error}") from None
    return Pieces(algorithm, length, tuple(found))


def _lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path} can't be read: {error.strerror}") from None
    if len(data) > MOST_BYTES:
        raise ValueError(f"{path} has more than {MOST_BYTES} bytes, the most that are read")
    return data.decode("utf-8", "replace").splitlines()


def _algorithm(name: str) -> str:
    name = name.strip().lower()
    algorithm = next((a for a, b in ALGORITHMS.items() if name in (a, b)), None)
    if algorithm is None:
        raise ValueError(f"the algorithm {name!a} isn't one of {', '.join(ALGORITHMS)}")
    return algorithm


def _digest(algorithm: str, digest: str) -> str:
    digits = hashlib.new(ALGORITHMS[algorithm]).digest_size * 2
    if not _HEX.fullmatch(digest) or len(digest) != digits:
        raise ValueError(f"a {algorithm} checksum has {digits} hexadecimal digits")
    return digest.lower()


class Check:
    """Hashes the bytes from the first one on. Without a checksum it does nothing."""

    def __init__(self, expected: Checksum | None) -> None:
        self.expected = expected
        self._hash = hashlib.new(ALGORITHMS[expected.algorithm]) if expected else None

    def update(self, data: bytes) -> None:
        """Add the next bytes."""
        if self._hash is not None:
            self._hash.update(data)

    @property
    def found(self) -> str | None:
        """The digest of the bytes so far, or None without an expected checksum."""
        return None if self._hash is None else self._hash.hexdigest()

    @property
    def wrong(self) -> bool:
        """Whether the digest differs from the expected one."""
        return self.expected is not None and self.found != self.expected.digest
