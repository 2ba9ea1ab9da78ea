"""The faults of routes: their kinds, and the syntax of what they name."""

from __future__ import annotations

from aprp.config import UpstreamRoute, Url
from tests.support.config_case import LEAST, ConfigCase, in_route

BROKEN_CERTIFICATE = """\
-----BEGIN BROKEN_CERTIFICATE-----
MIIBWTCCAQugAwIBAgIUBRNo5FrzbddZpiH1CzpfVfkOYYwwBQYDK2VwMCAxHjAc
BgNVBAMMFWFwcnAgdGVzdCBjZXJ0aWZpY2F0ZTAgFw0yNTExMjEwMTAwMDBaGA8y
-----END BROKEN_CERTIFICATE-----
"""


class RouteFaultTests(ConfigCase):
    def test_exactly_one_kind(self) -> None:
        one = "a route has exactly one of upstream:, sources: and query:"
        fault = self.fault("listen: [tcp:0]\nroutes:\n  - path: /x\n    window: 1MiB\n")
        self.assertEqual(fault, f"3:5: routes[0]: {one}; this one has none of them")
        fault = self.fault(in_route("query: host"))
        self.assertEqual(
            fault, f"5:5: routes[0].query: {one}; this one has upstream: on line 4 already"
        )
        fault = self.fault(in_route("upstream: http://a/", "query: host"))
        self.assertIn("this one has query: on line 4 already", fault)

    def test_sources_are_asked_for_identity(self) -> None:
        for kind in ("sources: [{url: http://a/}]", "query: host"):
            said = self.fault(in_route("headers: {accept-encoding: gzip}", kind))
            self.assertIn("sources are always requested to send identity", said)
        self.read(in_route("headers: {Accept-Encoding: gzip}", "upstream: http://a/"))

    def test_keys_of_another_kind(self) -> None:
        for kind, line, said in (
            ("upstream: http://a/", "window: 1MiB", "is for sources: and query: routes"),
            ("upstream: http://a/", "allow: [a]", "is for query: routes"),
            ("sources: [{url: http://a/}]", "allow_addresses: []", "is for query: routes"),
            ("query: host", "path_ranges: end", "is for upstream: and sources: routes"),
        ):
            fault = self.fault(in_route(line, kind))
            self.assertTrue(fault.startswith(f"5:5: routes[0].{line.split(':')[0]}: "), fault)
            self.assertIn(said, fault)
            self.assertIn(f"this route has {kind.split(':')[0]}:", fault)

    def test_health(self) -> None:
        route = self.route('health: {path: "/up?x=1", interval: 500ms, fails: 1}')
        health = route.health
        self.assertEqual((health.path, health.interval), ("/up?x=1", 0.5))
        self.assertEqual((health.fails, health.passes), (1, 2))
        self.assertIsNone(self.route("max_ranges: 1").health)
        for given, said in (
            ("{}", "5:13: routes[0].health.path: is missing"),
            ("{path: up}", "5:20: routes[0].health.path: must begin with a slash"),
            ("{path: /a b}", "5:20: routes[0].health.path: must be a path"),
            ("{path: /, interval: 1ms}", "5:33: routes[0].health.interval: must be at least 100ms"),
            ("{path: /, fails: 0}", "5:30: routes[0].health.fails: must be a whole number from 1"),
        ):
            self.assertIn(said, self.fault(in_route(f"health: {given}")))
        self.assertIn("routes[0].health", self.fault(in_route("health: {path: /}", "query: host")))

    def test_twin_paths(self) -> None:
        for path in ("/x", "/x/"):
            text = in_route("") + f"  - path: {path}\n    upstream: http://b/\n"
            fault = self.fault(text)
            self.assertTrue(
                fault.startswith("5:11: routes[1].path: is also the path of the route on")
            )
            self.assertIn("line 3", fault)
        self.read(in_route("") + "  - path: /x/y\n    upstream: http://b/\n")
        self.read(in_route("") + "  - path: /\n    upstream: http://b/\n")

    def test_paths(self) -> None:
        for path in ("/", "/films", "/films/", "/a/b.c/", "/a-_~!$&'()*+,;=:@", "/..a/.b"):
            self.assertEqual(UpstreamRoute(path=path, upstream=Url.parse("http://a")).path, path)
        for path in ("films", "''", "/a//b", "//", "/.", "/a/..", "/../a/", "/a?b", "'/a#b'",
                     "/%61", "/a%2Fb", "/é", "/a b", "/a\\b", "/[a]", "http://a/"):  # fmt: skip
            text = f"listen: [tcp:0]\nroutes:\n  - path: {path}\n    upstream: http://a/\n"
            self.assertIn("3:11: routes[0].path: ", self.fault(text))

    def test_upstream_urls(self) -> None:
        for url in ("ftp://a/", "a", "http://u:p@a/", "http://a/?q", "http://a/?", "'http://a/#f'",
                    "http://a/x/../y", "http://a/%2e%2E/", "http://bücher/"):  # fmt: skip
            self.assertIn(
                "4:15: routes[0].upstream: ", self.fault(in_route("", f"upstream: {url}"))
            )

    def test_hosts(self) -> None:
        for host in ("a.example", "a:8080", "[::1]:80", "127.0.0.1"):
            self.assertEqual(self.route(f"host: '{host}'").host, host)
        for host in ("a/b", "u@a", "a b", "a:x", "''", "http://a", "a\\nb"):
            self.assertIn("5:11: routes[0].host: ", self.fault(in_route(f"host: {host}")))

    def test_headers(self) -> None:
        self.assertEqual(
            self.route('headers: {X-A: "a b\\tc", X-B: "", X-C: 5}').headers,
            (("X-A", "a b\tc"), ("X-B", ""), ("X-C", "5")),
        )
        for lines, said in (
            ("'a b': c", "is not a valid field name"),
            ("'a:': c", "is not a valid field name"),
            ("'': c", "is not a valid field name"),
            ("é: c", "is not a valid field name"),
            ("Connection: close", "single connection"),
            ("transfer-encoding: chunked", "single connection"),
            ("TE: trailers", "single connection"),
            ("Upgrade: h2c", "single connection"),
            ("Content-Length: 1", "the proxy itself"),
            ("Range: bytes=0-", "the proxy itself"),
            ("Host: a", "the route's own key host:"),
        ):
            fault = self.fault(in_route(f"headers:\n  {lines}"))
            self.assertTrue(fault.startswith("6:7: routes[0].headers."), fault)
            self.assertIn(said, fault)
        for value in ('" a"', '"a "', '"a\\r\\nB: c"', '"\\0"', "é", "[a]", "{}", "null"):
            fault = self.fault(in_route(f"headers: {{X: {value}}}"))
            self.assertTrue(fault.startswith("5:18: routes[0].headers.X: "), fault)
        fault = self.fault(in_route("headers:\n  X-A: 1\n  x-a: 2"))
        self.assertTrue(fault.startswith("7:7: routes[0].headers.x-a: is the same field"), fault)

    def test_blocks_and_windows(self) -> None:
        sources = "sources: [{url: http://a/}]"
        for lines, said in (
            ("block_size: 63KiB", "5:17: routes[0].block_size: must be at least 64KiB"),
            ("block_size: 9MiB", "5:17: routes[0].block_size: must be at most 8MiB"),
            ("window: 1023KiB", "5:13: routes[0].window: must be at least block_size, 1MiB"),
            ("window: 1MiB\nblock_size: 2MiB", "5:13: routes[0].window: must be at least"),
        ):
            self.assertIn(said, self.fault(in_route(lines, sources)))
        self.route("block_size: 64KiB\nwindow: 64KiB", sources)

    def test_globs_and_networks(self) -> None:
        for glob in ("http://x", "x/y", "b:80", "é", "''", "a..b", "'a?'", "u@a"):
            text = in_route(f"allow: [a, {glob}]", "query: host")
            self.assertIn("5:16: routes[0].allow[1]: ", self.fault(text))
        for network, said in (
            ("10.1.2.3/16", "did you mean 10.1.0.0/16?"),
            ("10.1", "is not a network"),
            ("foo", "is not a network"),
            ("10.0.0.0/33", "is not a network"),
        ):
            text = in_route(f"allow: [a]\nallow_addresses: [{network}]", "query: host")
            self.assertIn(said, self.fault(text))
        self.assertIn("4:12: routes[0].query: ", self.fault(in_route("allow: [a]", "query: a&b")))

    def test_certificates(self) -> None:
        ca = self.folder / "ca.pem"
        self.assertIn("No such file", self.fault(in_route("tls: {ca: ca.pem}")))
        for content in ("", "nothing", BROKEN_CERTIFICATE):
            ca.write_text(content)
            fault = self.fault(in_route("tls: {ca: ca.pem}"))
            self.assertIn("5:15: routes[0].tls.ca: ", fault)
            self.assertIn("holds no certificates in PEM", fault)
        ca.write_text(self_signed())
        self.assertEqual(self.route("tls: {ca: ca.pem}").tls.ca, ca.absolute())
        self.assertIsNone(self.route("tls: {ca: null}").tls.ca)

    def test_logs_need_files_of_their_own(self) -> None:
        fault = self.fault(LEAST + "log: {file: a, access: a}\n")
        self.assertIn("log.access: is the same file", fault)
        self.assertIn("log.file: is not the name", self.fault(LEAST + 'log: {file: "-"}\n'))
        self.assertIn("log.keep: ", self.fault(LEAST + "log: {keep: 1001}\n"))


def self_signed() -> str:
    """A certificate in PEM, made for the occasion."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding

    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "aprp test")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1)
    )
    return builder.sign(key, None).public_bytes(Encoding.PEM).decode()
