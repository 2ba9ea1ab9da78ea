"""How a source is believed over TLS."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import CertificateOptions, optionsForClientTLS
from zope.interface import implementer

UNVERIFIED = object()
"""In place of a trust root, for a program that chose to believe any certificate."""


@implementer(IOpenSSLClientConnectionCreator)
class _AnyCertificate:
    def __init__(self, host: str) -> None:
        self._host = host.encode("ascii")
        self._context = CertificateOptions(verify=False).getContext()

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        connection.set_tlsext_host_name(self._host)
        return connection


def client_options(host: str, trust: Any) -> Any:
    """Return what makes TLS connections to a host; `trust` is as in `Origin`, or UNVERIFIED."""
    if trust is UNVERIFIED:
        return _AnyCertificate(host)
    return optionsForClientTLS(host, trustRoot=trust)
