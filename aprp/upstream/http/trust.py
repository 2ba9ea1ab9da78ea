"""Whose certificates are believed."""

from __future__ import annotations

from typing import Any

from twisted.internet.ssl import Certificate, trustRootFromCertificates

from aprp.config import TlsSettings

_MARKER = b"-----BEGIN CERTIFICATE-----"


def trust_of(tls: TlsSettings) -> Any:
    """An IOpenSSLTrustRoot of the certificates that are named, None for the platform's."""
    if tls.ca is None:
        return None
    parts = tls.ca.read_bytes().split(_MARKER)[1:]
    return trustRootFromCertificates([Certificate.loadPEM(_MARKER + part) for part in parts])
