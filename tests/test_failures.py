"""What clients are told of failures: what happened, without the names of upstreams."""

from __future__ import annotations

from twisted.internet import error
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.choices import Redirects
from aprp.core.http.redirects import redirected
from aprp.core.http.urls import Url
from aprp.upstream.errors import (
    ConnectFailed,
    SourceError,
    SourceLied,
    connect_failed,
    lost_before_answer,
)
from aprp.upstream.http.guard import AddressRefused, OwnListener
from aprp.upstream.transfer.transfer import TransferFailed
from aprp.web.failures import Refusal, failure_of

PLACES = ("inner.example:8080", "nas:80", "192.0.2.7:443", "[2001:db8::7]:80")
WORDS = ("inner", "example", "nas", "192.0.2", "2001:", "8080", ":443", ":80", "token")


def errors(where: str) -> list[SourceError]:
    host = where.rpartition(":")[0]
    return [
        connect_failed(where, error.TimeoutError()),
        connect_failed(where, error.ConnectionRefusedError()),
        connect_failed(where, error.DNSLookupError()),
        connect_failed(where, error.NoRouteError()),
        lost_before_answer(where, None),
        SourceLied(f"{where}: the status line is malformed"),
        SourceLied(f"{where} gave a 206 without a valid Content-Range"),
        AddressRefused(f"{host}: its address 192.0.2.9 may not be reached: it is private"),
        AddressRefused(f"{host} may not be reached: it is private"),
        AddressRefused(f"{host}: port 22 is another service's"),
        OwnListener(f"{where} is this proxy itself"),
    ]


class NamelessTests(SynchronousTestCase):
    def test_no_place_is_named(self) -> None:
        for where in PLACES:
            for each in errors(where):
                failed = TransferFailed(((f"http://{where}/x?token=1", str(each)),), ())
                for told in (failure_of(each), failure_of(failed)):
                    said = told.body + b"".join(value for _, value in told.head())
                    for word in WORDS:
                        self.assertNotIn(word.encode(), said, str(each))

    def test_what_happened_is_told(self) -> None:
        for said, told in (
            ("nas:80 refused the connection", "the upstream refused the connection"),
            ("nas:80: the TLS handshake failed", "the upstream: the TLS handshake failed"),
            (
                "nas: its address 10.0.0.1 may not be reached: it is private",
                "the upstream: its address may not be reached: it is private",
            ),
        ):
            self.assertEqual(failure_of(SourceError(said)).text, told)

    def test_statuses(self) -> None:
        for kind, silent, status in (
            ("connection_refused", False, 502),
            ("connection_timeout", True, 504),
            ("connection_limit_reached", False, 503),
        ):
            self.assertEqual(failure_of(ConnectFailed("a:80: x", kind, silent)).status, status)

    def test_a_redirect_is_told_without_its_target(self) -> None:
        at = Url.parse("http://a.example/x")
        why = redirected(Redirects.SAME_HOST, at, at, b"http://inner.example:8080/secret")
        failed = TransferFailed((("http://a.example/", str(why)),), ())
        self.assertEqual(
            failure_of(failed).text,
            "no source can serve this: source 1: redirects to another place; "
            "`redirects: public` would follow",
        )

    def test_a_redirect_to_what_is_no_host_is_told_without_it(self) -> None:
        at = Url.parse("http://a.example/x")
        why = str(redirected(Redirects.PUBLIC, at, at, b"http://10.1/secret"))
        self.assertIn(" 10.1,", why)
        said = failure_of(TransferFailed((("http://a.example/", why),), ())).text
        self.assertNotIn("10.1", said)
        self.assertIn("which some read as an IPv4 address", said)

    def test_a_redirect_to_what_is_no_address_is_told_without_it(self) -> None:
        at = Url.parse("http://a.example/x")
        for location in (b"http://[inner.example]/secret", b"//[inner.example/secret"):
            why = str(redirected(Redirects.PUBLIC, at, at, location))
            said = failure_of(TransferFailed((("http://a.example/", why),), ())).text
            self.assertNotIn("inner", said)
            self.assertIn("has brackets in its host that hold no IPv6 address", said)

    def test_sources_are_numbered_and_dates_stay(self) -> None:
        reasons = (
            ("http://a.example/", "answered 503"),
            ("http://b.example/", "b.example:80 refused the connection"),
            ("http://c.example/", "has changed: it was Thu, 01 Jan 2026 10:00:00 GMT"),
        )
        self.assertEqual(
            failure_of(TransferFailed(reasons, ())).text,
            "no source can serve this: source 1: answered 503; "
            "source 2: refused the connection; "
            "source 3: has changed: it was Thu, 01 Jan 2026 10:00:00 GMT",
        )

    def test_who_named_the_sources_is_told_their_names(self) -> None:
        failed = TransferFailed((("http://a.example", "answered 503"),), ())
        self.assertIn("http://a.example: answered 503", failure_of(failed, by_name=True).text)

    def test_a_refusal_stands_as_it_is(self) -> None:
        self.assertEqual(failure_of(Refusal(400, "at nas:80: no")).text, "at nas:80: no")
