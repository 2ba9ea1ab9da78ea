"""Upstreams over TLS: a certificate is believed only from the right authority, for its name."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from aprp.config import TlsSettings
from tests.nginx import Nginx
from tests.proxied import ProxiedCase

SERVER = "ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key;"
DAY = datetime.timedelta(days=1)


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self, title: str) -> None:
        self.name = name(title)
        self.key = ec.generate_private_key(ec.SECP256R1())
        made = self._builder(self.name, self.key).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.certificate = made.sign(self.key, hashes.SHA256())

    def _builder(self, subject: x509.Name, key: Any) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return x509.CertificateBuilder(
            issuer_name=self.name,
            subject_name=subject,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - DAY,
            not_valid_after=now + DAY,
        )

    def write(self, path: Path) -> Path:
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def write_server(self, folder: Path, alternative: x509.GeneralName) -> None:
        """server.pem and server.key, for a server of that name."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._builder(name("server"), key).add_extension(
            x509.SubjectAlternativeName([alternative]), critical=False
        )
        certificate = made.sign(self.key, hashes.SHA256())
        (folder / "server.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (folder / "server.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )


LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


class TlsTests(ProxiedCase):
    def upstream(self, authority: Authority, alternative: x509.GeneralName) -> Nginx:
        folder = self.folder()
        authority.write_server(folder, alternative)
        nginx = Nginx(folder, SERVER, ssl=True)
        self.addCleanup(nginx.stop)
        (nginx.www / "a.txt").write_bytes(b"secret")
        return nginx

    def trusting(self, authority: Authority) -> TlsSettings:
        return TlsSettings(ca=authority.write(self.folder() / "ca.pem"))

    async def test_verified_by_address_and_by_name(self) -> None:
        authority = Authority("ours")
        for host, alternative in (
            ("127.0.0.1", LOOPBACK),
            ("localhost", x509.DNSName("localhost")),
        ):
            nginx = self.upstream(authority, alternative)
            url = f"https://{host}:{nginx.port}/"
            port = self.proxy(url, tls=self.trusting(authority))
            got = await self.ask(port, "/a.txt", {"Range": "bytes=1-3"})
            self.assertEqual((got.status, got.body), (206, b"ecr"))

    async def test_the_wrong_name(self) -> None:
        authority = Authority("ours")
        nginx = self.upstream(authority, x509.DNSName("other.example"))
        for host in ("127.0.0.1", "localhost"):
            port = self.proxy(f"https://{host}:{nginx.port}/", tls=self.trusting(authority))
            await self._refused(port)

    async def test_an_authority_that_is_not_trusted(self) -> None:
        nginx = self.upstream(Authority("theirs"), LOOPBACK)
        for tls in (self.trusting(Authority("ours")), TlsSettings()):
            await self._refused(self.proxy(nginx.url, tls=tls))

    async def test_an_upstream_that_does_not_speak_tls(self) -> None:
        nginx = self.nginx()
        got = await self.ask(self.proxy(f"https://127.0.0.1:{nginx.port}/"), "/")
        self.assertEqual(got.status, 502)
        self.assertIn("error=tls_protocol_error", got.fields["Proxy-Status"])

    async def _refused(self, port: int) -> None:
        got = await self.ask(port, "/a.txt")
        self.assertEqual(got.status, 502)
        self.assertIn("error=tls_certificate_error", got.fields["Proxy-Status"])
        self.assertIn(b"certificate", got.body)
        self.assertNotIn(b"secret", got.body)
        self.assertEqual(self.agent.connections, 0)
