"""Frames taken apart, in whatever pieces they come."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http2.frames import PREFACE, Broken, Code, Data, Frame, GoAway, Kind, NotHttp2, Other
from aprp.core.http2.reading import FrameReader
from aprp.core.http2.writing import frame, go_away
from tests.support.h2_frames import data, headers, ping, settings

STATUS = ((b":status", b"200"),)
WIRE = (
    settings()
    + headers(1, STATUS)
    + data(1, b"hello")
    + frame(Kind.DATA, 8, 3, b"\x03padded\0\0\0")
    + frame(Kind.DATA, 9, 3, b"\x00")
    + ping()
    + data(1, b" world", end=True)
    + go_away(3, Code.NO_ERROR, "bye")
)


def summary(frames: list[Frame]) -> list[object]:
    """The same for the same bytes, however they were cut."""
    bodies: dict[int, list[object]] = {}
    found: list[object] = []
    for each in frames:
        if isinstance(each, Data):
            body = bodies.setdefault(each.stream, [b"", 0, False])
            body[0] = bytes(body[0]) + each.data  # type: ignore[call-overload]
            body[1] = int(str(body[1])) + each.cost
            body[2] = body[2] or each.last
        else:
            found.append(each)
    return [*found, bodies]


class FrameReaderTests(SynchronousTestCase):
    def test_whole(self) -> None:
        found = summary(FrameReader(65536).feed(WIRE))
        self.assertEqual(found[-1], {1: [b"hello world", 11, True], 3: [b"padded", 11, True]})
        self.assertEqual(found[-2], GoAway(3, 0))
        kinds = [each.kind for each in found if isinstance(each, Other)]
        self.assertEqual(kinds, [Kind.SETTINGS, Kind.HEADERS, Kind.PING])

    @given(st.lists(st.integers(1, 40)))
    def test_in_pieces(self, sizes: list[int]) -> None:
        reader, found, at = FrameReader(65536), list[Frame](), 0
        for size in [*sizes, len(WIRE)]:
            found += reader.feed(WIRE[at : at + size])
            at += size
        self.assertEqual(summary(found), summary(FrameReader(65536).feed(WIRE)))

    def test_a_body_comes_as_it_comes(self) -> None:
        reader = FrameReader(65536)
        wire = settings() + data(1, b"x" * 1000)
        found = reader.feed(wire[:500])
        self.assertEqual(sum(len(each.data) for each in found if isinstance(each, Data)), 482)

    def test_frames_that_carry_nothing_are_counted(self) -> None:
        reader = FrameReader(65536)
        reader.feed(settings())
        padded = frame(Kind.DATA, 8, 1, b"\x01\0")
        wire = data(1) * 3 + data(1, b"a") + padded * 2 + data(1, end=True)
        self.assertEqual(reader.feed(wire), [Data(1, b"a", 5, True, 5)])

    def test_what_follows_an_end_is_apart(self) -> None:
        reader = FrameReader(65536)
        reader.feed(settings())
        wire = data(1, b"a") + data(1, b"b", end=True) + data(1, b"c") + data(3, b"d")
        self.assertEqual(
            reader.feed(wire),
            [Data(1, b"ab", 2, True), Data(1, b"c", 1, False), Data(3, b"d", 1, False)],
        )

    def test_the_preface(self) -> None:
        reader = FrameReader(65536, preface=True)
        self.assertEqual(reader.feed(PREFACE[:10]), [])
        self.assertEqual(len(reader.feed(PREFACE[10:] + settings())), 1)
        self.assertRaises(NotHttp2, FrameReader(65536, preface=True).feed, b"GET / HTTP/1.1\r\n")
        self.assertRaises(NotHttp2, FrameReader(65536).feed, b"HTTP/1.1 400 Bad")
        self.assertRaises(NotHttp2, FrameReader(65536).feed, ping())

    @given(st.binary(max_size=200), st.booleans())
    def test_anything_is_taken_or_refused(self, noise: bytes, begun: bool) -> None:
        reader = FrameReader(65536)
        with contextlib.suppress(Broken):
            reader.feed(settings() * begun + noise)
