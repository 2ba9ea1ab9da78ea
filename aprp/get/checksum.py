"""Verify a file's checksum while it is downloaded."""

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
    """An expected checksum: an algorithm (a key of ALGORITHMS) and a lower-case hex digest."""

    algorithm: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``sha-256=HEX``. Raise ValueError if it is invalid."""
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
