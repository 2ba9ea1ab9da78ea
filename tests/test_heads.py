"""Response heads and their framing (RFC 9112 sections 2 to 6)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http.fields import Fields
from aprp.core.http.heads import (
    Framing,
    MalformedMessage,
    ResponseHead,
    check_line_ends,
    declared_length,
    parse_fields,
    parse_response_head,
    response_framing,
)


def head(*lines: bytes, line: bytes = b"HTTP/1.1 200 OK") -> ResponseHead:
    return parse_response_head(b"\r\n".join([line, *lines]))


class HeadTest(SynchronousTestCase):
    def test_what_is_kept(self) -> None:
        parsed = head(b"A:b", b"a-B: \t c d \t", b"E:", line=b"HTTP/1.0 404 Not \xe9")
        fields = Fields(((b"A", b"b"), (b"a-B", b"c d"), (b"E", b"")))
        self.assertEqual(parsed, ResponseHead(0, 404, b"Not \xe9", fields))

    def test_later_minor_versions_are_1_1(self) -> None:
        self.assertEqual(head(line=b"HTTP/1.7 200 OK").minor, 1)

    def test_keeping_the_connection(self) -> None:
        for line, fields, kept in (
            (b"HTTP/1.1 200 OK", (), True),
            (b"HTTP/1.1 200 OK", (b"Connection: x, Close",), False),
            (b"HTTP/1.1 200 OK", (b"Connection: x", b"Connection: close"), False),
            (b"HTTP/1.0 200 OK", (), False),
            (b"HTTP/1.0 200 OK", (b"Connection: Keep-Alive",), True),
            (b"HTTP/1.0 200 OK", (b"Connection: keep-alive, close",), False),
        ):
            self.assertEqual(head(*fields, line=line).keeps_alive, kept, fields)

    def test_stray_line_ends(self) -> None:
        for data, fine in (
            (b"", True),
            (b"a\r\nb\r\n\r\n", True),
            (b"a\r", True),  # the LF may be on its way
            (b"\n", False),
            (b"a\nb", False),
            (b"a\rb", False),
            (b"a\r\r\n", False),
            (b"a\r\n\nb", False),
            (b"a\n\r", False),
        ):
            if fine:
                check_line_ends(data)
            else:
                self.assertRaises(MalformedMessage, check_line_ends, data)

    @given(st.lists(st.binary(max_size=20), max_size=4))
    def test_fields_survive_only_as_they_are(self, lines: list[bytes]) -> None:
        try:
            fields = parse_fields(lines)
        except MalformedMessage:
            return
        for line, (name, value) in zip(lines, fields, strict=True):
            self.assertEqual(line.split(b":", 1)[0], name)
            self.assertEqual(line.split(b":", 1)[1].strip(b" \t"), value)
            self.assertNotRegex(value, rb"[\r\n\x00]")


class FramingTest(SynchronousTestCase):
    def test_framing(self) -> None:
        length, chunked = b"Content-Length: 5", b"Transfer-Encoding: chunked"
        for method, line, fields, framing in (
            (b"GET", b"HTTP/1.1 200 OK", (length,), Framing(5)),
            (b"GET", b"HTTP/1.1 200 OK", (length, length), Framing(5)),
            (b"GET", b"HTTP/1.1 200 OK", (b"Content-Length: 5,5",), Framing(5)),
            (b"GET", b"HTTP/1.1 200 OK", (chunked,), Framing(chunked=True)),
            (b"GET", b"HTTP/1.1 200 OK", (), Framing()),
            (b"HEAD", b"HTTP/1.1 200 OK", (length,), Framing(0)),
            (b"HEAD", b"HTTP/1.1 200 OK", (chunked,), Framing(0)),
            (b"GET", b"HTTP/1.1 204 No", (length,), Framing(0)),
            (b"GET", b"HTTP/1.1 304 No", (length,), Framing(0)),
            (b"GET", b"HTTP/1.1 304 No", (chunked,), Framing(0)),
        ):
            self.assertEqual(response_framing(head(*fields, line=line), method), framing)

    def test_by_close(self) -> None:
        self.assertEqual(
            [each.by_close for each in (Framing(), Framing(0), Framing(chunked=True))],
            [True, False, False],
        )

    def test_two_meanings(self) -> None:
        for fields in (
            (b"Content-Length: 5", b"Transfer-Encoding: chunked"),
            (b"Content-Length: 5", b"Content-Length: 6"),
            (b"Content-Length: 5, 6",),
            (b"Content-Length: 5,",),
            (b"Content-Length: " + b"9" * 40,),
            (b"Content-Length: %d" % (2**63 - 1),),
            (b"Transfer-Encoding: gzip, chunked",),
            (b"Transfer-Encoding:",),
        ):
            for method in (b"GET", b"HEAD"):
                with self.assertRaises(MalformedMessage, msg=repr(fields)):
                    response_framing(head(*fields), method)
            if b"Transfer" not in b"".join(fields):
                self.assertIsNone(declared_length(head(*fields).fields))
