"""Whose certificates are believed."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from twisted.internet.ssl import Certificate, trustRootFromCertificates

from aprp.config import TlsSettings

_MARKER = b"-----BEGIN CERTIFICATE-----"


def trust_of(tls: TlsSettings) -> Any:
    """An IOpenSSLTrustRoot of the certificates that are named, None for the platform's.

    The same certificates give the same trust root, so that origins made of it at different times
    are equal and share their connections.
    """
    return None if tls.ca is None else _roots(tls.ca.read_bytes())


@lru_cache(maxsize=64)
def _roots(pem: bytes) -> Any:
    parts = pem.split(_MARKER)[1:]
    return trustRootFromCertificates([Certificate.loadPEM(_MARKER + part) for part in parts])
