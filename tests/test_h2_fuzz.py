"""Frames of all kinds, in any order, whole or not, to both of our sides of HTTP/2.

Nothing raises, nothing is left behind once the connection is gone, and no request is answered with
a 500.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from aprp.config import ListenHttp2, Settings, UpstreamRoute, Url
from aprp.core.http.fields import Fields
from aprp.core.http2.frames import PREFACE, Kind
from aprp.core.http2.writing import frame
from aprp.upstream.errors import SourceError
from aprp.upstream.exchange import Origin, SourceRequest, Timeouts
from aprp.upstream.http.agent import Agent
from aprp.upstream.http.h2_connection import SharedConnection
from aprp.web.access_record import AccessRecord
from aprp.web.site import make_site
from tests.support.h2_client import asking
from tests.support.h2_frames import block, data, headers, ping, settings

STREAMS = st.sampled_from([0, 1, 1, 1, 2, 3, 3, 5, 7])
FLAGS = st.sampled_from([0, 1, 4, 5, 8, 9, 0xD, 0x20, 0x25, 0xFF])
NAMES = st.sampled_from(
    [b":status", b":method", b":path", b"content-length", b"a", b"connection", b"A", b"", b"host"]
)
VALUES = st.sampled_from([b"200", b"103", b"101", b"GET", b"/", b"5", b"x", b"", b"a\nb", b" "])
BLOCKS = st.lists(st.tuples(NAMES, VALUES), max_size=6).map(block)
NOISE = st.binary(max_size=40)
FOURS = st.integers(0, 2**32 - 1).map(lambda value: value.to_bytes(4, "big"))
ANY = st.builds(
    lambda kind, flags, stream, payload: frame(kind, flags, stream, payload),
    st.sampled_from(list(Kind)),
    FLAGS,
    STREAMS,
    st.one_of(BLOCKS, NOISE, FOURS, st.just(b"\0" * 8), st.just(b"\0" * 6)),
)
REQUESTS = st.builds(
    lambda stream, method, ends: headers(stream, asking(b"/film", method=method), end=ends),
    STREAMS,
    st.sampled_from([b"GET", b"HEAD", b"POST", b"OPTIONS"]),
    st.booleans(),
)
ANSWERS = st.builds(
    lambda stream, status, ends: headers(
        stream, ((b":status", status), (b"content-length", b"5")), end=ends
    ),
    STREAMS,
    st.sampled_from([b"200", b"206", b"204", b"103", b"500"]),
    st.booleans(),
)
BODIES = st.builds(data, STREAMS, NOISE, st.booleans())
USUAL = st.sampled_from([settings(), settings(initial_window_size=0), ping(), ping(ack=True)])


class Wire(StringTransport):
    """A transport whose other side is the test's."""

    protocol: Any = None
    aborted = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing is held up."""

    def abortConnection(self) -> None:
        self.loseConnection()

    def loseConnection(self, *_: object) -> None:
        if self.connected:
            self.connected = False
            self.protocol.connectionLost(Failure(ConnectionDone()))

    def loseWriteConnection(self) -> None:
        self.loseConnection()


def in_pieces(wire: bytes, size: int) -> list[bytes]:
    return [wire[at : at + size] for at in range(0, len(wire), size)]


class ClientFuzzTest(SynchronousTestCase):
    @given(
        st.lists(st.one_of(REQUESTS, REQUESTS, BODIES, ANY, USUAL), max_size=12),
        st.sampled_from([1, 7, 1000]),
        st.booleans(),
    )
    def test_anything_from_a_client(self, frames: list[bytes], size: int, begins: bool) -> None:
        clock = MemoryReactorClock()
        agent = Agent(clock)
        records: list[AccessRecord] = []
        route = UpstreamRoute(path="/", upstream=Url.parse("http://127.0.0.1:1/"))
        made = Settings(listen=("tcp:0",), routes=(route,), listen_http2=ListenHttp2.CLEARTEXT)
        site = make_site(made, agent, records.append, clock)
        wire = Wire()
        channel = site.buildProtocol(None)
        wire.protocol = channel
        channel.makeConnection(wire)
        sent = PREFACE + (settings() if begins else b"") + b"".join(frames)
        for piece in in_pieces(sent, size):
            if wire.connected:
                wire.protocol.dataReceived(piece)
                clock.advance(0)
        wire.loseConnection()
        for _ in range(3):
            clock.advance(0)
        self.assertEqual((len(site.in_flight), len(site.channels)), (0, 0))
        self.assertEqual([each for each in clock.getDelayedCalls() if each.active()], [])
        self.assertNotIn(500, [each.status for each in records])
        self.assertEqual(self.flushLoggedErrors(), [])


class SourceFuzzTest(SynchronousTestCase):
    @given(
        st.lists(st.one_of(ANSWERS, ANSWERS, BODIES, ANY, USUAL), max_size=12),
        st.sampled_from([1, 7, 1000]),
        st.booleans(),
    )
    def test_anything_from_a_source(self, frames: list[bytes], size: int, begins: bool) -> None:
        clock = MemoryReactorClock()
        gone: list[SharedConnection] = []
        connection = SharedConnection(clock, "source", lambda _: None, gone.append)
        wire = Wire()
        wire.protocol = connection
        connection.makeConnection(wire)
        origin = Origin("http", "source", 80)
        fields = Fields(((b"Host", b"source"),))
        request = SourceRequest(b"GET", origin, b"/", fields, Timeouts(5, 5, 5))
        results: list[object] = []
        for _ in range(3):
            asked: Deferred[Any] = connection.ask(request)
            asked.addCallback(lambda exchange: exchange.pump(_Sink()))
            asked.addBoth(results.append)
        sent = (settings() if begins else b"") + b"".join(frames)
        for piece in in_pieces(sent, size):
            if wire.connected:
                connection.dataReceived(piece)
        wire.loseConnection()
        self.assertEqual(len(results), 3)
        for each in results:
            if isinstance(each, Failure):
                self.assertIsInstance(each.value, SourceError)
        self.assertEqual(gone, [connection])
        self.assertEqual([each for each in clock.getDelayedCalls() if each.active()], [])


class _Sink:
    def registerProducer(self, producer: object, streaming: bool) -> None:
        """Never full."""

    def unregisterProducer(self) -> None:
        """Nothing is held."""

    def write(self, data: bytes) -> None:
        """Dropped."""
