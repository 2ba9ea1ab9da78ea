"""Who a client is, and what limits count it by."""

from __future__ import annotations

from ipaddress import ip_network
from time import process_time

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http.client_address import client_address, limit_key, within
from aprp.core.http.fields import Fields

PROXIES = tuple(map(ip_network, ("10.0.0.0/8", "fd00::/8")))


def told(*values: bytes) -> Fields:
    return Fields((b"X-Forwarded-For", value) for value in values)


class AddressTests(SynchronousTestCase):
    def test_who_the_client_is(self) -> None:
        for peer, fields, client in (
            ("192.0.2.1", told(b"203.0.113.9"), "192.0.2.1"),  # a stranger's word doesn't count
            ("10.0.0.1", told(), "10.0.0.1"),
            ("10.0.0.1", told(b"203.0.113.9"), "203.0.113.9"),
            ("10.0.0.1", told(b"1.1.1.1, 203.0.113.9"), "203.0.113.9"),  # 1.1.1.1 is a claim
            ("10.0.0.1", told(b"203.0.113.9, 10.2.3.4"), "203.0.113.9"),
            ("10.0.0.1", told(b"203.0.113.9", b"10.2.3.4"), "203.0.113.9"),
            ("10.0.0.1", told(b"203.0.113.9:4711"), "203.0.113.9"),
            ("10.0.0.1", told(b"[2001:db8::7]:80"), "2001:db8::7"),
            ("fd00::1", told(b"2001:db8::7"), "2001:db8::7"),
            ("::ffff:10.0.0.1", told(b"203.0.113.9"), "203.0.113.9"),
            ("10.0.0.1", told(b"unknown"), "10.0.0.1"),
            ("10.0.0.1", told(b"203.0.113.9, garbage"), "10.0.0.1"),
            ("10.0.0.1", told(b'"', b"203.0.113.9"), "203.0.113.9"),  # nothing is quoted here
            ("10.0.0.1", told(b"203.0.113.9", b""), "203.0.113.9"),
            ("10.0.0.1", told(b'", 203.0.113.9, 10.2.3.4'), "203.0.113.9"),
        ):
            self.assertEqual(client_address(peer, fields, PROXIES), client, (peer, fields))

    def test_by_the_standard_field(self) -> None:
        """RFC 7239, section 4."""
        for value, client in (
            (b"for=203.0.113.9", "203.0.113.9"),
            (b"For=203.0.113.9;proto=https;by=10.0.0.1", "203.0.113.9"),
            (b'proto=https; for="203.0.113.9:4711"', "203.0.113.9"),
            (b'for="[2001:db8::7]:4711"', "2001:db8::7"),
            (b"for=1.1.1.1, for=203.0.113.9", "203.0.113.9"),
            (b"for=203.0.113.9, for=10.2.3.4", "203.0.113.9"),
            (b"for=203.0.113.9,for=10.2.3.4;host=a", "203.0.113.9"),
            (b'for=203.0.113.9;host="a, for=1.1.1.1"', "203.0.113.9"),
            (b'for=", for=203.0.113.9', "203.0.113.9"),  # what is on the left is the client's
            (b'for="\\", for=203.0.113.9;host="a"', "203.0.113.9"),
            (b'for=203.0.113.9;by="_a, b=c"', "203.0.113.9"),
            (b'for=1.1.1.1, for=203.0.113.9;by="_a, b=\\"c", for=10.2.3.4', "203.0.113.9"),
            (b"for=203.0.113.9, for=_hidden", "10.0.0.1"),
            (b"for=_hidden", "10.0.0.1"),
            (b"for=unknown", "10.0.0.1"),
            (b"proto=https", "10.0.0.1"),
            (b"garbage", "10.0.0.1"),
        ):
            fields = Fields([(b"Forwarded", value)])
            self.assertEqual(client_address("10.0.0.1", fields, PROXIES), client, value)
            self.assertEqual(client_address("192.0.2.1", fields, PROXIES), "192.0.2.1")
        both = Fields([*told(b"203.0.113.9"), (b"Forwarded", b"for=1.1.1.1")])
        self.assertEqual(client_address("10.0.0.1", both, PROXIES), "203.0.113.9")

    def test_many_hops_are_read_in_one_pass(self) -> None:
        before = process_time()
        for element in (b"for=10.2.3.4", b'a=";a="', b'a="'):
            fields = Fields([(b"Forwarded", b",".join([element] * (60_000 // len(element))))])
            client_address("10.0.0.1", fields, PROXIES)
        self.assertLess(process_time() - before, 5)  # a search from the left took 30 s

    def test_trust(self) -> None:
        self.assertTrue(within("10.1.2.3", PROXIES))
        self.assertFalse(within("11.1.2.3", PROXIES))
        self.assertFalse(within("unknown", PROXIES))

    def test_limit_keys(self) -> None:
        self.assertEqual(limit_key("192.0.2.1"), "192.0.2.1")
        self.assertEqual(limit_key("2001:db8:0:1::7"), "2001:db8:0:1::/64")
        self.assertEqual(limit_key("2001:db8:0:1:ffff::"), "2001:db8:0:1::/64")
        for local in ("127.0.0.1", "127.3.2.1", "::1", "::ffff:127.0.0.1", "unknown"):
            self.assertIsNone(limit_key(local), local)
