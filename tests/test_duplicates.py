"""Mirrors that Link fields name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.duplicates import duplicates
from aprp.core.http.urls import Url
from aprp.core.metalink import LAST

AT = Url.parse("http://a.example/pub/film.mp4")


class DuplicatesTests(SynchronousTestCase):
    def named(self, *links: bytes, at: Url = AT) -> list[str]:
        return [str(mirror.url) for mirror in duplicates(links, at)]

    def test_the_preferred_ones_first(self) -> None:
        found = duplicates(
            (
                b"<http://b.example/f>; rel=duplicate, <http://c.example/f>;rel=duplicate;pri=2",
                b'<http://d.example/f> ; pri="1" ; geo=DE; REL = "duplicate" ; pref',
            ),
            AT,
        )
        self.assertEqual(
            [(str(each.url), each.priority, each.location) for each in found],
            [
                ("http://d.example/f", 1, "de"),
                ("http://c.example/f", 2, None),
                ("http://b.example/f", LAST, None),
            ],
        )

    def test_what_is_skipped(self) -> None:
        for link in (
            b"<http://b.example/f.meta4>; rel=describedby",
            b"<http://b.example/f>",
            b"http://b.example/f; rel=duplicate",
            b"<ftp://b.example/f>; rel=duplicate",
            b"<http://a.example/pub/film.mp4>; rel=duplicate",
            b'<http://b.example/f>; title="; rel=duplicate"',
            b"<http://b.example/\xff>; rel=duplicate",
            b"<http://u:p@b.example/f>; rel=duplicate",
        ):
            self.assertEqual(self.named(link), [], link)

    def test_forms(self) -> None:
        self.assertEqual(self.named(b"<../f>; rel=duplicate"), ["http://a.example/f"])
        twice = b"<http://b.example/a,b;c>; rel=duplicate"
        self.assertEqual(self.named(twice, twice), ["http://b.example/a,b;c"])
        several = b'<http://b.example/f>; title="a, <b>; \\"c"; rel="mirror duplicate"; rel=x'
        self.assertEqual(self.named(several), ["http://b.example/f"])

    def test_no_way_from_https_to_http(self) -> None:
        links = b"<http://b.example/f>; rel=duplicate, <https://c.example/f>; rel=duplicate"
        at = Url.parse("https://a.example/f")
        self.assertEqual(self.named(links, at=at), ["https://c.example/f"])

    @given(st.binary(max_size=300))
    def test_anything(self, value: bytes) -> None:
        duplicates((value, b"<" + value + b">;rel=duplicate"), AT)
