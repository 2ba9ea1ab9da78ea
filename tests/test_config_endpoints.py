"""Endpoint strings: our reading of them agrees with Twisted's, and opens nothing."""

from __future__ import annotations

import inspect
from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import endpoints as twisted_endpoints
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase

from aprp.config import endpoints
from aprp.config.endpoints import check_endpoint, same_socket, with_backlog
from tests.support.config_case import LEAST, ConfigCase

GOOD = (
    "tcp:8000",
    "tcp:0",
    "tcp:65535:interface=127.0.0.1",
    "tcp:8000:127.0.0.1:50",
    "tcp:interface=127.0.0.1:port=8000",
    "tcp:interface=127.0.0.1:8000",
    r"tcp:8000:interface=\:\:1",
    r"tcp6:8000:interface=\:\:1",
    "tcp6:8000:50",
    "unix:/run/aprp.sock",
    r"unix:/run/a\:b.sock:mode=660:lockfile=0",
    "unix:address=/run/a=b.sock",
    "haproxy:tcp:8000:interface=127.0.0.1",
)
GOOD_BUT_OPENING = (
    "systemd:domain=INET:name=aprp",
    "systemd:domain=INET6:index=0",
    "systemd:INET:name=aprp",
    "haproxy:systemd:domain=UNIX:name=aprp",
    "stdio:",
)
BAD = (
    ("", "is not an endpoint"),
    ("8000", "write it as tcp:8000"),
    ("tpc:8000", "did you mean tcp:?"),
    ("http://127.0.0.1:8000", "is not an endpoint"),
    ("127.0.0.1:8000", "is not an endpoint"),
    ("tcp", "names no port"),
    ("tcp:", "names no port"),
    ("tcp:interface=127.0.0.1", "names no port"),
    ("tcp:65536", "0 to 65535"),
    ("tcp:-1", "0 to 65535"),
    ("tcp:http", "0 to 65535"),
    ("tcp:8_0", "0 to 65535"),
    ("tcp:" + "9" * 5000, "0 to 65535"),
    ("tcp:80:backlog=x", "the backlog 'x'"),
    ("tcp:80:interfaces=127.0.0.1", "did you mean interface=?"),
    ("tcp:80:interface=::1", r"\:"),
    ("tcp:80:a:1:2", r"more arguments than tcp: takes"),
    ("tcp:80:port=81", "gives port twice"),
    ("tcp:80\\", "ends in a backslash"),
    ("tcp6:80:interface=::1", r"\:"),
    ("unix:", "names no address"),
    ("unix:/a:mode=888", "octal"),
    ("unix:/a:lockfile=x", "lockfile"),
    ("ssl:privateKey=a", "names no port"),
    ("systemd:name=aprp", "needs a domain"),
    ("systemd:domain=IPV4:name=aprp", "needs a domain"),
    ("systemd:domain=INET", "either name="),
    ("systemd:domain=INET:name=a:index=0", "either name="),
    ("systemd:domain=INET:index=x", "the index 'x'"),
    ("haproxy:tcp:65536", "0 to 65535"),
    ("haproxy:", "is not an endpoint"),
)


