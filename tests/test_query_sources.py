"""The sources that a client names itself."""

from __future__ import annotations

from urllib.parse import quote

from twisted.trial.unittest import SynchronousTestCase

from aprp.web.failures import Refusal
from aprp.web.query_sources import MOST_SOURCES, read_sources

A, B = "http://a.example/x", "http://b.example/y"
READ = (
    (f"?host={A}", [A]),
    (f"?host={A},{B}", [A, B]),
    (f"?host={A}&host={B}", [A, B]),
    (f"?host={quote(A, safe='')},{quote(B, safe='')}", [A, B]),
    (f"?host={quote(f'{A},{B}', safe='')}", [A, B]),
    (f"?host={quote(f'{A},{B}', safe=':/')}", [A, B]),
    (f"?host={quote(f'{A},{B}')}", [A, B]),
    (f"?host={A},{A}&host={A}", [A]),
    (f"?other=1&host={A}&more=2", [A]),
    ("?host=HTTP://A.Example/x", [A]),
    ("?host=http://a.example:80/x", [A]),
    ("?host=https://a.example:8443/x", ["https://a.example:8443/x"]),
    ("?host=http://a.example/a%20b,http://b.example/y", ["http://a.example/a%20b", B]),
    ("?host=" + quote("http://a.example/a%20b", safe=""), ["http://a.example/a%20b"]),
    ("?host=http://a.example/a%2Cb", ["http://a.example/a%2Cb"]),
    ("?host=" + quote("http://a.example/a,b", safe=""), ["http://a.example/a,b"]),
    ("?host=http://a.example/x%2Fy", ["http://a.example/x%2Fy"]),
    ("?host=http://a.example/x?k=1", ["http://a.example/x?k=1"]),
    (
        "?host=" + quote("http://a.example/x?k=1&l=2", safe="") + "&more=2",
        ["http://a.example/x?k=1&l=2"],
    ),
    ("?host=http://[2606:4700::1111]/x", ["http://[2606:4700::1111]/x"]),
    ("?host=http://1.1.1.1/x", ["http://1.1.1.1/x"]),
)
UNREADABLE = (
    "",
    "?",
    "?host",
    "?host=",
    "?other=http://a.example/x",
    "?host=a.example/x",
    "?host=a.example:8080/x",
    "?host=//a.example/x",
    "?host=/etc/passwd",
    f"?host={A},",
    f"?host={A},,{B}",
    f"?host={A},y",
    "?host=http:/a.example/x",
    "?host=http://a.example/x%",
    "?host=http://a.example/%zz",
    "?host=http%3A%2F%2Fa.example%2Fa%20b",
    "?host=http%3A%2F%2Fa.example%2Fx%23part",
    "?host=http%3A%2F%2Fa.example%2Fx%0d%0aX:1",
    "?host=http://a.example/x?k=1&l=2",
)
REFUSED = (
    "http://127.1/x",
    "http://0x7f000001/x",
    "http://0x7f.0.0.1/x",
    "http://2130706433/x",
    "http://0177.0.0.1/x",
    "http://127.0.0.01/x",
    "http://127.0.0.1./x",
    "http://a.example./x",
    "http://１２７.0.0.1/x",
    "http://127。0。0。1/x",
    "http://ⓐ.example/x",
    "http://%EF%BC%91%EF%BC%92%EF%BC%97.0.0.1/x",
    "http://%6c%6f%63%61%6c%68%6f%73%74/x",
    "http://user@a.example/x",
    "http://user:word@a.example/x",
    "http://a.example@127.0.0.1/x",
    "http://a.example\\@127.0.0.1/x",
    "http://a.example:80@127.0.0.1/x",
    "http://a.example /x",
    "http://a.example\r\nX: 1/x",
    "http://a.example:0/x",
    "http://a.example:65536/x",
    "http://a.example:８０/x",
    "http://[::1%25lo]/x",
    "http://[::1/x",
    "http://::1/x",
    "http:///x",
    "ftp://a.example/x",
    "file:///etc/passwd",
    "file:/etc/passwd",
    "gopher://a.example:6379/_x",
    "data:text/plain,x",
    "javascript:alert(1)",
    "http+unix://a.example/x",
    "http://a.example:22/x",
    "http://a.example:25/x",
)
NOT_ALLOWED = (
    "http://evil.net/x",
    "http://example.org/x",
    "http://a.example.org.evil.net/x",
    "http://127.0.0.1/x",
    "http://localhost/x",
)


def status(query: str, allow: tuple[str, ...] = ("*",)) -> tuple[str, int | None]:
    try:
        read_sources(query.encode(), "host", allow)
    except Refusal as refusal:
        return query, refusal.status
    return query, None


class ReadingTests(SynchronousTestCase):
    def test_what_is_read(self) -> None:
        for query, expected in READ:
            urls = [str(url) for url in read_sources(query.encode(), "host", ("*",))]
            self.assertEqual((query, urls), (query, expected))

    def test_what_cannot_be_read(self) -> None:
        said = [status(query) for query in UNREADABLE]
        self.assertEqual(said, [(query, 400) for query in UNREADABLE])

    def test_what_leads_astray(self) -> None:
        encoded = ["?host=" + quote(url, safe="") for url in REFUSED]
        self.assertEqual([status(query) for query in encoded], [(q, 403) for q in encoded])

    def test_what_leads_astray_unencoded(self) -> None:
        plain = [f"?host={url}" for url in REFUSED if "," not in url]
        self.assertEqual([status(query) for query in plain], [(q, 403) for q in plain])

    def test_hosts_that_are_not_allowed(self) -> None:
        queries = [f"?host={url}" for url in NOT_ALLOWED]
        said = [status(query, ("*.example.org",)) for query in queries]
        self.assertEqual(said, [(query, 403) for query in queries])

    def test_one_bad_source_refuses_all(self) -> None:
        query = "?host=http://a.example.org/x,http://evil.net/x"
        self.assertEqual(status(query, ("*.example.org",)), (query, 403))

    def test_nothing_is_allowed_unless_listed(self) -> None:
        self.assertEqual(status(f"?host={A}", ()), (f"?host={A}", 403))

    def test_the_number_of_sources_is_bounded(self) -> None:
        urls = [f"http://a{n}.example/x" for n in range(MOST_SOURCES + 1)]
        self.assertEqual(status("?host=" + ",".join(urls))[1], 403)
        self.assertEqual(status("?host=" + ",".join(urls[1:]))[1], None)

    def test_the_reason_is_told(self) -> None:
        with self.assertRaises(Refusal) as caught:
            read_sources(b"?host=http://user@a.example/x", "host", ("*",))
        self.assertEqual(
            str(caught.exception),
            "the URL http://user@a.example/x has a user or password before the host; "
            "leave them out",
        )
