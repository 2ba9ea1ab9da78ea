"""TLS on both sides: to upstreams, whose certificates are verified, and from clients."""

from __future__ import annotations

import datetime
import ipaddress
import random
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet.ssl import (
    Certificate,
    DefaultOpenSSLContextFactory,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.internet.task import deferLater

from aprp.config import TlsSettings
from tests.support.client import Client, reactor
from tests.support.logged import Logged
from tests.support.nginx import Nginx
from tests.support.patience import PATIENCE
from tests.support.proxied_case import ProxyCase

SERVER = "ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key;"
DAY = datetime.timedelta(days=1)
LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


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

    def write_server(self, folder: Path, *alternatives: x509.GeneralName) -> None:
        """server.pem and server.key, for a server of those names."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._builder(name("127.0.0.1"), key)
        if alternatives:
            names = x509.SubjectAlternativeName(alternatives)
            made = made.add_extension(names, critical=False)
        certificate = made.sign(self.key, hashes.SHA256())
        (folder / "server.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (folder / "server.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )


class ListeningTests(ProxyCase):
    """The proxy as a TLS server."""

    def context(self) -> Any:
        folder = self.folder()
        self.authority = Authority("ours")
        self.authority.write_server(folder, LOOPBACK)
        return DefaultOpenSSLContextFactory(str(folder / "server.key"), str(folder / "server.pem"))

    async def trusting(self, port: int) -> Client:
        ca = self.authority.certificate.public_bytes(serialization.Encoding.PEM)
        trust = trustRootFromCertificates([Certificate.loadPEM(ca)])
        return await self.client(port, optionsForClientTLS("127.0.0.1", trustRoot=trust))

    def in_front_of_much(self, **terms: Any) -> int:
        nginx = self.nginx()
        with open(nginx.www / "large.bin", "wb") as large:
            large.truncate(2**28)
        return self.proxy(nginx.url, context=self.context(), **terms)

    async def asking_for_much(self, port: int) -> Client:
        client = await self.trusting(port)
        client.keep = False
        await client.send(b"GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\n")
        return client

    async def test_ranges_and_what_the_upstream_hears(self) -> None:
        content = random.Random(6).randbytes(3_000_000)
        nginx = self.nginx(
            'location /echo { return 200 "$http_x_forwarded_proto"; }', a_bin=content
        )
        port = self.proxy(nginx.url, context=self.context())
        client = await self.trusting(port)
        await client.send(b"GET /echo HTTP/1.1\r\nHost: h\r\n\r\n")
        await client.send(
            b"GET /a.bin HTTP/1.1\r\nHost: h\r\nRange: bytes=5-\r\nConnection: close\r\n\r\n"
        )
        await client.ended(PATIENCE)
        scheme, film = client.received_answers(b"GET", b"GET")
        self.assertEqual(scheme.body, b"https")
        self.assertEqual((film.status, film.body), (206, content[5:]))

    async def test_a_client_is_cut_or_held_back_or_leaves(self) -> None:
        port = self.in_front_of_much(send_timeout=0.5)
        client = await self.asking_for_much(port)
        await client.until(lambda: client.received > 2**20)
        client.transport.pauseProducing()
        await self.soon(lambda: bool(self.records))
        self.assertEqual(self.records[-1].error, "connection_write_timeout")
        self.assertLess(self.records[-1].bytes_sent, 2**26)
        await self.soon(lambda: self.agent.connections == 0)
        client.transport.resumeProducing()
        await client.ended(PATIENCE)
        self.assertNotEqual(client.closed, "fin")
        leaving = await self.asking_for_much(port)
        await leaving.until(lambda: leaving.received > 2**20)
        leaving.transport.abortConnection()
        await leaving.ended(PATIENCE)
        await self.soon(lambda: self.records[-1].ended == "client left")
        await self.soon(lambda: self.agent.connections == 0)

    async def test_a_client_that_takes_little_at_a_time_is_not_cut(self) -> None:
        # a closed TCP window opens again only when a sixteenth of a buffer of megabytes is free,
        # which takes this client more than half a second
        client = await self.asking_for_much(self.in_front_of_much(send_timeout=5.0))
        await client.until(lambda: client.received > 0)
        until = reactor.seconds() + 7.0
        while reactor.seconds() < until:
            client.transport.pauseProducing()
            before = client.received
            await deferLater(reactor, 0.1)
            client.transport.resumeProducing()
            await client.until_received(before + 1)
        self.assertEqual(self.records, [])


class TlsTests(ProxyCase):
    def upstream(self, authority: Authority, *alternatives: x509.GeneralName) -> Nginx:
        folder = self.folder()
        authority.write_server(folder, *alternatives)
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

    async def test_a_certificate_that_names_no_host(self) -> None:
        """A common name alone says nothing (RFC 9525 section 2), whoever signed it."""
        logged = Logged(self)
        authority = Authority("ours")
        nginx = self.upstream(authority)
        await self._refused(self.proxy(nginx.url, tls=self.trusting(authority)))
        self.assertIn(
            ": its certificate names no host; it needs a subjectAltName", " ".join(logged.lines)
        )
        self.assertFalse([each for each in logged.events if "log_failure" in each])

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