class EndpointTests(ConfigCase):
    def test_good_ones_are_good_for_twisted_too(self) -> None:
        for text in GOOD:
            check_endpoint(text)
            twisted_endpoints.serverFromString(MemoryReactor(), text)

    def test_good_ones_that_twisted_would_open(self) -> None:
        for text in GOOD_BUT_OPENING:
            check_endpoint(text)
        check_endpoint("ssl:8443:privateKey=/none/key.pem:certKey=/none/cert.pem")

    def test_bad_ones_with_a_reason(self) -> None:
        for text, said in BAD:
            error = self.assertRaises(ValueError, check_endpoint, text)
            self.assertIn(said, str(error), text)
            self.assertLess(len(str(error)), 200)

    def test_arguments_are_those_of_twisted(self) -> None:
        parsers: dict[str, Any] = {
            "tcp": twisted_endpoints._parseTCP,
            "ssl": twisted_endpoints._parseSSL,
            "unix": twisted_endpoints._parseUNIX,
            "tcp6": twisted_endpoints._TCP6ServerParser()._parseServer,
            "systemd": twisted_endpoints._SystemdParser()._parseServer,
        }
        self.assertEqual(set(parsers), set(endpoints._KINDS) - {"tls", "tls6"})
        for name, parser in parsers.items():
            _, *names = inspect.signature(parser).parameters
            self.assertEqual(endpoints._KINDS[name].arguments, tuple(names), name)

    @given(st.text(alphabet="a1=:\\", max_size=12))
    def test_taken_apart_as_twisted_does(self, rest: str) -> None:
        try:
            ours = endpoints._split(rest)
        except ValueError:
            self.assertTrue(rest.endswith("\\"))
            return
        args, named = twisted_endpoints._parse("x:" + rest)
        self.assertEqual([value for name, value in ours if name is None], args[1:])
        self.assertEqual({name: value for name, value in ours if name is not None}, named)

    def test_nothing_is_opened(self) -> None:
        text = "\n".join(f"  - '{each}'" for each in (*GOOD_BUT_OPENING, "tcp:1"))
        with mock.patch.object(twisted_endpoints, "serverFromString", side_effect=AssertionError):
            loaded = self.read(f"listen:\n{text}\nroutes: [{{path: /, upstream: 'http://a/'}}]\n")
        self.assertEqual(len(loaded.settings.listen), len(GOOD_BUT_OPENING) + 1)

    def test_one_socket_twice(self) -> None:
        self.assertTrue(same_socket("tcp:8000", "tcp:8000"))
        self.assertTrue(same_socket("systemd:domain=INET:name=a", "systemd:domain=INET:name=a"))
        self.assertFalse(same_socket("tcp:8000", "tcp:8001"))
        self.assertFalse(same_socket("tcp:0:interface=127.0.0.1", "tcp:0:interface=127.0.0.1"))
        said = self.faults(
            "listen: [tcp:1, tcp:0, tcp:0, tcp:1]\nadmin: tcp:1\n"
            "routes: [{path: /, upstream: 'http://a/'}]\n"
        )
        self.assertEqual(
            said,
            [
                "1:31: listen[3]: is already listened on, by line 1; leave one of them out",
                "2:8: admin: is already listened on, by line 1; leave one of them out",
            ],
        )

    def test_the_port_of_the_operator_is_on_loopback(self) -> None:
        for text, listened in (
            ("tcp:8001", "tcp:8001:interface=127.0.0.1"),
            ("tcp6:8001", r"tcp6:8001:interface=\:\:1"),
            ("haproxy:tcp:8001", "haproxy:tcp:8001:interface=127.0.0.1"),
            ("tcp:8001:backlog=5", "tcp:8001:backlog=5:interface=127.0.0.1"),
            ("tcp:8001:192.0.2.1", "tcp:8001:192.0.2.1"),
            ("tcp:8001:interface=0.0.0.0", "tcp:8001:interface=0.0.0.0"),
            ("unix:/run/a.sock", "unix:/run/a.sock"),
            ("systemd:domain=INET:name=admin", "systemd:domain=INET:name=admin"),
        ):
            for admin in (f'"{text}"', f'{{listen: "{text}"}}'):
                found = self.read(f"admin: {admin}\n".replace("\\", "\\\\") + LEAST).settings.admin
                assert found is not None
                self.assertEqual(found.listen, listened)
                twisted_endpoints._parse(listened)
        fault = self.fault("admin: {listen: 'tcp:8001:'}\n" + LEAST)
        self.assertIn("1:17: admin.listen: has an empty interface; leave it out, or", fault)

    def test_the_port_of_the_operator_beside_another_address(self) -> None:
        clients = LEAST.replace("tcp:0", "'tcp:8001:interface=192.0.2.1'")
        self.assertEqual(self.read("admin: tcp:8001\n" + clients).warnings, ())
        for admin in ("'tcp:8001:interface=0.0.0.0'", "{listen: 'tcp:8001:interface=192.0.2.1'}"):
            self.assertIn("is already listened on", self.fault(f"admin: {admin}\n" + clients))

    def test_where_a_fault_is(self) -> None:
        text = "listen: [tcp:1, tcp:x]\nadmin: 8001\nroutes: [{path: /, upstream: 'http://a/'}]\n"
        first, second = self.faults(text)
        self.assertTrue(first.startswith("1:17: listen[1]: has the port 'x'"), first)
        self.assertTrue(second.startswith("2:8: admin: '8001' is a port alone"), second)


class BacklogTests(SynchronousTestCase):
    def test_only_tcp_without_one_gets_one(self) -> None:
        for text, added in (
            ("tcp:8000", True),
            (r"tls6:8000:interface=\:\:1", True),
            ("haproxy:tcp:8000:interface=127.0.0.1", True),
            ("tcp:8000:backlog=5", False),
            ("tcp6:8000:5", False),
            ("unix:/run/aprp.sock", False),
            ("systemd:domain=INET:name=aprp", False),
        ):
            expected = f"{text}:backlog=99" if added else text
            self.assertEqual(with_backlog(text, 99), expected)
            check_endpoint(expected)
