"""Mirrors over TLS: each is verified by its own name, and nothing of one name serves another."""

from __future__ import annotations

import os
import random

from cryptography import x509

from aprp.config import TlsSettings
from tests.support.logged import Logged
from tests.support.mirrored_case import MirroredCase
from tests.support.nginx import Nginx
from tests.test_reverse_tls import LOOPBACK, SERVER, Authority

FILM = random.Random(8).randbytes(4 * 1024 * 1024)
MADE_AT = 1767225600
LOG = 'log_format seen "$connection $http_host $ssl_server_name $ssl_session_reused";'
LOCALHOST = x509.DNSName("localhost")


class TlsMirrorsTests(MirroredCase):
    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority("ours")
        self.logged = Logged(self)

    def mirror(self, name: x509.GeneralName, authority: Authority | None = None) -> Nginx:
        """One that has the film, and a certificate for that name."""
        folder = self.folder()
        (authority or self.authority).write_server(folder, name)
        server = SERVER + "access_log {folder}/seen.log seen; limit_rate 2m;"
        nginx = Nginx(folder, server, LOG, ssl=True)
        self.addCleanup(nginx.stop)
        (nginx.www / "f").write_bytes(FILM)
        os.utime(nginx.www / "f", (MADE_AT, MADE_AT))
        return nginx

    def over(self, *urls: str) -> int:
        """A proxy that believes our authority; gives its port."""
        tls = TlsSettings(ca=self.authority.write(self.folder() / "ca.pem"))
        return self.in_front_of(urls, tls=tls)

    def seen(self, nginx: Nginx) -> list[list[str]]:
        """Connection, Host, name asked for in TLS and r for a session used again; by request."""
        log = nginx.folder / "seen.log"
        return [line.split() for line in log.read_text().splitlines()] if log.exists() else []

    async def test_the_film_from_both(self) -> None:
        one, two = self.mirror(LOOPBACK), self.mirror(LOCALHOST)
        names = [one.url, f"https://localhost:{two.port}/"]
        got = await self.ask(self.over(*names), "/f")
        self.assertEqual((got.status, got.whole, got.body == FILM), (200, True, True))
        self.assertEqual(self.records[0].upstream, ",".join(names))
        await self.soon(lambda: self.seen(two))  # nginx writes it after the response
        self.assertEqual({each[2] for each in self.seen(two)}, {"localhost"})

    async def test_a_mirror_of_the_wrong_name_is_done_without_and_named(self) -> None:
        good, wrong = self.mirror(LOOPBACK), self.mirror(x509.DNSName("other.example"))
        for urls in ((wrong.url, good.url), (good.url, wrong.url)):
            got = await self.ask(self.over(*urls), "/f")
            self.assertEqual((got.status, got.whole, got.body == FILM), (200, True, True))
            self.assertEqual(self.records[-1].upstream, good.url)
        said = f"{wrong.url}: 127.0.0.1:{wrong.port}: its certificate names another"
        self.assertTrue([line for line in self.logged.lines if said in line], self.logged.lines)
        self.assertEqual(self.seen(wrong), [])

    async def test_when_none_can_be_believed(self) -> None:
        wrong = self.mirror(x509.DNSName("other.example"))
        strange = self.mirror(LOOPBACK, Authority("theirs"))
        got = await self.ask(self.over(wrong.url, strange.url), "/f")
        self.assertEqual(got.status, 502)
        self.assertIn("error=tls_certificate_error", got.fields["Proxy-Status"])
        text = got.body.decode()
        self.assertIn("source 1: its certificate names another", text)
        self.assertIn("source 2: the certificate isn't trusted", text)
        self.assertEqual(self.seen(wrong) + self.seen(strange), [])

    async def test_no_session_of_one_name_serves_another(self) -> None:
        """One server by two names, of which its certificate has the first alone."""
        nginx = self.mirror(LOCALHOST)
        right, wrong = f"https://localhost:{nginx.port}/", nginx.url
        port = self.over(right, wrong)
        for _ in range(3):
            got = await self.ask(port, "/f")
            self.assertEqual((got.status, got.body == FILM), (200, True))
        self.assertEqual({record.upstream for record in self.records}, {right})
        self.assertEqual({each[1] for each in self.seen(nginx)}, {f"localhost:{nginx.port}"})
