"""How a source is believed over TLS."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import CertificateOptions, optionsForClientTLS
from zope.interface import implementer

from aprp.core.choices import Http2

H2 = b"h2"
PROTOCOLS = {
    Http2.AUTO: [H2, b"http/1.1"],
    Http2.OFF: None,
    Http2.PRIOR_KNOWLEDGE: [H2],
}
"""What is offered by ALPN."""
UNVERIFIED = object()
"""In place of a trust root, for a program that chose to believe any certificate."""


@implementer(IOpenSSLClientConnectionCreator)
class _AnyCertificate:
    def __init__(self, host: str, protocols: list[bytes] | None) -> None:
        self._host = host.encode("ascii")
        options = CertificateOptions(verify=False, acceptableProtocols=protocols)
        self._context = options.getContext()

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        connection.set_tlsext_host_name(self._host)
        return connection


def client_options(host: str, trust: Any, http2: Http2 = Http2.OFF) -> Any:
    """Return what makes TLS connections to a host; `trust` is as in `Origin`, or UNVERIFIED."""
    protocols = PROTOCOLS[http2]
    if trust is UNVERIFIED:
        return _AnyCertificate(host, protocols)
    return optionsForClientTLS(host, trustRoot=trust, acceptableProtocols=protocols)
