"""The demonstration's mirrors: answers as RFC 9110 has them, at no more than their speed."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import Site

from aprp.core.http.fields import Fields
from aprp.core.http.validators import format_date
from aprp.demo.files import MADE_AT, answer, file_of
from aprp.demo.line import Line
from aprp.demo.origins import Origin

NOW = MADE_AT + 1000
TEN = file_of(b"0123456789", b"text/plain")
TAG = b'"84d89877f0d4041e"'  # the start of the content's SHA-256
DATE = format_date(MADE_AT)


def asked(*lines: tuple[bytes, bytes], method: bytes = b"GET") -> tuple[int, bytes | None, bytes]:
    """Status, Content-Range and body of what those fields are answered with."""
    found = answer(TEN, method, Fields(lines), NOW)
    body = TEN.content[found.part.start : found.part.stop]
    return found.status, dict(found.fields).get(b"Content-Range"), body


class AnswerTests(SynchronousTestCase):
    def test_ranges(self) -> None:
        whole = (200, None, TEN.content)
        unsatisfiable = (416, b"bytes */10", b"")
        for value, expected in (
            (b"bytes=0-0", (206, b"bytes 0-0/10", b"0")),
            (b"bytes=2-4", (206, b"bytes 2-4/10", b"234")),
            (b"bytes=7-", (206, b"bytes 7-9/10", b"789")),
            (b"bytes=7-99", (206, b"bytes 7-9/10", b"789")),
            (b"bytes=-3", (206, b"bytes 7-9/10", b"789")),
            (b"bytes=-1000", (206, b"bytes 0-9/10", b"0123456789")),
            (b"Bytes=2-2", (206, b"bytes 2-2/10", b"2")),
            (b"bytes=10-", unsatisfiable),
            (b"bytes=-0", unsatisfiable),
            (b"bytes=4-2", whole),
            (b"bytes=+2-4", whole),
            (b"bytes=1_0-", whole),
            (b"lines=1-2", whole),
            (b"bytes=0-1,4-5", whole),
        ):
            self.assertEqual(asked((b"Range", value)), expected, value)

    def test_without_range(self) -> None:
        self.assertEqual(asked(), (200, None, TEN.content))

    def test_a_range_means_nothing_to_head(self) -> None:
        self.assertEqual(asked((b"Range", b"bytes=0-1"), method=b"HEAD")[:2], (200, None))

    def test_if_range(self) -> None:
        for value, status in (
            (TAG, 206),
            (b"W/" + TAG, 200),
            (b'"other"', 200),
            (DATE, 206),
            (format_date(MADE_AT + 1), 200),
            (b"nonsense", 200),
        ):
            answered = asked((b"Range", b"bytes=0-1"), (b"If-Range", value))
            self.assertEqual(answered[0], status, value)

    def test_conditions_come_before_ranges(self) -> None:
        for name, value, status in (
            (b"If-None-Match", TAG, 304),
            (b"If-None-Match", b"*", 304),
            (b"If-None-Match", b'"other"', 206),
            (b"If-Modified-Since", DATE, 304),
            (b"If-Match", b'"other"', 412),
            (b"If-Match", TAG, 206),
            (b"If-Unmodified-Since", format_date(MADE_AT - 1), 412),
        ):
            answered = asked((b"Range", b"bytes=0-1"), (name, value))
            self.assertEqual(answered[0], status, (name, value))

    def test_validators_are_the_same_wherever_it_is_asked(self) -> None:
        first, second = (dict(answer(TEN, b"GET", Fields(), at).fields) for at in (NOW, NOW + 9))
        self.assertEqual(first, second)
        self.assertEqual((first[b"ETag"], first[b"Last-Modified"]), (TAG, DATE))


class OriginTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.line = Line(1000, self.clock.seconds)
        files = {"/ten": TEN, "/big": file_of(bytes(1000), b"x/y")}
        self.site = Site(Origin(files, self.line, self.clock), reactor=self.clock)

    def connect(self, request: bytes) -> tuple[Any, Any]:
        transport = StringTransport()
        protocol = self.site.buildProtocol(None)
        protocol.makeConnection(transport)
        protocol.dataReceived(request)
        return transport, protocol

    def ask(self, path: str, method: str = "GET", fields: str = "") -> bytes:
        transport, _ = self.connect(f"{method} {path} HTTP/1.1\r\nHost: h\r\n{fields}\r\n".encode())
        self.clock.advance(0.1)
        return bytes(transport.value())

    def test_a_part(self) -> None:
        head, _, body = self.ask("/ten", fields="Range: bytes=2-4\r\n").partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 206 "))
        self.assertIn(b"\r\nContent-Length: 3", head)
        self.assertEqual(body, b"234")

    def test_head_has_the_length_and_no_body(self) -> None:
        head, _, body = self.ask("/ten", "HEAD").partition(b"\r\n\r\n")
        self.assertIn(b"\r\nContent-Length: 10", head)
        self.assertEqual(body, b"")

    def test_not_modified_has_no_body(self) -> None:
        head, _, body = self.ask("/ten", fields="If-None-Match: *\r\n").partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 304 "))
        self.assertEqual(body, b"")

    def test_nothing_else(self) -> None:
        for path in ("/", "/ten/", "/ten/x", "//ten"):
            self.assertTrue(self.ask(path).startswith(b"HTTP/1.1 404 "), path)

    def received(self, transport: StringTransport) -> int:
        return len(transport.value().partition(b"\r\n\r\n")[2])

    def test_a_body_comes_at_the_rate(self) -> None:
        transport, _ = self.connect(b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n")
        self.assertEqual(self.received(transport), 100)
        self.clock.pump([0.02] * 25)
        self.assertEqual(self.received(transport), 600)
        self.clock.pump([0.02] * 25)
        self.assertEqual(self.received(transport), 1000)

    def test_two_clients_share_the_rate(self) -> None:
        both = [self.connect(b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n")[0] for _ in range(2)]
        self.clock.pump([0.02] * 25)
        self.assertEqual(sum(map(self.received, both)), 600)

    def test_the_rate_may_change_in_the_middle_of_a_body(self) -> None:
        transport, _ = self.connect(b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n")
        self.line.change(0)
        self.clock.pump([0.02] * 25)
        self.assertEqual(self.received(transport), 100)
        self.line.change(2000)
        self.clock.pump([0.02] * 10)
        self.assertEqual(self.received(transport), 500)

    def test_a_line_that_stood_still_has_saved_nothing(self) -> None:
        self.line.change(0)
        self.clock.advance(60)
        self.line.change(1000)
        self.assertEqual(self.line.take(1000), 0)

    def test_a_client_that_takes_nothing_is_sent_nothing(self) -> None:
        transport, _ = self.connect(b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n")
        transport.producer.pauseProducing()
        self.clock.pump([0.02] * 25)
        self.assertEqual(self.received(transport), 100)
        transport.producer.resumeProducing()
        self.clock.pump([0.02] * 50)
        self.assertEqual(self.received(transport), 1000)

    def test_a_client_that_leaves_ends_the_work(self) -> None:
        transport, protocol = self.connect(
            b"GET /big HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        )
        transport.producer.stopProducing()
        protocol.connectionLost(None)
        paced = [call for call in self.clock.getDelayedCalls() if "_send" in str(call)]
        self.assertEqual(paced, [])
