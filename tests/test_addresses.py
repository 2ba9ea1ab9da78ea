"""Which hosts, ports and addresses may be reached for someone who isn't trusted."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http.addresses import host_allowed, parse_address, refused_address, refused_port

REFUSED = (
    ("0.0.0.0", "unspecified"),
    ("0.1.2.3", "of this network only"),
    ("10.0.0.1", "private"),
    ("10.255.255.255", "private"),
    ("100.64.0.1", "shared by a provider's customers"),
    ("100.127.255.255", "shared by a provider's customers"),
    ("127.0.0.1", "loopback"),
    ("127.255.255.254", "loopback"),
    ("169.254.169.254", "link-local"),
    ("172.16.0.1", "private"),
    ("172.31.255.255", "private"),
    ("192.0.0.8", "reserved for protocols"),
    ("192.0.2.1", "for documentation"),
    ("192.88.99.1", "a 6to4 relay"),
    ("192.168.1.1", "private"),
    ("198.18.0.1", "for benchmarking"),
    ("198.19.255.255", "for benchmarking"),
    ("198.51.100.1", "for documentation"),
    ("203.0.113.1", "for documentation"),
    ("224.0.0.1", "multicast"),
    ("239.255.255.255", "multicast"),
    ("240.0.0.1", "reserved"),
    ("255.255.255.255", "broadcast"),
    ("::", "unspecified"),
    ("::1", "loopback"),
    ("::2", "IPv4-compatible"),
    ("::127.0.0.1", "IPv4-compatible"),
    ("::8.8.8.8", "IPv4-compatible"),
    ("::ffff:127.0.0.1", "IPv4-mapped"),
    ("::ffff:8.8.8.8", "IPv4-mapped"),
    ("::ffff:0:7f00:1", "IPv4-translated"),
    ("64:ff9b::7f00:1", "translated by NAT64"),
    ("64:ff9b::808:808", "translated by NAT64"),
    ("64:ff9b:1::7f00:1", "translated by a local NAT64"),
    ("64:ff9b:2::1", "reserved"),
    ("100::1", "for discarding"),
    ("2001::1", "tunnelled by Teredo"),
    ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "tunnelled by Teredo"),
    ("2001:2::1", "for benchmarking"),
    ("2001:10::1", "reserved for protocols"),
    ("2001:db8::1", "for documentation"),
    ("2002:7f00:1::", "tunnelled by 6to4"),
    ("2002:808:808::1", "tunnelled by 6to4"),
    ("3fff::1", "for documentation"),
    ("4000::1", "reserved"),
    ("5f00::1", "for segment routing"),
    ("fc00::1", "unique-local"),
    ("fd12:3456::1", "unique-local"),
    ("fe80::1", "link-local"),
    ("febf::1", "link-local"),
    ("fec0::1", "site-local"),
    ("ff02::1", "multicast"),
)
OPEN = (
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2000::1",
    "2001:200::1",
    "2003::1",
    "2606:4700::1111",
    "2a00:1450:4001::1",
)
LISTED = (
    ("127.0.0.1", ("127.0.0.0/8",), None),
    ("127.0.0.1", ("10.0.0.0/8",), "loopback"),
    ("10.1.2.3", ("10.1.0.0/16",), None),
    ("10.2.2.3", ("10.1.0.0/16",), "private"),
    ("::1", ("::1/128",), None),
    ("::1", ("127.0.0.0/8",), "loopback"),
    ("::1", ("::/0",), None),
    ("fd00::1", ("fd00::/8",), None),
    ("::ffff:127.0.0.1", ("127.0.0.0/8",), "IPv4-mapped"),
    ("::ffff:127.0.0.1", ("::ffff:127.0.0.1/128",), None),
    (
        "::ffff:127.0.0.1",
        ("::ffff:0:0/96",),
        "IPv4-mapped, and what it carries is loopback",
    ),
    ("::ffff:127.0.0.1", ("::ffff:0:0/96", "127.0.0.0/8"), None),
    ("64:ff9b::808:808", ("64:ff9b::/96",), None),
    (
        "64:ff9b::a00:1",
        ("64:ff9b::/96",),
        "translated by NAT64, and what it carries is private",
    ),
    ("64:ff9b:1::808:808", ("64:ff9b:1::/48",), None),
    (
        "64:ff9b:1::7f00:1",
        ("64:ff9b:1::/48",),
        "translated by a local NAT64, and what it carries is loopback",
    ),
    ("2002:808:808::1", ("2002::/16",), None),
    (
        "2002:7f00:1::",
        ("2002::/16",),
        "tunnelled by 6to4, and what it carries is loopback",
    ),
    (
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
        ("2001::/32",),
        "tunnelled by Teredo, and what it carries is loopback",
    ),
    (
        "::127.0.0.1",
        ("::/0",),
        "IPv4-compatible, and what it carries is loopback",
    ),
    ("2a00::1", ("10.0.0.0/8",), None),
)
HOSTS = (
    ("a.example.org", ("*.example.org",), True),
    ("a.b.example.org", ("*.example.org",), True),
    ("example.org", ("*.example.org",), False),
    ("badexample.org", ("*.example.org",), False),
    ("a.example.org.evil.net", ("*.example.org",), False),
    ("aXexample.org", ("a.example.org",), False),
    ("a.example.org", ("b.example.org", "a.example.org"), True),
    ("mirror3.example.org", ("mirror*.example.org",), True),
    ("anything.at.all", ("*",), True),
    ("2a00::1", ("2a00::1",), True),
    ("anything", (), False),
)


class AddressTests(SynchronousTestCase):
    def test_refused(self) -> None:
        said = [(text, refused_address(ip_address(text))) for text, _ in REFUSED]
        self.assertEqual(said, list(REFUSED))

    def test_open(self) -> None:
        said = [(text, refused_address(ip_address(text))) for text in OPEN]
        self.assertEqual(said, [(text, None) for text in OPEN])

    def test_listed(self) -> None:
        for text, listed, expected in LISTED:
            allow = [ip_network(network) for network in listed]
            said = refused_address(ip_address(text), allow)
            self.assertEqual((text, listed, said), (text, listed, expected))

    def test_whatever_python_calls_private_is_refused(self) -> None:
        """A sample of every /16 and of many IPv6 prefixes, against the standard library."""
        for first in range(65536):
            address = ip_address((first << 16) + 0x0101)
            if not address.is_global or address.is_multicast:
                self.assertIsNotNone(refused_address(address), str(address))
            address = ip_address((first << 112) + 0x0101)
            if not address.is_global or address.is_multicast:
                self.assertIsNotNone(refused_address(address), str(address))

    def test_as_a_resolver_writes_it(self) -> None:
        self.assertEqual(parse_address("192.0.2.1"), ip_address("192.0.2.1"))
        self.assertEqual(parse_address("fe80::1%eth0"), ip_address("fe80::1"))
        self.assertIsNone(parse_address("127.1"))
        self.assertIsNone(parse_address("example.org"))


class PortTests(SynchronousTestCase):
    def test_ports(self) -> None:
        for port in (80, 443, 1024, 8080, 65535):
            self.assertIsNone(refused_port(port), str(port))
        for port in (1, 22, 25, 79, 81, 110, 1023):
            self.assertEqual(refused_port(port), f"port {port} isn't 80, 443 or at least 1024")


class HostTests(SynchronousTestCase):
    def test_globs(self) -> None:
        said = [(host, globs, host_allowed(host, globs)) for host, globs, _ in HOSTS]
        self.assertEqual(said, list(HOSTS))
