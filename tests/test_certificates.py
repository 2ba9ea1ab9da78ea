"""Certificates of TLS listeners: by name, by version, and read again when their files change."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import SimpleNamespace

from cryptography import x509
from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from aprp.config import CertificateSettings
from aprp.daemon.certificates import CannotUse, Certificates
from tests.test_reverse_tls import Authority

AUTHORITY = Authority("ours")


def shake_hands(server: SSL.Connection, client: SSL.Connection) -> None:
    """Run the handshake of two connections in memory; raises SSL.Error."""
    server.set_accept_state()
    client.set_connect_state()
    for _ in range(10):
        for one, other in ((client, server), (server, client)):
            with contextlib.suppress(SSL.WantReadError):
                one.do_handshake()
            with contextlib.suppress(SSL.WantReadError):
                while data := one.bio_read(65536):
                    other.bio_write(data)


class CertificateTests(SynchronousTestCase):
    def made(self, name: str) -> CertificateSettings:
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        AUTHORITY.write_server(folder, x509.DNSName(name))
        return CertificateSettings(certificate=folder / "server.pem", key=folder / "server.key")

    def shown(self, certificates: Certificates, name: str, version: int | None = None) -> list[str]:
        """The names in the certificate that a client for that host is shown."""
        context = SSL.Context(SSL.TLS_METHOD)
        if version is not None:
            context.set_max_proto_version(version)
        client = SSL.Connection(context, None)
        client.set_tlsext_host_name(name.encode())
        shake_hands(certificates.serverConnectionForTLS(None), client)
        peer = client.get_peer_certificate()
        assert peer is not None
        names = peer.to_cryptography().extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
        return names.value.get_values_for_type(x509.DNSName)

    def test_each_name_gets_its_own(self) -> None:
        certificates = Certificates([self.made("films.example"), self.made("*.example.org")])
        for asked, shown in (
            ("films.example", "films.example"),
            ("FILMS.example", "films.example"),
            ("a.example.org", "*.example.org"),
            ("a.b.example.org", "films.example"),
            ("unknown.example", "films.example"),
        ):
            self.assertEqual(self.shown(certificates, asked), [shown], asked)

    def test_each_listener_offers_what_it_speaks(self) -> None:
        certificates = Certificates([self.made("films.example"), self.made("*.example.org")])
        for name in ("films.example", "a.example.org", "unknown.example"):
            for offered, chosen in (
                ([b"http/1.1"], b"http/1.1"),
                ([b"h2", b"http/1.1"], b"h2"),
                ([b"http/1.1"], b"http/1.1"),
                ([b"unheard of"], b"http/1.1"),
            ):
                listener = SimpleNamespace(acceptableProtocols=lambda offered=offered: offered)
                protocol = SimpleNamespace(factory=SimpleNamespace(wrappedFactory=listener))
                context = SSL.Context(SSL.TLS_METHOD)
                context.set_alpn_protos([b"h2", b"http/1.1"])
                client = SSL.Connection(context, None)
                client.set_tlsext_host_name(name.encode())
                shake_hands(certificates.serverConnectionForTLS(protocol), client)
                self.assertEqual(client.get_alpn_proto_negotiated(), chosen, (name, offered))

    def test_old_versions_are_refused(self) -> None:
        certificates = Certificates([self.made("films.example")])
        self.shown(certificates, "films.example", SSL.TLS1_2_VERSION)
        self.assertRaises(SSL.Error, self.shown, certificates, "films.example", SSL.TLS1_1_VERSION)

    def test_a_changed_file_is_read_again(self) -> None:
        settings = self.made("films.example")
        certificates = Certificates([settings])
        AUTHORITY.write_server(settings.certificate.parent, x509.DNSName("other.example"))
        self.assertEqual(self.shown(certificates, "x"), ["films.example"])
        certificates.look()
        self.assertEqual(self.shown(certificates, "x"), ["other.example"])

    def test_a_file_that_became_useless_changes_nothing(self) -> None:
        settings = self.made("films.example")
        certificates = Certificates([settings])
        os.truncate(settings.certificate, 100)
        certificates.look()
        self.assertEqual(self.shown(certificates, "x"), ["films.example"])
        self.assertRaises(CannotUse, Certificates, [settings])

    def test_a_key_of_another_certificate_is_a_fault(self) -> None:
        one, other = self.made("films.example"), self.made("other.example")
        error = self.assertRaises(
            ValueError, CertificateSettings, certificate=one.certificate, key=other.key
        )
        self.assertIn("is not the key of", str(error))
