"""Metalinks of files that tests make up."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr


def metalink(
    *files: tuple[str, bytes, Sequence[str]],
    piece: int | None = None,
    whole: bool = True,
    size: int | None = None,
    signature: bytes | None = None,
) -> bytes:
    """A Metalink of files by their name, content and mirrors, in the order of priority.

    With `piece`, there are SHA-256 hashes of pieces of that length; `size` is what it says of the
    length in place of the truth, and `signature` an armored one of each file.
    """
    lines = ['<metalink xmlns="urn:ietf:params:xml:ns:metalink">']
    for name, content, urls in files:
        said = len(content) if size is None else size
        lines += [f"<file name={quoteattr(name)}>", f"<size>{said}</size>"]
        if signature is not None:
            text = signature.decode()
            lines.append(f'<signature mediatype="application/pgp-signature">{text}</signature>')
        if whole:
            lines.append(f'<hash type="sha-256">{_digest(content)}</hash>')
        if piece is not None:
            lines.append(f'<pieces length="{piece}" type="sha-256">')
            lines += [
                f"<hash>{_digest(content[at : at + piece])}</hash>"
                for at in range(0, len(content), piece)
            ]
            lines.append("</pieces>")
        lines += [
            f'<url priority="{number}">{escape(url)}</url>' for number, url in enumerate(urls, 1)
        ]
        lines.append("</file>")
    return "\n".join([*lines, "</metalink>"]).encode()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
