"""Which responses are stored and reused, and how they are revalidated: RFC 9111 sections 3 to 5,
RFC 5861, RFC 9211.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http.caching.cache_status import CacheStatus
from aprp.core.http.caching.invalidating import invalidates, named_targets
from aprp.core.http.caching.keys import Realm, key_of, named_by
from aprp.core.http.caching.policy import DEFAULT, Policy
from aprp.core.http.caching.response import Response
from aprp.core.http.caching.reuse import Use, usable
from aprp.core.http.caching.revalidating import conditional, confirmed, same_as_head, updated
from aprp.core.http.caching.storing import cacheable_request, storable, stored_fields
from aprp.core.http.caching.vary import choose, selected, vary_key
from aprp.core.http.fields import Fields
from tests.test_caching_freshness import CDN, NOW, date, response

NOTHING = Fields()
ETAG = ("ETag", '"a"')


def fields(*lines: tuple[str, str]) -> Fields:
    """Return fields of text."""
    return Fields((name.encode("latin-1"), value.encode("latin-1")) for name, value in lines)


def control(value: str, *lines: tuple[str, str], status: int = 200) -> Response:
    """Return a response with that Cache-Control, made now."""
    return response(("Date", date(0)), ("Cache-Control", value), *lines, status=status)


class StorableTests(SynchronousTestCase):
    """Sections 3, 3.3 and 3.5."""

    def why(self, answer: Response, request: Fields = NOTHING, policy: Policy = DEFAULT) -> object:
        return storable(b"GET", request, answer, policy).why

    def test_section_3_directives(self) -> None:
        cases = (
            (control("max-age=60"), None),
            (control("s-maxage=60"), None),
            (control("max-age=60, foo"), None),
            (control("no-store"), "no-store"),
            (control("max-age=60, No-Store=x"), "no-store"),
            (control("max-age=60, private"), "private"),
            (control('max-age=60, private="x"'), None),
            (control("max-age=60", ("Vary", "*")), "Vary: *"),
            (control("max-age=60", ("Vary", "a, *")), "Vary: *"),
            (control("max-age=60", ("Vary", "a b")), "Vary: *"),
            (control("max-age=0"), "not fresh, no validator"),
            (control("max-age=0", ETAG), None),
            (control("max-age=0, stale-while-revalidate=9"), None),
            (control("no-cache, max-age=60"), "not fresh, no validator"),
            (control("no-cache", ETAG), None),
            (control("max-age=60", status=302), None),
            (control("max-age=60", status=599), None),
            (control("foo", ETAG, status=302), "no freshness"),
            (control("public", ETAG, status=302), None),
            (control("max-age=60", status=304), "status"),
            (control("max-age=60", status=103), "status"),
            (response(), "not fresh, no validator"),
            (response(ETAG), None),
        )
        for answer, why in cases:
            self.assertEqual(self.why(answer), why, answer.fields)

    def test_section_3_methods(self) -> None:
        for method in (b"HEAD", b"POST", b"PUT", b"OPTIONS", b"get"):
            self.assertEqual(
                storable(method, NOTHING, control("max-age=9"), Policy()).why, "method"
            )

    def test_section_5_2_1_5_no_store_in_the_request(self) -> None:
        request = fields(("Cache-Control", "no-store"))
        self.assertEqual(self.why(control("max-age=60"), request), "no-store in request")

    def test_section_5_2_2_3_must_understand(self) -> None:
        both = "must-understand, no-store, max-age=60"
        self.assertIsNone(self.why(control(both)))
        self.assertEqual(self.why(control(both, status=599)), "must-understand")

    def test_section_3_3_parts(self) -> None:
        part = ("Content-Range", "bytes 0-4/10")
        weak = "part without a strong validator"
        self.assertEqual(self.why(control("max-age=60", part, status=206)), weak)
        tagged = control("max-age=60", part, ("ETag", 'W/"a"'), status=206)
        self.assertEqual(self.why(tagged), weak)
        self.assertIsNone(self.why(control("max-age=60", part, ETAG, status=206)))
        same_second = control("max-age=60", part, ("Last-Modified", date(0)), status=206)
        self.assertEqual(self.why(same_second), weak)
        older = control("max-age=60", part, ("Last-Modified", date(-1)), status=206)
        self.assertIsNone(self.why(older))

    def test_section_3_5_authorization(self) -> None:
        request = fields(("Authorization", "Basic YTpi"))
        for value, why in (
            ("max-age=60", "Authorization"),
            ("max-age=60, public", None),
            ("s-maxage=60", None),
            ("max-age=60, must-revalidate", None),
            ("max-age=60, proxy-revalidate", "Authorization"),
        ):
            self.assertEqual(self.why(control(value), request), why, value)
        self.assertEqual(self.why(response(ETAG), request, Policy(valid=60)), "Authorization")

    def test_section_7_3_set_cookie(self) -> None:
        cookie = ("Set-Cookie", "a=b")
        self.assertIsNone(self.why(control("max-age=60", cookie)))
        self.assertEqual(self.why(response(ETAG, cookie), policy=Policy(valid=60)), "Set-Cookie")
        stored = stored_fields(control("max-age=60", cookie), Policy())
        self.assertNotIn(b"set-cookie", stored)

    def test_cookies_and_the_heuristic(self) -> None:
        request = fields(("Cookie", "a=b"))
        old = response(("Last-Modified", date(-1000)), ("Date", date(0)))
        self.assertEqual(self.why(old, request), "Cookie")
        self.assertIsNone(self.why(old, request, Policy(valid=60)))
        self.assertIsNone(self.why(control("max-age=60"), request))

    def test_section_3_1_fields_that_are_stored(self) -> None:
        answer = control(
            'max-age=60, no-cache="a, B", private="p"',
            ("Connection", "x"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Authentication-Info", "n"),
            ("Cache-Status", "other; hit"),
            ("X", "1"),
            ("A", "1"),
            ("b", "1"),
            ("P", "1"),
            ("C", "1"),
        )
        names = {name.lower() for name, _ in stored_fields(answer, Policy())}
        self.assertEqual(names, {b"date", b"cache-control", b"c"})

    def test_rfc_9213_targeted_directives_decide(self) -> None:
        for cdn, plain, why in (
            ("max-age=60", "no-store", None),
            ("private", "max-age=60", "private"),
            ("no-store", "max-age=60", "no-store"),
            ("max-age=60, &&", "no-store", "no-store"),
        ):
            answer = control(plain, ("CDN-Cache-Control", cdn))
            self.assertEqual(self.why(answer, policy=CDN), why, cdn)

    def test_requests_that_pass_by_the_cache(self) -> None:
        self.assertTrue(cacheable_request(b"GET", NOTHING, has_body=False))
        self.assertTrue(cacheable_request(b"HEAD", fields(("Cookie", "a")), has_body=False))
        self.assertFalse(cacheable_request(b"POST", NOTHING, has_body=False))
        self.assertFalse(cacheable_request(b"GET", NOTHING, has_body=True))
        for name in ("X-HTTP-Method-Override", "x-original-url", "X-Rewrite-URL", "X-Host"):
            self.assertFalse(cacheable_request(b"GET", fields((name, "x")), has_body=False), name)


class VaryTests(SynchronousTestCase):
    """Section 4.1."""

    def matches(self, vary: str, first: Fields, second: Fields) -> bool:
        answer = control("max-age=60", ("Vary", vary))
        key = vary_key(answer.fields, first)
        if key is None:
            return False
        stored = Response(200, answer.fields, NOW, NOW, dict(key))
        return choose([stored], second) is stored

    def test_section_4_1(self) -> None:
        one, two = fields(("Foo", "1"), ("Bar", "x")), fields(("Foo", "2"), ("Bar", "x"))
        self.assertTrue(self.matches("Foo", one, one))
        self.assertFalse(self.matches("Foo", one, two))
        self.assertTrue(self.matches("Bar", one, two))
        self.assertFalse(self.matches("Foo, Bar", one, two))
        self.assertFalse(self.matches("Foo", one, NOTHING))
        self.assertFalse(self.matches("Foo", NOTHING, one))
        self.assertTrue(self.matches("Baz, foo", one, one))
        self.assertFalse(self.matches("Baz", fields(("Baz", "")), NOTHING))
        for star in ("*", "*, *", ", *", "Foo, *", "*, Foo"):
            self.assertFalse(self.matches(star, one, one), star)
        self.assertFalse(self.matches(", ".join(f"x{n}" for n in range(17)), one, one))

    def test_section_4_1_normalisation(self) -> None:
        cases = (
            ("Foo", (("Foo", "1, 2"),), (("Foo", "1"), ("Foo", "2")), True),
            ("Foo", (("Foo", "1,2"),), (("Foo", "1, 2"),), True),
            ("Foo", (("Foo", "a"),), (("Foo", "A"),), False),
            ("Foo", (("Foo", "1, 2"),), (("Foo", "2, 1"),), False),
            ("Foo", (("Foo", '"1,2"'),), (("Foo", '"1, 2"'),), False),
            ("Cookie", (("Cookie", "a,b"),), (("Cookie", "a, b"),), False),
            (
                "Accept-Encoding",
                (("Accept-Encoding", "gzip, br"),),
                (("Accept-Encoding", "BR,gzip"),),
                True,
            ),
            (
                "Accept-Encoding",
                (("Accept-Encoding", "gzip"),),
                (("Accept-Encoding", "br"),),
                False,
            ),
            (
                "Accept-Encoding",
                (("Accept-Encoding", "gzip;q=0"),),
                (("Accept-Encoding", "gzip"),),
                False,
            ),
            (
                "Accept-Language",
                (("Accept-Language", "en, de"),),
                (("Accept-Language", " eN ,  De"),),
                True,
            ),
            (
                "Accept",
                (("Accept", "Text/HTML ; q=1, a/b"),),
                (("Accept", "a/b, text/html;q=1"),),
                True,
            ),
            (
                "Accept",
                (("Accept", 'a/b;profile="http://x/A"'),),
                (("Accept", 'a/b;profile="http://x/a"'),),
                False,
            ),
            (
                "Accept",
                (("Accept", 'a/b;profile="a b"'),),
                (("Accept", 'a/b;profile="ab"'),),
                False,
            ),
            (
                "Accept-Language",
                (("Accept-Language", "en, de"),),
                (("Accept-Language", "de, en"),),
                False,
            ),
        )
        for vary, first, second, expected in cases:
            found = self.matches(vary, fields(*first), fields(*second))
            self.assertEqual(found, expected, (vary, first, second))

    def test_a_coded_response_varies_by_accept_encoding(self) -> None:
        coded = fields(("Content-Encoding", "gzip"))
        request = fields(("Accept-Encoding", "gzip"))
        self.assertEqual(vary_key(coded, request), ((b"accept-encoding", b"gzip"),))
        self.assertEqual(vary_key(fields(("Content-Encoding", "identity")), request), ())

    def test_section_4_1_the_one_that_was_made_last(self) -> None:
        older = Response(200, fields(("Date", date(-9))), NOW, NOW)
        newer = Response(200, fields(("Date", date(-1))), NOW - 5, NOW - 5)
        self.assertIs(choose([older, newer], NOTHING), newer)
        self.assertIs(choose([newer, older], NOTHING), newer)
        self.assertIsNone(choose([], NOTHING))

    def test_secrets_are_not_stored(self) -> None:
        vary = fields(("Vary", "Cookie, Authorization"))
        request = fields(("Cookie", "a=secret"), ("Authorization", "Basic secret"))
        key = dict(vary_key(vary, request) or ())
        self.assertEqual(set(key), {b"cookie", b"authorization"})
        self.assertNotIn(b"secret", b"".join(value or b"" for value in key.values()))
        self.assertTrue(selected(request, key))
        self.assertFalse(selected(fields(("Cookie", "a=other")), key))
        self.assertEqual(dict(vary_key(vary, NOTHING) or ()), dict.fromkeys(key))

    def test_a_vary_whose_fields_were_not_kept_matches_nothing(self) -> None:
        self.assertIsNone(choose([control("max-age=9", ("Vary", "Foo"))], NOTHING))


class UsableTests(SynchronousTestCase):
    """Sections 4.2.4 and 5.2.1, RFC 5861."""

    def use(
        self, said: str, asked: str = "", after: int = 0, policy: Policy = DEFAULT, **more: str
    ) -> Use:
        request = fields(("Cache-Control", asked)) if asked else NOTHING
        if more:
            request = fields(*((name.title(), value) for name, value in more.items()))
        return usable(control(said), request, NOW + after, policy)

    def test_section_4_2_fresh(self) -> None:
        self.assertEqual(self.use("max-age=60", after=59), Use(fresh=True, ttl=1, age=59))
        stale = self.use("max-age=60", after=60)
        self.assertFalse(stale.fresh)
        self.assertEqual((stale.ttl, stale.age, stale.why), (0, 60, "stale"))

    def test_section_5_2_1_request_directives(self) -> None:
        cases = (
            ("max-age=60", "max-age=5", 5, True),
            ("max-age=60", "max-age=5", 6, False),
            ("max-age=60", "max-age=0", 0, True),
            ("max-age=60", "max-age=0", 1, False),
            ("max-age=60", "min-fresh=10", 50, True),
            ("max-age=60", "min-fresh=10", 51, False),
            ("max-age=60", "no-cache", 0, False),
            ("max-age=60", "max-stale=10", 70, True),
            ("max-age=60", "max-stale=10", 71, False),
            ("max-age=60", "max-stale", 10**6, True),
            ("max-age=60", "max-stale=x", 61, False),
            ("max-age=60", "max-stale, max-age=61", 62, False),
            ("max-age=60, must-revalidate", "max-stale", 61, False),
            ("max-age=60, proxy-revalidate", "max-stale", 61, False),
            ("s-maxage=60", "max-stale", 61, False),
            ("max-age=60, no-cache", "max-stale", 0, False),
            ("max-age=60", "only-if-cached", 0, True),
        )
        for said, asked, after, fresh in cases:
            self.assertEqual(self.use(said, asked, after).fresh, fresh, (said, asked, after))

    def test_section_5_2_1_1_a_reload_revalidates(self) -> None:
        self.assertEqual(self.use("max-age=60", "max-age=0", 1).why, "request")

    def test_section_5_4_pragma(self) -> None:
        self.assertFalse(self.use("max-age=60", pragma="no-cache").fresh)
        self.assertTrue(self.use("max-age=60", pragma="foo").fresh)
        request = fields(("Pragma", "no-cache"), ("Cache-Control", "foo"))
        self.assertTrue(usable(control("max-age=60"), request, NOW, Policy()).fresh)

    def test_a_clock_that_was_set_back(self) -> None:
        used = self.use("max-age=60, stale-while-revalidate=99", after=-2)
        self.assertEqual((used.fresh, used.while_revalidating), (False, False))
        self.assertTrue(used.if_error)
        self.assertFalse(self.use("max-age=60, must-revalidate", after=-2).if_error)
        self.assertFalse(self.use("max-age=60", "max-stale", after=-2).fresh)
        self.assertTrue(self.use("max-age=60", after=-1).fresh)

    def test_rfc_5861_section_3_stale_while_revalidate(self) -> None:
        said = "max-age=60, stale-while-revalidate=30"
        self.assertTrue(self.use(said, after=89).while_revalidating)
        self.assertFalse(self.use(said, after=90).while_revalidating)
        self.assertFalse(self.use(said, "max-age=60", after=61).while_revalidating)
        self.assertFalse(self.use(said + ", must-revalidate", after=61).while_revalidating)
        self.assertFalse(self.use(said + ", no-cache").while_revalidating)

    def test_rfc_5861_section_4_stale_if_error(self) -> None:
        said = "max-age=60, stale-if-error=30"
        self.assertTrue(self.use(said, after=90).if_error)
        self.assertFalse(self.use(said, after=91).if_error)
        self.assertTrue(self.use("max-age=60", "stale-if-error=30", after=90).if_error)
        self.assertFalse(self.use("max-age=60", "stale-if-error=30", after=91).if_error)

    def test_section_4_2_4_a_dead_origin(self) -> None:
        policy = Policy(stale_if_error=1000)
        self.assertTrue(self.use("max-age=60", after=1060, policy=policy).if_error)
        self.assertFalse(self.use("max-age=60", after=1061, policy=policy).if_error)
        self.assertTrue(self.use("max-age=60", "no-cache", after=5, policy=policy).if_error)
        for said in ("must-revalidate", "proxy-revalidate", "s-maxage=60", "no-cache"):
            self.assertFalse(
                self.use(f"max-age=60, {said}", after=61, policy=policy).if_error, said
            )


class RevalidatingTests(SynchronousTestCase):
    """Sections 3.2, 4.3.1, 4.3.4 and 4.3.5."""

    def test_section_4_3_1_conditions(self) -> None:
        both = response(ETAG, ("Last-Modified", date(-5)))
        expected = ((b"If-None-Match", b'"a"'), (b"If-Modified-Since", date(-5).encode()))
        self.assertEqual(conditional([both]), expected)
        weak = response(("ETag", 'W/"b"'))
        self.assertEqual(conditional([both, weak, both]), ((b"If-None-Match", b'"a", W/"b"'),))
        self.assertEqual(conditional([response(("ETag", "abc"), ("Last-Modified", "x"))]), ())

    def test_section_4_3_4_which_response_a_304_is_about(self) -> None:
        one, two = response(ETAG), response(("ETag", '"b"'))
        both = [one, two]
        self.assertIs(confirmed(both, fields(("ETag", '"b"'))), two)
        self.assertIs(confirmed(both, fields(("ETag", 'W/"a"'))), one)
        self.assertIsNone(confirmed(both, fields(("ETag", '"c"'))))
        self.assertIsNone(confirmed(both, NOTHING))
        self.assertIs(confirmed([one], NOTHING), one)
        self.assertIsNone(confirmed([one], fields(("ETag", "a"))))
        dated = response(("Last-Modified", date(-5)))
        self.assertIs(confirmed([dated], fields(("Last-Modified", date(-5)))), dated)
        self.assertIsNone(confirmed([dated], fields(("Last-Modified", date(-4)))))

    def test_section_3_2_what_a_304_updates(self) -> None:
        stored = control("max-age=1", ETAG, ("A", "1"), ("A", "2"), ("B", "1"), ("Age", "7"))
        stored = Response(200, stored.fields.adding((b"Content-Length", b"5")), NOW, NOW)
        lines = (
            ("Cache-Control", "max-age=60"),
            ("a", "3"),
            ("Content-Length", "9"),
            ("Content-Encoding", "gzip"),
            ("Content-Range", "bytes 0-1/2"),
            ("Set-Cookie", "x=y"),
            ("Connection", "close, b"),
            ("B", "2"),
        )
        answer = Response(304, fields(*lines), NOW + 9, NOW + 10)
        found = updated(stored, answer, NOTHING, Policy())
        self.assertEqual(found.status, 200)
        self.assertEqual((found.requested_at, found.received_at), (NOW + 9, NOW + 10))
        values = {name: found.fields.all(name) for name in (b"a", b"b", b"cache-control", b"age")}
        self.assertEqual(
            values,
            {b"a": [b"3"], b"b": [b"1"], b"cache-control": [b"max-age=60"], b"age": []},
        )
        self.assertEqual(found.fields.all(b"content-length"), [b"5"])
        for name in (b"content-encoding", b"content-range", b"set-cookie", b"connection"):
            self.assertNotIn(name, found.fields)

    def test_section_5_2_2_7_fields_that_a_304_makes_private(self) -> None:
        stored = control("max-age=1", ETAG, ("X", "1"), ("Y", "1"))
        found = updated(stored, control('private="x"', status=304), NOTHING, Policy())
        self.assertNotIn(b"x", found.fields)
        self.assertIn(b"y", found.fields)

    def test_section_3_2_a_304_with_another_vary(self) -> None:
        request = fields(("Foo", "1"))
        answer = response(("Vary", "Foo"), status=304)
        found = updated(control("max-age=1", ETAG), answer, request, Policy())
        self.assertIs(choose([found], request), found)
        self.assertIsNone(choose([found], NOTHING))

    def test_a_weak_entity_tag_never_becomes_strong(self) -> None:
        stored = control("max-age=1", ("ETag", 'W/"a"'))
        for status in (200, 304):
            answer = Response(status, fields(ETAG), NOW + 9, NOW + 10)
            self.assertIs(confirmed([stored], answer.fields), stored)
            found = updated(stored, answer, NOTHING, Policy())
            self.assertEqual(found.fields.all(b"etag"), [b'W/"a"'])

    def test_section_4_3_5_head(self) -> None:
        stored = response(ETAG, ("Last-Modified", date(-5)))
        cases = (
            ((ETAG,), True),
            ((("ETag", 'W/"a"'),), True),
            ((("ETag", '"b"'),), False),
            ((("Last-Modified", date(-5)),), True),
            ((("Last-Modified", date(-4)),), False),
            ((("Content-Length", "10"),), False),
            ((ETAG, ("Content-Length", "10")), True),
            ((ETAG, ("Content-Length", "11")), False),
            ((), False),
        )
        for lines, same in cases:
            self.assertEqual(same_as_head(stored, 10, fields(*lines)), same, lines)


class InvalidatingTests(SynchronousTestCase):
    """Section 4.4."""

    def test_section_4_4_methods(self) -> None:
        for method in (b"POST", b"PUT", b"DELETE", b"PATCH", b"M-SEARCH", b"get"):
            self.assertTrue(invalidates(method, 200), method)
            self.assertTrue(invalidates(method, 303), method)
            self.assertFalse(invalidates(method, 404), method)
            self.assertFalse(invalidates(method, 500), method)
        for method in (b"GET", b"HEAD", b"OPTIONS", b"TRACE"):
            self.assertFalse(invalidates(method, 200), method)

    def test_section_4_4_other_targets_of_the_same_origin(self) -> None:
        url = b"http://a.example/x/y?q"
        cases = (
            (("Location", "/z?a=1"), (b"/z?a=1",)),
            (("Content-Location", "z"), (b"/x/z",)),
            (("Location", "http://A.example:80/z"), (b"/z",)),
            (("Location", "https://a.example/z"), ()),
            (("Location", "http://a.example:81/z"), ()),
            (("Location", "//b.example/z"), ()),
            (("Location", "http://a.example@b.example/z"), ()),
            (("Location", "http://[::1/z"), ()),
            (("Location", "http://a.example:x/z"), ()),
            (("Location", "http://a.example"), (b"/",)),
        )
        for line, expected in cases:
            self.assertEqual(named_targets(url, fields(line)), expected, line)


class KeyTests(SynchronousTestCase):
    """Section 2: the key, and what can't be confused in it."""

    def test_everything_that_selects_the_resource_is_in_the_key(self) -> None:
        realm = Realm("/films/", "http://o.example:80")
        parts = (realm, b"/film?a", b"http", b"p.example")
        others = (
            (Realm("/other/", "http://o.example:80"), *parts[1:]),
            (Realm("/films/", "http://q.example:80"), *parts[1:]),
            (Realm("/films/", "http://o.example:80", ((b"Host", b"x"),)), *parts[1:]),
            (realm, b"/film?A", *parts[2:]),
            (realm, b"/film%3Fa", *parts[2:]),
            (realm, b"//film?a", *parts[2:]),
            (*parts[:2], b"https", b"p.example"),
            (*parts[:3], b"p.example:81"),
            (*parts[:3], b""),
            (*parts, b"for=192.0.2.1;host=q.example"),
            (*parts, b'for=192.0.2.1, For=192.0.2.2;proto=https; Host="r.example"'),
        )
        keys = {key_of(*each) for each in (parts, *others)}
        self.assertEqual(len(keys), len(others) + 1)
        self.assertEqual(key_of(*parts[:2], b"HTTP", b"P.example"), key_of(*parts))

    def test_of_forwarded_the_client_is_not_in_the_key(self) -> None:
        for forwarded, named in (
            (b"for=192.0.2.1", b""),
            (b'for="[2001:db8::1]:47", by=203.0.113.43', b""),
            (b"For=1.2.3.4;Host=A.example;proto=https", b"host=a.example;proto=https"),
            (b'for=a , host="b.example:1" ;by=c', b'host="b.example:1"'),
            (b'for="x;host=y";proto=http', b'host=y";proto=http'),
            (b"ghost=a;hosts=b;for=c", b""),
        ):
            self.assertEqual(named_by(forwarded), named, forwarded)

    def test_secrets_are_not_in_the_key(self) -> None:
        own = ((b"Authorization", b"Basic c2VjcmV0"),)
        self.assertNotIn(b"c2VjcmV0", key_of(Realm("/", "http://o", own), b"/", b"http", b""))


class CacheStatusTests(SynchronousTestCase):
    """RFC 9211."""

    def test_rfc_9211_section_2(self) -> None:
        cases = (
            (CacheStatus(ttl=30), b"aprp; hit; ttl=30"),
            (CacheStatus(ttl=-5), b"aprp; hit; ttl=-5"),
            (
                CacheStatus("uri-miss", 200, ttl=60, stored=True),
                b"aprp; fwd=uri-miss; fwd-status=200; ttl=60; stored",
            ),
            (CacheStatus("stale", None, collapsed=True), b"aprp; fwd=stale; collapsed"),
            (CacheStatus("bypass", detail="no-store"), b"aprp; fwd=bypass; detail=no-store"),
            (CacheStatus("request", detail='a "b"'), b'aprp; fwd=request; detail="a ?b?"'),
        )
        for status, text in cases:
            self.assertEqual(bytes(status), text)
