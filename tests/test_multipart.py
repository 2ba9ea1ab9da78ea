"""The frame of multipart/byteranges, read back with the standard library's parser."""

from __future__ import annotations

from email import message_from_bytes
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http.ranges import Range
from aprp.web.multipart import Multipart

FILE = bytes(range(256))
ranges = st.lists(
    st.tuples(st.integers(0, 255), st.integers(0, 255)).map(
        lambda pair: Range(min(pair), max(pair) + 1)
    ),
    min_size=2,
    max_size=6,
)


def body_of(frame: Multipart) -> bytes:
    pieces = [before + FILE[each.start : each.stop] for before, each in frame.parts()]
    return b"".join(pieces) + frame.end


class MultipartTests(SynchronousTestCase):
    def test_as_section_14_6_shows_it(self) -> None:
        frame = Multipart((Range(1, 3), Range(9, 10)), 256, b"video/mp4", b"SEP")
        self.assertEqual(frame.content_type, b"multipart/byteranges; boundary=SEP")
        self.assertEqual(
            body_of(frame),
            b"--SEP\r\nContent-Type: video/mp4\r\nContent-Range: bytes 1-2/256\r\n\r\n\x01\x02"
            b"\r\n--SEP\r\nContent-Type: video/mp4\r\nContent-Range: bytes 9-9/256\r\n\r\n\x09"
            b"\r\n--SEP--\r\n",
        )

    def test_without_a_media_type(self) -> None:
        frame = Multipart((Range(1, 3), Range(9, 10)), 256, None, b"SEP")
        self.assertNotIn(b"Content-Type", body_of(frame))
        self.assertEqual(len(body_of(frame)), frame.length)

    @given(ranges, st.none() | st.just(b"text/plain"))
    def test_length_and_parts(self, asked: list[Range], media_type: bytes | None) -> None:
        frame = Multipart(tuple(asked), 256, media_type, b"0f" * 16)
        body = body_of(frame)
        self.assertEqual(len(body), frame.length)
        head = b"MIME-Version: 1.0\r\nContent-Type: " + frame.content_type + b"\r\n\r\n"
        message: Any = message_from_bytes(head + body)
        self.assertEqual(
            [part["Content-Range"].encode() for part in message.get_payload()],
            [each.content_range(256) for each in asked],
        )
