"""Which requests a site's own pages sent, by Host, Origin and Fetch Metadata."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http.fields import Fields
from aprp.core.http.same_site import is_cross_site, is_foreign_host

OWN = b"127.0.0.1:8001"


class HostTests(SynchronousTestCase):
    def test_addresses_and_localhost_are_never_foreign(self) -> None:
        for host in (
            b"127.0.0.1:8001",
            b"192.0.2.7",
            b"[::1]:8001",
            b"[2001:db8::1]",
            b"localhost",
            b"LocalHost:8001",
            b"localhost.:8001",
        ):
            self.assertFalse(is_foreign_host(host, ()), host)

    def test_names_are_foreign_unless_they_are_listed(self) -> None:
        for host in (
            b"evil.example:8001",
            b"localhost.evil.example",
            b"127.0.0.1.evil.example",
            b"127.1",
            b"2130706433",
            b"aprp.lan.evil.example",
            b"",
            b"a b",
            b"localhost@evil.example",
        ):
            self.assertTrue(is_foreign_host(host, ("aprp.lan",)), host)
        for host in (b"aprp.lan", b"APRP.lan:8001", b"a.films.lan"):
            self.assertFalse(is_foreign_host(host, ("aprp.lan", "*.films.lan")), host)


class SiteTests(SynchronousTestCase):
    def cross(self, method: bytes, **fields: bytes) -> bool:
        pairs = [(name.replace("_", "-").encode(), value) for name, value in fields.items()]
        return is_cross_site(method, Fields([(b"Host", OWN), *pairs]))

    def test_programs_and_the_page_itself(self) -> None:
        for method in (b"GET", b"POST"):
            self.assertFalse(self.cross(method))
            self.assertFalse(self.cross(method, origin=b"http://" + OWN))
            self.assertFalse(
                self.cross(method, origin=b"https://" + OWN, sec_fetch_site=b"same-origin")
            )
            self.assertFalse(self.cross(method, sec_fetch_site=b"none", sec_fetch_mode=b"navigate"))

    def test_pages_of_other_sites(self) -> None:
        for origin in (b"http://evil.example", b"null", b"", b"http://127.0.0.1:3000"):
            for method in (b"GET", b"POST"):
                self.assertTrue(self.cross(method, origin=origin), origin)
        for site in (b"cross-site", b"same-site", b"Cross-Site", b"unheard-of"):
            self.assertTrue(self.cross(b"POST", sec_fetch_site=site))
            self.assertTrue(self.cross(b"GET", sec_fetch_site=site, sec_fetch_mode=b"no-cors"))
        self.assertTrue(
            self.cross(b"POST", sec_fetch_site=b"cross-site", sec_fetch_mode=b"navigate")
        )

    def test_a_link_that_leads_here_is_followed(self) -> None:
        self.assertFalse(
            self.cross(b"GET", sec_fetch_site=b"cross-site", sec_fetch_mode=b"navigate")
        )
