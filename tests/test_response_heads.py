"""Heads of answers as they come in, in segments of any size."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http.fields import Pairs
from aprp.core.http.heads import MalformedMessage, check_line_ends
from aprp.upstream.http import response_heads
from aprp.upstream.http.response_heads import Heads

TWO = b"HTTP/1.1 103 Early\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nC: d\r\n\r\nbody"


class HeadsTests(SynchronousTestCase):
    def test_two_in_any_segments(self) -> None:
        for size in range(1, len(TWO) + 1):
            heads = Heads("a:80")
            found: list[tuple[int, Pairs]] = []
            for at in range(0, len(TWO), size):
                heads.feed(TWO[at : at + size])
                while len(found) < 2 and (head := heads.next()) is not None:
                    found.append((head.status, head.fields.pairs))
            self.assertEqual(found, [(103, ((b"A", b"b"),)), (200, ((b"C", b"d"),))], size)
            self.assertEqual(heads.rest(), b"body", size)

    def test_a_stray_line_end_in_any_segment(self) -> None:
        for stray in (b"HTTP/1.1 200 OK\r\nA: b\rc", b"HTTP/1.1 200 OK\r\nA: b\nc"):
            for cut in range(8, len(stray)):
                heads = Heads("a:80")
                with self.assertRaises(MalformedMessage, msg=str((stray, cut))):
                    for piece in (stray[:cut], stray[cut:]):
                        heads.feed(piece)
                        heads.next()

    def test_each_byte_is_looked_at_once(self) -> None:
        looked_at = 0

        def counting(data: bytes, checked: int = 0) -> None:
            nonlocal looked_at
            looked_at += len(data) - max(0, checked - 1)
            check_line_ends(data, checked)

        self.patch(response_heads, "check_line_ends", counting)
        heads = Heads("a:80")
        trickled = b"HTTP/1.1 200 OK\r\nA: " + b"b" * 20_000
        for at in range(len(trickled)):
            heads.feed(trickled[at : at + 1])
            heads.next()
        self.assertLess(looked_at, 3 * len(trickled))
