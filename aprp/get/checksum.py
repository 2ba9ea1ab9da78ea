"""A hash that a file must have, and its computing on the way."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Self

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
    """An algorithm (a key of ALGORITHMS) and the digest, in lower-case hexadecimal."""

    algorithm: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """``sha-256=HEX``; ValueError with a sentence where it isn't that."""
        name, equals, digest = text.partition("=")
        name = name.strip().lower()
        if not equals:
            raise ValueError("write a checksum as sha-256=HEX")
        algorithm = next((a for a, b in ALGORITHMS.items() if name in (a, b)), None)
        if algorithm is None:
            raise ValueError(f"the algorithm {name!a} isn't one of {', '.join(ALGORITHMS)}")
        digits = hashlib.new(ALGORITHMS[algorithm]).digest_size * 2
        if not _HEX.fullmatch(digest) or len(digest) != digits:
            raise ValueError(f"a {algorithm} checksum has {digits} hexadecimal digits")
        return cls(algorithm, digest.lower())


class Check:
    """Goes along with the bytes, from the first on; without a checksum it does nothing."""

    def __init__(self, expected: Checksum | None) -> None:
        self.expected = expected
        self._hash = hashlib.new(ALGORITHMS[expected.algorithm]) if expected else None

    def update(self, data: bytes) -> None:
        """The next bytes."""
        if self._hash is not None:
            self._hash.update(data)

    @property
    def found(self) -> str | None:
        """The digest of what came, if it was asked for."""
        return None if self._hash is None else self._hash.hexdigest()

    @property
    def wrong(self) -> bool:
        """Whether it isn't the one that was expected."""
        return self.expected is not None and self.found != self.expected.digest
