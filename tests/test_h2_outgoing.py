"""The body of one stream: the bytes come out as they went in, in frames of any size."""

from __future__ import annotations

from typing import Any

from h2.connection import H2Connection
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http.fields import Fields, Pairs
from aprp.core.http2.frames import Code
from aprp.upstream.http.h2_body import WORTH, OutgoingBody
from aprp.upstream.http.h2_outgoing import AT_ONCE, TOGETHER, OutgoingBodies
from aprp.web.h2_stream import ClientStream
from aprp.web.request_rules import Limits
from tests.support.h2_client import asking


def taken(body: OutgoingBody, most: int, largest: int = 16384) -> bytes:
    """What is taken, without the heads of the frames, which are checked."""
    frames = b"".join(body.take(most, largest, lambda count: b"%05d" % count))
    found = b""
    while frames:
        count, frames = int(frames[:5]), frames[5:]
        assert 0 < count <= largest, count
        found, frames = found + frames[:count], frames[count:]
    return found


class Quick(StringTransport):
    """A receiver that takes everything at once, until the reactor has its turn."""

    sent = 0

    def write_pieces(self, pieces: list[bytes], direct: bool) -> None:
        self.sent += sum(map(len, pieces))
        if not direct and self.producer is not None:
            self.producer.pauseProducing()

    def flush(self) -> None:
        """There is nothing else."""


class Endless:
    """A producer that has more at once, until it is paused."""

    def __init__(self, body: OutgoingBody) -> None:
        self._body = body
        body.registerProducer(self, True)

    def resumeProducing(self) -> None:
        self._paused = False
        while not self._paused:
            self._body.write(bytes(100_000))

    def pauseProducing(self) -> None:
        self._paused = True


class Carrier:
    """The connection of one stream."""

    site: Any = None
    limits = Limits(idle_seconds=10.0)

    def __init__(self) -> None:
        self.reactor = Clock()
        self.outgoing = OutgoingBody(lambda: None)
        self.codes: list[int] = []

    def send_head(self, stream: int, pairs: Pairs, ends: bool) -> None:
        """Send nothing."""

    def body(self, stream: int) -> OutgoingBody:
        return self.outgoing

    def reset(self, stream: int, code: int) -> None:
        self.codes.append(code)

    def over(self, stream: int) -> None:
        """Forget it."""


class LastBytesTests(SynchronousTestCase):
    def test_they_wait_as_long_as_the_client_takes_some(self) -> None:
        carrier = Carrier()
        stream = ClientStream(carrier, 1)  # type: ignore[arg-type]
        stream.send_head(200, Fields(), False)
        stream.write(bytes(10))
        stream.requestDone(None)
        for _ in range(5):
            carrier.reactor.advance(9)
            carrier.outgoing.take(1, 16384, lambda count: b"")
        carrier.reactor.advance(9)
        self.assertEqual(carrier.codes, [])
        carrier.reactor.pump([2] * 10)
        self.assertEqual(carrier.codes, [Code.CANCEL])
        self.assertFalse(carrier.reactor.getDelayedCalls())


class OutgoingBodiesTests(SynchronousTestCase):
    def test_the_reactor_has_its_turn(self) -> None:
        h2 = H2Connection()
        h2.initiate_connection()
        quick: Any = Quick()
        bodies = OutgoingBodies(h2, quick, quick, lambda stream: None)
        h2.send_headers(1, asking(b"/"))
        h2.streams[1].outbound_flow_control_window = 1 << 30
        h2.outbound_flow_control_window = 1 << 30
        Endless(bodies.open(1)).resumeProducing()
        for turn in (1, 2, 3):
            self.assertGreaterEqual(quick.sent, turn * AT_ONCE)
            self.assertLess(quick.sent, turn * (AT_ONCE + 2 * TOGETHER))
            bodies.resumeProducing()


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
