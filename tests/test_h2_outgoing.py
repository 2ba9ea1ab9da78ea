"""The body of one stream: the bytes come out as they went in, in frames of any size."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aprp.upstream.http.h2_body import WORTH, OutgoingBody


class OutgoingBodyTests(SynchronousTestCase):
    @given(st.lists(st.binary(max_size=50)), st.lists(st.integers(1, 60), min_size=1))
    def test_in_order(self, pieces: list[bytes], sizes: list[int]) -> None:
        body, found, turn = OutgoingBody(lambda: None), b"", 0
        for piece in pieces:
            body.write(piece)
            if body.size and turn % 3:
                found += body.take(sizes[turn % len(sizes)])
            turn += 1
        while body.size:
            size = sizes[turn % len(sizes)]
            before = body.size
            taken = body.take(size)
            self.assertEqual(len(taken), min(size, before))
            found += taken
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
