"""Bodies taken out of their framing (RFC 9112 sections 6.3 and 7.1), whole and byte by byte."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http.framing import (
    MAX_LINE,
    MAX_TRAILERS,
    BodyTooLarge,
    ChunkedDecoder,
    Decoder,
    LengthDecoder,
    decoder_for,
)
from aprp.core.http.heads import Framing, MalformedMessage


def decode(decoder: Decoder, data: bytes, size: int) -> bytes:
    """All of the body, fed in pieces; what follows is left in `rest` and not fed on."""
    body = b""
    for at in range(0, len(data), size):
        body += b"".join(decoder.feed(data[at : at + size]))
        if decoder.done:
            decoder.rest += data[at + size :]
            break
    return body


class LengthTest(SynchronousTestCase):
    def test_lengths(self) -> None:
        for length, data, body, done, rest in (
            (5, b"hello", b"hello", True, b""),
            (5, b"hello, you", b"hello", True, b", you"),
            (5, b"hell", b"hell", False, b""),
            (None, b"hello", b"hello", False, b""),
        ):
            for size in (1, 2, 100):
                decoder = LengthDecoder(length)
                self.assertEqual(decode(decoder, data, size), body)
                self.assertEqual((decoder.done, decoder.rest), (done, rest))

    def test_nothing_is_done_at_once(self) -> None:
        self.assertTrue(decoder_for(Framing(0)).done)
        self.assertFalse(decoder_for(Framing()).done)
        self.assertIsInstance(decoder_for(Framing(chunked=True)), ChunkedDecoder)


class ChunkedTest(SynchronousTestCase):
    def test_well_formed(self) -> None:
        for data in (
            b"5\r\nhello\r\n0\r\n\r\n",
            b"05\r\nhello\r\n000\r\n\r\n",
            b"1\r\nh\r\n4\r\nello\r\n0\r\n\r\n",
            b'5;a;b=c;d="e\\";\\\\"\r\nhello\r\n0;f\r\n\r\n',
            b"5 ; a = b\r\nhello\r\n0\r\n\r\n",
            b"5\r\nhello\r\n0\r\nA: b\r\nC:\r\n\r\n",
        ):
            for strict in (False, True):
                for size in (1, 2, 3, 100):
                    decoder = ChunkedDecoder(strict)
                    self.assertEqual(decode(decoder, data + b"GET /", size), b"hello", data)
                    self.assertEqual((decoder.done, decoder.rest), (True, b"GET /"))

    def test_padding_is_taken_from_servers_only(self) -> None:
        for data in (b"5 \r\nhello\r\n0\r\n\r\n", b"5;\r\nhello\r\n0\r\n\r\n"):
            self.assertEqual(decode(ChunkedDecoder(), data, 100), b"hello")
            self.assertRaises(MalformedMessage, decode, ChunkedDecoder(strict=True), data, 100)

    def test_malformed(self) -> None:
        for data in (
            *(
                b"\r\n",
                b"x\r\n",
                b"-1\r\n",
                b"+1\r\n",
                b"0x1\r\n",
                b" 1\r\n",
                b"1_0\r\n",
                b"\xb2\r\n",
            ),
            *(b"5\n", b"5\r5", b"5;a\n", b"1" * 17 + b"\r\n", b"5\r\nhelloX", b"5\r\nhello\n"),
            *(b"5\r\nhello\r5", b"0\r\n\n", b"0\r\n\rX", b"0\r\nA : b\r\n\r\n", b"0\r\nA\r\n\r\n"),
            *(
                b"0\r\nA: b\n",
                b"0\r\nA: \x00\r\n\r\n",
                b"0\r\n a: b\r\n\r\n",
                b"5;" + b"a" * MAX_LINE,
            ),
            *(b"5;" + b"a" * MAX_LINE + b"\r\n", b"0\r\nA: " + b"b" * MAX_TRAILERS),
        ):
            for strict in (False, True):
                for size in (1, len(data)):
                    with self.assertRaises(MalformedMessage, msg=repr(data[:50])):
                        decode(ChunkedDecoder(strict), data, size)

    def test_more_than_is_taken_is_refused_when_it_is_announced(self) -> None:
        self.assertEqual(decode(ChunkedDecoder(most=5), b"5\r\nhello\r\n0\r\n\r\n", 1), b"hello")
        for data in (b"6\r\n", b"3\r\nhel\r\n3\r\n", b"ffffffffffffffff\r\n"):
            self.assertRaises(BodyTooLarge, decode, ChunkedDecoder(most=5), data, 1)

    @given(st.lists(st.binary(min_size=1, max_size=50)), st.integers(1, 40), st.binary(max_size=9))
    def test_any_body_in_any_pieces(self, chunks: list[bytes], size: int, rest: bytes) -> None:
        framed = b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in chunks) + b"0\r\n\r\n"
        decoder = ChunkedDecoder(strict=True)
        self.assertEqual(decode(decoder, framed + rest, size), b"".join(chunks))
        self.assertEqual((decoder.done, decoder.rest), (True, rest))
