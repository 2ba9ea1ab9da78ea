"""The body of one stream: the bytes come out as they went in, in frames of any size."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aprp.upstream.http.h2_body import WORTH, OutgoingBody


def taken(body: OutgoingBody, most: int, largest: int = 16384) -> bytes:
    """What is taken, without the heads of the frames, which are checked."""
    frames = b"".join(body.take(most, largest, lambda count: b"%05d" % count))
    found = b""
    while frames:
        count, frames = int(frames[:5]), frames[5:]
        assert 0 < count <= largest, count
        found, frames = found + frames[:count], frames[count:]
    return found


class OutgoingBodyTests(SynchronousTestCase):
    @given(st.lists(st.binary(max_size=50)), st.lists(st.integers(1, 60), min_size=1))
    def test_in_order(self, pieces: list[bytes], sizes: list[int]) -> None:
        body, found, turn = OutgoingBody(lambda: None), b"", 0
        for piece in pieces:
            body.write(piece)
            if body.size and turn % 3:
                found += taken(body, sizes[turn % len(sizes)], 7)
            turn += 1
        while body.size:
            size = sizes[turn % len(sizes)]
            before = body.size
            data = taken(body, size, 7)
            self.assertEqual(len(data), min(size, before))
            found += data
            turn += 1
        self.assertEqual(found, b"".join(pieces))
        self.assertEqual(body.sent, len(found))

    def test_small_windows_are_left_to_grow(self) -> None:
        body = OutgoingBody(lambda: None)
        body.write(b"x" * 100_000)
        self.assertTrue(body.fits(65535))
        self.assertFalse(body.fits(1))
        self.assertFalse(body.fits(WORTH - 1))
        self.assertTrue(body.fits(WORTH))

    def test_a_receiver_that_never_opens_more_is_served(self) -> None:
        body = OutgoingBody(lambda: None)
        body.write(b"x" * 100_000)
        self.assertTrue(body.fits(10))
        self.assertTrue(body.fits(5))
        self.assertFalse(body.fits(4))
        self.assertFalse(body.fits(0))

    def test_the_last_bytes_go_out(self) -> None:
        body = OutgoingBody(lambda: None)
        body.write(b"x" * 3)
        self.assertTrue(body.fits(65535))
        self.assertTrue(body.fits(3))
