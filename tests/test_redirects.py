"""Where a redirect may lead under each rule."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.choices import Redirects
from aprp.core.http.redirects import redirected, same_place
from aprp.core.http.urls import Url

SAME_HOST = (
    # the source's URL, the Location, whether `same-host` follows it
    ("http://a.example/x", "/y", True),
    ("http://a.example/x", "http://a.example:80/y", True),
    ("http://a.example/x", "https://a.example/y", True),
    ("http://a.example:8080/x", "http://a.example:8080/y", True),
    ("http://a.example:8080/x", "https://a.example:8080/y", True),
    ("https://a.example:8443/x", "https://A.example:8443/y", True),
    ("http://a.example/x", "http://a.example:8080/y", False),
    ("http://a.example/x", "http://a.example:22/y", False),
    ("http://a.example/x", "https://a.example:8443/y", False),
    ("http://a.example:8080/x", "http://a.example/y", False),
    ("http://a.example:8080/x", "https://a.example/y", False),
    ("http://a.example/x", "http://b.example/y", False),
)


class RedirectTests(SynchronousTestCase):
    def test_same_host_means_the_port_too(self) -> None:
        for own, location, followed in SAME_HOST:
            url = Url.parse(own)
            found = redirected(Redirects.SAME_HOST, url, url, location.encode())
            self.assertEqual(isinstance(found, Url), followed, (own, location, found))

    def test_the_place_is_compared_with_the_source_not_with_the_last_hop(self) -> None:
        source, hop = Url.parse("http://a.example/x"), Url.parse("https://a.example/x")
        found = redirected(Redirects.SAME_HOST, source, hop, b"https://a.example/y")
        self.assertIsInstance(found, Url)
        found = redirected(Redirects.SAME_HOST, source, hop, b"https://a.example:444/y")
        self.assertIn("`redirects: public` would follow", str(found))

    def test_public_leads_anywhere(self) -> None:
        url = Url.parse("http://a.example/x")
        self.assertEqual(
            redirected(Redirects.PUBLIC, url, url, b"http://b.example:81/"),
            Url.parse("http://b.example:81/"),
        )

    def test_a_place_is_its_own(self) -> None:
        for own, *_ in SAME_HOST:
            self.assertTrue(same_place(Url.parse(own), Url.parse(own)))
