"""What clients are told of failures: what happened, without the names of upstreams."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet import error
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.choices import Redirects
from aprp.core.http.redirects import redirected
from aprp.core.http.urls import Url
from aprp.core.reasons import Name, Reason, reason
from aprp.core.recovery.ends import End
from aprp.upstream.errors import (
    BodyBroken,
    ConnectFailed,
    SourceError,
    SourceLied,
    connect_failed,
    lost_before_answer,
)
from aprp.upstream.http.guard import AddressRefused, OwnListener
from aprp.upstream.transfer.failures import SourceFailures, TransferFailed
from aprp.web.failures import Refusal, failure_of, reason_phrase
from tests.support.logged import Logged

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
        SourceLied(where, ": the status line is malformed"),
        SourceLied(where, "gave a 206 without a valid Content-Range"),
        AddressRefused(host, ": its address ", Name("192.0.2.9 "), "may not be reached"),
        AddressRefused(host, "may not be reached: it is private"),
        AddressRefused(host, ": port 22 is another service's"),
        OwnListener(where, "is this proxy itself"),
        connect_failed(where, ValueError("invalid hostname: my_nas.inner.example")),
        BodyBroken("", "broke off its body", Name(f": {where} went away")),
    ]


class NamelessTests(SynchronousTestCase):
    def test_no_place_is_named(self) -> None:
        for where in PLACES:
            for each in errors(where):
                failed = TransferFailed(((f"http://{where}/x?token=1", each.reason),), ())
                for told in (failure_of(each), failure_of(failed)):
                    said = told.body + b"".join(value for _, value in told.head())
                    for word in WORDS:
                        self.assertNotIn(word.encode(), said, str(each))
                self.assertIn(each.reason.source, str(each))

    def test_what_happened_is_told(self) -> None:
        for failure, told in (
            (SourceError("nas:80", "refused the connection"), " refused the connection"),
            (SourceError("nas:80", ": the TLS handshake failed"), ": the TLS handshake failed"),
            (
                AddressRefused("nas", ": its address ", Name("10.0.0.1 "), "may not be reached"),
                ": its address may not be reached",
            ),
        ):
            self.assertEqual(failure_of(failure).text, f"the upstream{told}")

    def test_what_all_sources_answer_is_the_answer(self) -> None:
        for statuses, status in (
            ((404,), 404),
            ((404, 410), 404),
            ((403, 403), 403),
            ((403, 404), 502),
            ((404, 503), 502),
        ):
            causes = [("http://a.example/", Reason("x", ("answered",), each)) for each in statuses]
            self.assertEqual(failure_of(TransferFailed(causes, ())).status, status, statuses)

    def test_statuses(self) -> None:
        for kind, silent, status in (
            ("connection_refused", False, 502),
            ("connection_timeout", True, 504),
            ("connection_limit_reached", False, 503),
        ):
            self.assertEqual(
                failure_of(ConnectFailed("a:80", "failed", kind=kind, timed_out=silent)).status,
                status,
            )

    def refused(self, rule: Redirects, location: bytes) -> str:
        at = Url.parse("http://a.example/x")
        why = redirected(rule, at, at, location)
        assert isinstance(why, Reason)
        return failure_of(TransferFailed((("http://a.example/", why),), ())).text

    def test_a_redirect_is_told_without_its_target(self) -> None:
        for location in (
            b"http://inner.example:8080/secret",
            b"http://inner.example:8080/a,b/secret,c",
        ):
            self.assertEqual(
                self.refused(Redirects.SAME_HOST, location),
                "no source can serve this: source 1: redirects to another place; "
                "`redirects: public` would follow",
            )

    def test_a_redirect_to_what_is_no_place_is_told_without_it(self) -> None:
        for location in (
            b"http://10.1/secret",
            b"http://inner.example,10.1/secret",
            b"http://[inner.example]/secret",
            b"//[inner.example/secret",
            b"inner://inner.example/secret",
        ):
            said = self.refused(Redirects.PUBLIC, location)
            self.assertIn("redirects to a place that can't be asked", said)
            for word in ("inner", "10.1", "secret"):
                self.assertNotIn(word, said)

    def test_sources_are_numbered_and_dates_stay(self) -> None:
        causes = (
            ("http://a.example/", reason("answered 503")),
            ("http://b.example/", SourceError("b.example:80", "refused the connection").reason),
            ("http://c.example/", reason("has changed: it was Thu, 01 Jan 2026 10:00:00 GMT")),
        )
        self.assertEqual(
            failure_of(TransferFailed(causes, ())).text,
            "no source can serve this: source 1: answered 503; "
            "source 2: refused the connection; "
            "source 3: has changed: it was Thu, 01 Jan 2026 10:00:00 GMT",
        )

    def test_who_named_the_sources_is_told_their_names(self) -> None:
        failed = TransferFailed((("http://a.example", reason("answered 503")),), ())
        self.assertIn("http://a.example: answered 503", failure_of(failed, by_name=True).text)

    def test_a_refusal_stands_as_it_is(self) -> None:
        self.assertEqual(failure_of(Refusal(400, "at nas:80: no")).text, "at nas:80: no")

    def test_phrases_are_those_of_rfc_9110(self) -> None:
        found = [reason_phrase(status) for status in (206, 413, 414, 416, 599)]
        self.assertEqual(
            found,
            [
                "Partial Content",
                "Content Too Large",
                "URI Too Long",
                "Range Not Satisfiable",
                "Unknown",
            ],
        )


class LoggedTests(SynchronousTestCase):
    def test_a_source_that_fails_again_and_again_is_logged_once_for_each_reason(self) -> None:
        logged, shared = Logged(self), SimpleNamespace()
        failures = SourceFailures(shared, (), "7")  # type: ignore[arg-type]
        sources: list[Any] = [SimpleNamespace(name=name) for name in "ab"]
        refused, stalled = reason("refused the connection"), reason("sent nothing for 10 s")
        for _ in range(3):
            for source in sources:
                failures.note(source, End.UNREACHABLE, refused, True)
            failures.note(sources[0], End.BROKEN, stalled, True)
        self.assertEqual(
            logged.lines,
            ["a: refused the connection", "b: refused the connection", "a: sent nothing for 10 s"],
        )
