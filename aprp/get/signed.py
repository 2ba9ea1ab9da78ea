"""The signatures that ``--keys`` demands: one beside the Metalink, or one of each file inside it.

One beside it proves all that it lists. One inside proves a file, once the file is complete.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from aprp.core.metalink import BadMetalink, MetalinkFile
from aprp.core.values import dataclass
from aprp.upstream.metalink.signatures import (
    MOST_BYTES,
    SUFFIXES,
    BadSignature,
    check_signature,
    not_signed,
)


@dataclass(frozen=True, slots=True)
class FileSignature:
    """The OpenPGP signature of a file, and the keys of which one must have made it."""

    signature: bytes
    keys: Path

    async def check(self, path: Path) -> None:
        """Raise BadSignature if the file at the path isn't the one that was signed."""
        await check_signature(path, self.signature, self.keys)


async def is_signed(
    data: bytes, name: str, keys: Path, beside: Callable[[str], Awaitable[bytes | None]]
) -> bool:
    """Return whether a good signature is beside a Metalink, or false if there is none.

    `beside` returns what is at the Metalink's name with a suffix. Raise BadMetalink for a bad one.
    """
    why = None
    for suffix in SUFFIXES:
        found = await beside(suffix)
        if found is None:
            continue
        try:
            if len(found) > MOST_BYTES:
                raise BadSignature(f"it has more than {MOST_BYTES} bytes")
            await check_signature(data, found, keys)
            return True
        except BadSignature as error:
            why = str(error)
    if why is not None:
        raise BadMetalink(not_signed(name, why))
    return False


def signature_inside(file: MetalinkFile, name: str, keys: Path) -> FileSignature:
    """Return the signature of a file that an unsigned Metalink has for it, or raise BadMetalink."""
    if file.signature is None:
        raise BadMetalink(
            f"{name} isn't signed: there is no signature beside it, with {' or '.join(SUFFIXES)} "
            f"after its name, and no <signature> of {file.name!a} in it"
        )
    return FileSignature(file.signature.encode(), keys)
