"""Fields on their way through, and Location."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http.fields import Fields
from aprp.core.http.forwarding import (
    claims,
    end_to_end,
    forwarded,
    hops_left,
    resolve_location,
    rewrite_location,
    with_fewer_hops,
    with_own,
    with_range_in_path,
    with_via,
    without_underscores,
)


class HopTests(SynchronousTestCase):
    def test_names_that_may_be_taken_for_others(self) -> None:
        plain, own = (b"X-Real-Thing", b"1"), (b"My_Field", b"2")
        claiming = tuple(
            (name, b"x")
            for name in (
                *(b"X_Forwarded_For", b"X_REAL_IP", b"x-real_ip", b"Transfer_Encoding"),
                *(b"Content_Length", b"Proxy_Authorization"),
            )
        )
        fields = Fields((plain, *claiming, own))
        self.assertEqual(without_underscores(fields).pairs, (plain,))
        self.assertEqual(without_underscores(fields, keep=True).pairs, (plain, own))

    def test_what_is_for_the_next_hop_only_is_left_out(self) -> None:
        kept = (
            (b"Host", b"h"),
            (b"Content-Length", b"3"),
            (b"X-Kept", b"1"),
            (b"Content-Encoding", b"gzip"),
            (b"Authorization", b"Basic x"),
        )
        gone = tuple(
            (name, b"x")
            for name in (
                b"Keep-Alive",
                b"Proxy-Connection",
                b"Proxy-Authorization",
                b"Proxy-Authenticate",
                b"TE",
                b"Trailer",
                b"Transfer-Encoding",
                b"Upgrade",
                b"HTTP2-Settings",
                b"X-Named",
            )
        )
        named = ((b"Connection", b"close, x-named"), (b"connection", b"X-Absent"))
        self.assertEqual(end_to_end(Fields(gone + kept + named)).pairs, kept)

    def test_framing_and_routing_cannot_be_taken_away(self) -> None:
        fields = Fields(((b"Host", b"h"), (b"Via", b"1.1 a"), (b"Content-Length", b"3")))
        named = fields.adding((b"Connection", b"host, via, content-length"))
        self.assertEqual(end_to_end(named), fields)

    def test_the_rules_of_caching_cannot_be_taken_away(self) -> None:
        fields = Fields((name, b"1") for name in (b"Cache-Control", b"Vary", b"Expires", b"Age"))
        named = fields.adding((b"Connection", b"cache-control, vary, expires, age"))
        self.assertEqual(end_to_end(named), fields)

    def test_via(self) -> None:
        self.assertEqual(with_via(Fields(), b"1.0").pairs, ((b"Via", b"1.0 aprp"),))
        earlier = Fields(((b"via", b"1.1 a"), (b"Via", b"1.0 b")))
        self.assertEqual(with_via(earlier, b"1.1").pairs, ((b"Via", b"1.1 a, 1.0 b, 1.1 aprp"),))

    def test_forwarded(self) -> None:
        sent = Fields(((b"X-Forwarded-For", b"10.0.0.1"), (b"X-Forwarded-Proto", b"lies")))
        self.assertEqual(
            forwarded(sent, b"127.0.0.1", b"http", b"h:8"),
            [
                (b"X-Forwarded-For", b"10.0.0.1, 127.0.0.1"),
                (b"X-Forwarded-Proto", b"http"),
                (b"X-Forwarded-Host", b"h:8"),
            ],
        )
        self.assertEqual(sent.without(claims(trusted=False)).pairs, ())
        alone = forwarded(Fields(), b"::1", b"https", b"")
        self.assertEqual(alone, [(b"X-Forwarded-For", b"::1"), (b"X-Forwarded-Proto", b"https")])

    def test_claims_of_a_trusted_peer_stay(self) -> None:
        sent = Fields(((b"Forwarded", b"for=10.0.0.1"), (b"X-Forwarded-Proto", b"https")))
        self.assertEqual(sent.without(claims(trusted=True)).pairs, sent.pairs[:1])
        kept = forwarded(sent, b"127.0.0.1", b"http", b"h", trusted=True)
        self.assertIn((b"X-Forwarded-Proto", b"https"), kept)

    def test_own(self) -> None:
        fields = Fields(((b"x-token", b"theirs"), (b"A", b"1")))
        own = with_own(fields, ((b"X-Token", b"ours"),))
        self.assertEqual(own.pairs, ((b"A", b"1"), (b"X-Token", b"ours")))

    def test_max_forwards(self) -> None:
        for value, hops in ((b"0", 0), (b"12", 12), (b"-1", None), (b"x", None), (b"1, 1", None)):
            self.assertEqual(hops_left(Fields(((b"Max-Forwards", value),))), hops, value)
        self.assertIsNone(hops_left(Fields()))
        for value, left in ((b"0", b"0"), (b"12", b"11")):
            fewer = with_fewer_hops(Fields(((b"max-forwards", value),)))
            self.assertEqual(fewer.pairs, ((b"Max-Forwards", left),))


class LocationTests(SynchronousTestCase):
    origins = frozenset((b"http://a.example:81", b"http://films.example"))

    def test_table(self) -> None:
        for value, expected in (
            (b"http://a.example:81/pub/x?y#z", b"/films/x?y#z"),
            (b"HTTP://A.Example:81/pub/x", b"/films/x"),
            (b"http://films.example/pub/x", b"/films/x"),
            (b"http://films.example:80/pub/x", b"/films/x"),
            (b"http://a.example:81/pub", b"/films"),
            (b"http://a.example:81/pub?x", b"/films?x"),
            (b"/pub/x", b"/films/x"),
            (b"/pub/", b"/films/"),
            (b"/pub", b"/films"),
            (b"/pub/x?to=/pub/y", b"/films/x?to=/pub/y"),
            (b"/public/x", b"/public/x"),
            (b"/other", b"/other"),
            (b"x", b"x"),
            (b"../x", b"../x"),
            (b"?x", b"?x"),
            (b"", b""),
            (b"//a.example:81/pub/x", b"//a.example:81/pub/x"),
            (b"http://a.example/pub/x", b"http://a.example/pub/x"),
            (b"https://a.example:81/pub/x", b"https://a.example:81/pub/x"),
            (b"http://a.example:811/pub/x", b"http://a.example:811/pub/x"),
            (b"http://a.example:81.evil/pub/x", b"http://a.example:81.evil/pub/x"),
            (b"http://a.example:81/other", b"http://a.example:81/other"),
        ):
            found = rewrite_location(value, self.origins, b"/pub/", b"/films/")
            self.assertEqual(found or value, expected, value)

    def test_what_points_elsewhere_is_told_apart_from_what_stays_the_same(self) -> None:
        self.assertEqual(rewrite_location(b"/a", self.origins, b"/", b"/"), b"/a")
        self.assertIsNone(rewrite_location(b"//h/a", self.origins, b"/", b"/"))

    def test_relative_to_what_was_asked(self) -> None:
        for value, expected in (
            (b"b?x", b"/pub/b?x"),
            (b"../b", b"/b"),
            (b"/b", b"/b"),
            (b"http://h/b", b"http://h/b"),
            (b"\xe9", b"\xe9"),
        ):
            self.assertEqual(resolve_location(value, b"/pub/a"), expected)

    def test_with_the_range_that_was_asked_in_the_path(self) -> None:
        for value, expected in (
            (b"/films/b", b"/films/b/0/99"),
            (b"/films/b/?x=/y#z", b"/films/b/0/99?x=/y#z"),
        ):
            self.assertEqual(with_range_in_path(value, b"0/99"), expected)

    def test_at_the_root(self) -> None:
        for value, base, prefix, expected in (
            (b"http://films.example", b"/", b"/", b"/"),
            (b"http://films.example?x", b"/", b"/", b"/?x"),
            (b"http://films.example/a", b"/", b"/films/", b"/films/a"),
            (b"/a/b", b"/a", b"/", b"/b"),
            (b"/a", b"/a", b"/", b"/"),
        ):
            self.assertEqual(rewrite_location(value, self.origins, base, prefix), expected, value)
