"""Whose certificates are believed."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

UNVERIFIED = object()
"""In place of a trust root, for a program that chose to believe any certificate."""

_MARKER = b"-----BEGIN CERTIFICATE-----"


def trust_of(ca: Path | None) -> Any:
    """Return an IOpenSSLTrustRoot of the certificates in a PEM file, or None for the platform's.

    The same certificates give the same trust root, so that origins made of it at different times
    are equal and share their connections.
    """
    return None if ca is None else _roots(ca.read_bytes())


@lru_cache(maxsize=64)
def _roots(pem: bytes) -> Any:
    from twisted.internet.ssl import Certificate, trustRootFromCertificates  # only for own CAs

    parts = pem.split(_MARKER)[1:]
    return trustRootFromCertificates([Certificate.loadPEM(_MARKER + part) for part in parts])
