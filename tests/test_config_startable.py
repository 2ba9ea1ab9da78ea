"""What a check finds of that which would keep the daemon from starting, without listening."""

from __future__ import annotations

import os
from unittest import mock

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from aprp.config.endpoints import same_socket
from tests.support.config_case import ConfigCase
from tests.test_reverse_tls import Authority

ROUTES = "\nroutes: [{path: /, upstream: 'http://a/'}]\n"


class KeyTests(ConfigCase):
    def setUp(self) -> None:
        super().setUp()
        self.at = self.folder.absolute()
        Authority("ours").write_server(self.folder, x509.DNSName("films.example"))

    def encrypted(self) -> bytes:
        return ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )

    def listening(self, rest: str) -> str:
        return f"listen: ['ssl:8443{rest}']{ROUTES}"

    def test_an_ssl_endpoint_with_a_key_that_fits(self) -> None:
        self.read(self.listening(f":privateKey={self.at}/server.key:certKey={self.at}/server.pem"))
        both = (self.at / "server.pem").read_bytes() + (self.at / "server.key").read_bytes()
        (self.at / "both.pem").write_bytes(both)
        self.read(self.listening(f":{self.at}/both.pem"))

    def test_an_ssl_endpoint_that_could_not_be_opened(self) -> None:
        at = self.at
        other = ec.generate_private_key(ec.SECP256R1())
        (at / "other.key").write_bytes(
            other.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        (at / "locked.key").write_bytes(self.encrypted())
        pem = f":certKey={at}/server.pem"
        for rest, said in (
            ("", "names no privateKey; write it as ssl:8443:privateKey="),
            (pem, "names no privateKey"),
            (f":privateKey={at}/none.key{pem}", f"{at}/none.key can't be read: No such file"),
            (f":{at}/server.key:{at}/none.pem", f"{at}/none.pem can't be read: No such file"),
            (f":{at}/server.key", "aren't a certificate and a key in PEM"),
            (f":{at}/other.key{pem}", f"{at}/other.key is not the key of {at}/server.pem"),
            (f":{at}/locked.key{pem}", f"{at}/locked.key is encrypted; save it without"),
            (
                f":{at}/server.key{pem}:extraCertChain={at}/none",
                f"{at}/none can't be read: No such file",
            ),
        ):
            fault = self.fault(self.listening(rest))
            self.assertTrue(fault.startswith("1:10: listen[0]: "), fault)
            self.assertIn(said, fault)


class LogTests(ConfigCase):
    def logging(self, what: str) -> str:
        return f"listen: [tcp:0]\nlog: {{{what}}}{ROUTES}"

    def test_logs_that_could_not_be_opened(self) -> None:
        (self.folder / "plain").touch()
        for key in ("file", "access"):
            column = 7 + len(key) + 2
            for name, said in (
                ("none/a.log", "none is not a folder; make it"),
                ("plain/a.log", "plain is not a folder; make it"),
                (".", "is a folder; name a file in it"),
            ):
                fault = self.fault(self.logging(f"{key}: {name}"))
                self.assertTrue(fault.startswith(f"2:{column}: log.{key}: "), fault)
                self.assertIn(said, fault)

    def test_logs_that_this_user_may_not_write(self) -> None:
        """Root may write everything, so what the system says is put in its mouth."""
        (self.folder / "old.log").touch()
        with mock.patch.object(os, "access", return_value=False):
            fault = self.fault(self.logging("file: new.log"))
            self.assertRegex(fault, r"log\.file: /.* can't be written by the user \w+; change")
            fault = self.fault(self.logging("access: old.log"))
            self.assertRegex(fault, r"log\.access: /.*/old\.log can't be written by the user \w+")

    def test_logs_that_can_be_opened(self) -> None:
        os.mkfifo(self.folder / "fifo")
        self.read(self.logging("file: fifo, access: new.log"))
        self.assertFalse((self.folder / "new.log").exists())
        self.read(self.logging("file: /dev/null, access: '-'"))


class PortTests(ConfigCase):
    def test_ports_that_cannot_be_had_at_once(self) -> None:
        for one, other in (
            ("tcp:8000", "tcp:8000:interface=127.0.0.1"),
            ("tcp:8000:interface=0.0.0.0", "tls:8000"),
            ("tcp:8000:interface=localhost", "tls:8000:interface=127.0.0.1"),
            ("tcp:port=8000", "haproxy:tcp:8000"),
            (r"tcp6:8000:interface=\:\:1", r"tcp6:8000:interface=0\:0\:\:1"),
            (r"tcp6:8000", r"tcp:8000:interface=\:\:1"),
        ):
            self.assertTrue(same_socket(one, other), one)
            self.assertTrue(same_socket(other, one), one)

    def test_ports_beside_each_other(self) -> None:
        for one, other in (
            ("tcp:8000", "tcp:8001"),
            ("tcp:8000:interface=127.0.0.1", "tls:8000:interface=127.0.0.2"),
            ("tcp:8000", r"tcp6:8000:interface=\:\:1"),
            ("tcp:8000:interface=127.0.0.1", "unix:/run/8000"),
            ("tcp:0", "tls:0"),
            ("tcp:x", "tcp:8000"),
        ):
            self.assertFalse(same_socket(one, other), one)
            self.assertFalse(same_socket(other, one), one)

    def test_all_addresses_of_ipv6_are_those_of_ipv4_unless_the_system_says_no(self) -> None:
        for only, same in (("0\n", True), ("1\n", False)):
            with mock.patch("pathlib.Path.read_text", return_value=only):
                self.assertEqual(same_socket("tcp6:8000", "tcp:8000"), same)

    def test_the_line(self) -> None:
        said = self.fault("listen: [tcp:1]\nadmin: tcp:1:interface=127.0.0.1" + ROUTES)
        self.assertEqual(
            said, "2:8: admin: is already listened on, by line 1; leave one of them out"
        )


class ShadowTests(ConfigCase):
    def routes(self, *routes: str) -> str:
        """A route on each line, the first on line 3; hosts come behind the path."""
        lines = (f"  - {{upstream: 'http://a/', {route}}}\n" for route in routes)
        return "listen: [tcp:0]\nroutes:\n" + "".join(lines)

    def test_routes_that_are_never_reached(self) -> None:
        for routes, said in (
            (("path: /x, hosts: ['*.b']", "path: /x, hosts: [a.b]"), "4:35: routes[1].path: "),
            (("path: /x", "path: /x, hosts: [a.b]", "path: /x, hosts: [A.B]"),
             "5:35: routes[2].path: "),
            (("path: /x, hosts: ['*']", "path: /x"), "4:35: routes[1].path: "),
            (("path: /x, hosts: [a]", "path: /x/"), "3:35: routes[0].path: "),
            (("path: /x, hosts: [a, b]", "path: /x, hosts: [c, b]"), "4:50: routes[1].hosts[1]: "),
        ):  # fmt: skip
            fault = self.fault(self.routes(*routes))
            self.assertTrue(fault.startswith(said + "is never reached: the route on line "), fault)
        self.assertIn("on line 4 gets all its requests", self.fault(
            self.routes("path: /x, hosts: [a]", "path: /x/")
        ))  # fmt: skip

    def test_routes_that_are_reached(self) -> None:
        for routes in (
            ("path: /x, hosts: [a.b]", "path: /x, hosts: ['*.b']"),
            ("path: /x", "path: /x, hosts: [a]"),
            ("path: /x", "path: /x/y"),
            ("path: /x, hosts: ['*']", "path: /x/y"),
            ("path: /x, hosts: [a]", "path: /x, hosts: [b]"),
        ):
            self.read(self.routes(*routes))


class OneFaultTests(ConfigCase):
    def test_one_typo_is_one_fault(self) -> None:
        for text, said in (
            ("listen: [tcp:0]\nroutes: [{path: /, upstrem: 'http://a/'}]", "upstream"),
            ("listen: [tcp:0]\nroutes: [{path: /, soruces: [], window: 1MiB}]", "sources"),
            ("listen: [tcp:0]\nroutes: [{path: /, qurey: host, allow: [a]}]", "query"),
            ("listen: [tcp:0]\nroutes: [{pth: /, upstream: 'http://a/'}]", "path"),
            ("listn: [tcp:0]\nroutes: [{path: /, upstream: 'http://a/'}]", "listen"),
            ("listen: [tcp:0]\nroute: [{path: /, upstream: 'http://a/'}]", "routes"),
            ("listen: [tcp:0]\nroutes: [{path: /, sources: [{ulr: 'http://a/'}]}]", "url"),
        ):
            fault = self.fault(text)
            self.assertTrue(fault.endswith(f"is not a known key; did you mean {said}?"), fault)

    def test_words_that_are_only_alike(self) -> None:
        text = "listen: [tcp:0]\nroutes: [{path: /, upstream: 'http://a/', %s: x}]"
        self.assertIn("did you mean basic_auth?", self.fault(text % "auth"))
        for word in ("port", "mode", "hash", "pass"):
            self.assertNotIn("did you mean", self.fault(text % word))
