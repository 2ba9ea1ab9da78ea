"""URLs: what is read, what is refused, and that nothing is written anew."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http.urls import Url

READ = (
    # text, scheme, host, port, path, query
    ("http://a.example/", "http", "a.example", 80, "/", None),
    ("http://a.example", "http", "a.example", 80, "/", None),
    ("HTTPS://A.Example/Films", "https", "a.example", 443, "/Films", None),
    ("http://a:8080/x/y", "http", "a", 8080, "/x/y", None),
    ("http://a:080/", "http", "a", 80, "/", None),
    ("http://a:/", "http", "a", 80, "/", None),
    ("http://127.0.0.1:1/", "http", "127.0.0.1", 1, "/", None),
    ("http://[::1]/", "http", "::1", 80, "/", None),
    ("http://[2001:DB8:0::1]:81/", "http", "2001:db8::1", 81, "/", None),
    ("http://a/x%2Fy%2e", "http", "a", 80, "/x%2Fy%2e", None),
    ("http://a/x?q=1&r=%20?", "http", "a", 80, "/x", "q=1&r=%20?"),
    ("http://a?q", "http", "a", 80, "/", "q"),
    ("http://a/?", "http", "a", 80, "/", ""),
    ("http://a/x@y:z//w", "http", "a", 80, "/x@y:z//w", None),
    ("http://a/?u=http://b@c/", "http", "a", 80, "/", "u=http://b@c/"),
    ("http://xn--bcher-kva.example/", "http", "xn--bcher-kva.example", 80, "/", None),
    ("http://my_host-1.lan/", "http", "my_host-1.lan", 80, "/", None),
    ("http://a:65535/", "http", "a", 65535, "/", None),
)

REFUSED = (
    # text, a part of what is said of it
    ("", "empty"),
    ("a.example/x", "not an absolute URL"),
    ("//a.example/x", "not an absolute URL"),
    ("/x", "not an absolute URL"),
    ("http:/a/x", "not an absolute URL"),
    ("ftp://a/", "scheme ftp"),
    ("file:///etc/passwd", "scheme file"),
    ("http://", "no host"),
    ("http:///x", "no host"),
    ("http://:80/", "no host"),
    ("http://u@a/", "user"),
    ("http://u:p@a/", "user"),
    ("http://a@b@c/", "user"),
    ("http://a/#top", "fragment"),
    ("http://a/?q#top", "fragment"),
    ("http://a b/", "%20"),
    ("http://a/x y", "%20"),
    (" http://a/", "%20"),
    ("http://a/\n", "%0A"),
    ("http://a/\r\nX: y", "%0D"),
    ("http://a/\0", "%00"),
    ("http://a/\x7f", "%7F"),
    ("http://a\\b/", "%5C"),
    ("http://a/%", "%25"),
    ("http://a/%2", "%25"),
    ("http://a/%zz", "%25"),
    ("http://bücher.example/", "A-label"),
    ("http://\uff11\uff12\uff17.0.0.1/", "A-label"),
    ("http://a:0/", "1 to 65535"),
    ("http://a:65536/", "1 to 65535"),
    ("http://a:+80/", "1 to 65535"),
    ("http://a:8_0/", "1 to 65535"),
    ("http://a:" + "9" * 5000 + "/", "1 to 65535"),
    ("http://a:80:80/", "brackets"),
    ("http://::1/", "brackets"),
    ("http://[::1/", "closed"),
    ("http://[::1]80/", "closed"),
    ("http://[a.example]/", "isn't an IPv6 address"),
    ("http://[127.0.0.1]/", "isn't an IPv6 address"),
    ("http://[fe80::1%25eth0]/", "zone"),
    ("http://127.1/", "four decimal numbers"),
    ("http://2130706433/", "four decimal numbers"),
    ("http://0x7f000001/", "four decimal numbers"),
    ("http://0177.0.0.1/", "four decimal numbers"),
    ("http://1.2.3.4.5/", "four decimal numbers"),
    ("http://256.0.0.1/", "four decimal numbers"),
    ("http://a.0x7f/", "four decimal numbers"),
    ("http://a.example./", "dot at the end"),
    ("http://127.0.0.1./", "dot at the end"),
    ("http://a..b/", "isn't a name"),
    ("http://.a/", "isn't a name"),
    ("http://-a/", "isn't a name"),
    ("http://a%2Eb/", "isn't a name"),
    ("http://a,b/", "isn't a name"),
    ("https://my_host.lan/", "underscore"),
    ("http://" + "a" * 64 + "/", "isn't a name"),
    ("http://" + "a." * 127 + "a/", "isn't a name"),
)


class UrlTests(SynchronousTestCase):
    def test_read(self) -> None:
        for text, *parts in READ:
            url = Url.parse(text)
            found = [url.scheme, url.host, url.port, url.path, url.query]
            self.assertEqual(found, parts, text)

    def test_refused_with_a_reason(self) -> None:
        for text, reason in REFUSED:
            error = self.assertRaises(ValueError, Url.parse, text)
            self.assertIn(reason, str(error), text)
            self.assertLess(len(str(error)), 200, text)
            self.assertTrue(str(error).isprintable(), text)

    def test_authority_leaves_out_the_default_port_only(self) -> None:
        for text, authority in (
            ("http://A:80/", "a"),
            ("https://a:443/", "a"),
            ("http://a:443/", "a:443"),
            ("https://a:80/", "a:80"),
            ("http://[::1]:80/", "[::1]"),
            ("http://[::1]:81/", "[::1]:81"),
        ):
            self.assertEqual(Url.parse(text).authority, authority, text)

    def test_origin_and_target(self) -> None:
        url = Url.parse("https://[::1]:8443/a%2Fb?c=%2e")
        self.assertEqual(url.origin, "https://[::1]:8443")
        self.assertEqual(url.target, "/a%2Fb?c=%2e")
        self.assertEqual(str(url), "https://[::1]:8443/a%2Fb?c=%2e")

    def test_an_empty_query_stays(self) -> None:
        self.assertEqual(str(Url.parse("http://a/x?")), "http://a/x?")

    def test_what_is_printed_is_read_as_the_same(self) -> None:
        for text, *_ in READ:
            url = Url.parse(text)
            self.assertEqual(Url.parse(str(url)), url)

    @given(st.text(max_size=40), st.text(alphabet="ab.:/[]@?#%\\019x", max_size=20))
    def test_any_text_is_read_or_refused(self, tail: str, host: str) -> None:
        for text in (tail, "http://" + host + tail, "http://a/" + tail):
            try:
                url = Url.parse(text)
            except ValueError as error:
                self.assertNotIn("invalid literal", str(error))
                continue
            self.assertEqual(Url.parse(str(url)), url)
            self.assertTrue(url.target.startswith("/"))
            self.assertTrue(text.endswith(url.query if url.query is not None else url.path[1:]))
