"""How a source is believed over TLS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from service_identity.hazmat import DNS_ID, IPAddress_ID, ServiceID, verify_service_identity
from service_identity.pyopenssl import extract_patterns
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import CertificateOptions, optionsForClientTLS
from twisted.python.failure import Failure
from zope.interface import implementer

from aprp.core.choices import Http2
from aprp.core.http.addresses import parse_address
from aprp.upstream.http.trust import UNVERIFIED
from aprp.upstream.http.wire import H2

PROTOCOLS = {
    Http2.AUTO: [H2, b"http/1.1"],
    Http2.OFF: None,
    Http2.PRIOR_KNOWLEDGE: [H2],
}
"""What is offered by ALPN."""


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


@implementer(IOpenSSLClientConnectionCreator)
class _NamedCertificate:
    """Twisted's own options, but for what decides whether the certificate names the host.

    Theirs takes a certificate from a trusted authority that names nothing (one with a common name
    alone, say) as that of any host, and logs a traceback.
    """

    def __init__(self, host: str, options: Any) -> None:
        self._service: ServiceID = IPAddress_ID(host) if parse_address(host) else DNS_ID(host)
        self._options = options

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        connection: SSL.Connection = self._options.clientConnectionForTLS(tlsProtocol)
        mode = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
        connection.set_verify(mode, self._verifier(tlsProtocol))
        return connection

    def _verifier(self, tls: Any) -> Callable[[Any, Any, int, int, int], bool]:
        def verify(_: Any, certificate: Any, error: int, depth: int, trusted: int) -> bool:
            """Called by OpenSSL for each certificate of the chain; depth 0 is the server's own."""
            nonlocal tls
            if depth:
                return bool(trusted)
            told, tls = tls, None  # a connection and its callback would keep each other
            try:
                verify_service_identity(extract_patterns(certificate), [self._service], [])
            except Exception:
                if told is not None:
                    told.failVerification(Failure())
                return False
            return bool(trusted)

        return verify


def client_options(host: str, trust: Any, http2: Http2 = Http2.OFF) -> Any:
    """Return what makes TLS connections to a host; `trust` is as in `Origin`, or UNVERIFIED."""
    protocols = PROTOCOLS[http2]
    if trust is UNVERIFIED:
        return _AnyCertificate(host, protocols)
    options = optionsForClientTLS(host, trustRoot=trust, acceptableProtocols=protocols)
    return _NamedCertificate(host, options)
