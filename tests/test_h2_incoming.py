"""Received bytes, on their way to the reader of frames."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aprp.upstream.http.h2_incoming import IncomingBytes


class IncomingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.handled: list[bytes] = []

    def incoming(self, gather: bool) -> IncomingBytes:
        return IncomingBytes(self.clock, self.handled.append, gather)

    def test_at_once_unless_they_gather(self) -> None:
        self.incoming(gather=False).came(b"now")
        self.assertEqual(self.handled, [b"now"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_records_of_one_read_together(self) -> None:
        incoming = self.incoming(gather=True)
        incoming.came(b"one ")
        incoming.came(b"two")
        self.assertEqual(self.handled, [])
        self.clock.advance(0)
        self.assertEqual(self.handled, [b"one two"])

    def test_at_the_end_of_the_connection(self) -> None:
        for end, expected in ((IncomingBytes.hand_on, [b"rest"]), (IncomingBytes.close, [])):
            self.handled.clear()
            incoming = self.incoming(gather=True)
            incoming.came(b"rest")
            end(incoming)
            self.assertEqual((self.handled, self.clock.getDelayedCalls()), (expected, []))
