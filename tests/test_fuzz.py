"""Mutated requests and answers through a real site and a real agent, on transports in memory.

Whatever comes, on a route of any kind: nothing is logged as a failure, no answer is a 500, nothing
but well-formed requests goes upstream, a client's stream is answers of which all but the last are
whole, and one that isn't whole is cut. In the end no timer and no connection to the upstream is
left but idle ones.
"""

from __future__ import annotations

import itertools
from ipaddress import ip_network
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from aprp.config import (
    PathRanges,
    QueryRoute,
    Same,
    Settings,
    SourceSettings,
    SourcesRoute,
    UpstreamRoute,
)
from aprp.core.http.urls import Url
from aprp.upstream.http.agent import Agent
from aprp.web.access_record import AccessRecord
from aprp.web.site import make_site
from tests.support.names import OneAddress
from tests.support.origin import parse_request
from tests.support.responses import read_responses

NASTY = (
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b"\x00", b":", b",", b";", b"=", b'"', b"-"),
    *(b"0", b"5", b"9" * 20, b"-1", b"\xff", b"%", b"/", b"..", b"#", b"?", b"*", b"\x7f", b"_"),
    *(b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: x\r\n", b"chunked"),
    *(b"Connection: close\r\n", b"HTTP/1.0", b"HTTP/1.1", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    *(b"0\r\n\r\n", b"5\r\nhello\r\n", b"Range: bytes=0-1\r\n", b"bytes ", b"HEAD", b"Expect: "),
    *(b"%d" % 2**62, b"%d" % (2**63 - 1), b"%d" % 2**63, b"/%d" % 2**62, b"-%d" % 2**63, b"&host="),
    *(b"/0/1", b"/len/", b"/m/", b"/s/", b"/proxy?host=http://", b"http://192.0.2.9/a", b"%2C"),
    *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 C\r\n\r\n", b"If-Range: ", b'ETag: "a"\r\n', b"206"),
)
HUGE = (2**62 - 1, 2**62, 2**62 + 1, 2**63 - 2, 2**63 - 1, 2**63, 10**30)
QUERY = b"/proxy?host=http://192.0.2.9/a,http://192.0.2.8/a"
REQUESTS = (
    b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: x\r\nRange: bytes=2-5\r\n\r\n",
    b'GET /a HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1,4-5,-1\r\nIf-Range: "a"\r\n\r\n',
    b"HEAD /a HTTP/1.1\r\nHost: x\r\nConnection: x, close\r\nX: y\r\n\r\n",
    b"GET http://h:1/a/2/5?b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
    b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n0\r\nA: b\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n",
    b"GET /len/a/2/5 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /m/a HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /m/a/2/5?b HTTP/1.1\r\nHost: x\r\nIf-None-Match: *\r\n\r\n",
    b'GET /s HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1,4-5,-1\r\nIf-Range: "a"\r\n\r\n',
    b"HEAD /m/a HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET " + QUERY + b" HTTP/1.1\r\nHost: x\r\nRange: bytes=2-5\r\n\r\n",
    b"GET /proxy?host=http%3A%2F%2F192.0.2.9%2Fa&host=https://[::1]/ HTTP/1.1\r\nHost: x\r\n\r\n",
)
ANSWERS = (
    b'HTTP/1.1 200 OK\r\nContent-Length: 8\r\nETag: "a"\r\n\r\nabcdefgh',
    b'HTTP/1.1 206 P\r\nContent-Range: bytes 2-5/8\r\nContent-Length: 4\r\nETag: "a"\r\n\r\ncdef',
    b"HTTP/1.1 206 P\r\nContent-Range: bytes 2-5/8\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"4\r\ncdef\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n5;x=y\r\ndefgh\r\n0\r\nT: u\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nConnection: X\r\nX: y\r\n\r\nabcdefgh",
    b'HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 304 Not\r\nETag: "a"\r\n\r\n',
    b"HTTP/1.1 416 No\r\nContent-Range: bytes */8\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: http://up.example/b\r\nContent-Length: 2\r\n\r\nno",
)


def far_away() -> tuple[bytes, ...]:
    """Requests for positions at the edges of what a number holds, on every kind of route."""
    found = []
    for path in (b"/a", b"/len/a", b"/m/a", b"/s", QUERY):
        for n in HUGE:
            for asked in (b"%d-" % n, b"%d-%d" % (n, n), b"0-%d" % n, b"-%d" % n, b"0-0,%d-" % n):
                found.append(
                    b"GET %s HTTP/1.1\r\nHost: x\r\nRange: bytes=%s\r\n\r\n" % (path, asked)
                )
            for asked in (b"%d" % n, b"%d/" % n, b"%d/%d" % (n, n), b"0/%d" % n):
                found.append(b"GET %s/%s HTTP/1.1\r\nHost: x\r\n\r\n" % (path, asked))
    return tuple(found)


def mutated(bases: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """One of these, with up to four bytes or runs of it put in, taken out or exchanged."""
    change = st.tuples(
        st.floats(0, 1, exclude_max=True), st.integers(0, 4), st.sampled_from(NASTY) | st.just(b"")
    )

    def apply(base: bytes, changes: list[tuple[float, int, bytes]]) -> bytes:
        for where, gone, put in changes:
            at = int(where * len(base))
            base = base[:at] + put + base[at + gone :]
        return base

    return st.builds(apply, st.sampled_from(bases), st.lists(change, max_size=4))


def truncated(bases: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """One of these, broken off."""
    kept = st.floats(0.5, 1)
    return st.builds(lambda base, n: base[: int(n * len(base))], st.sampled_from(bases), kept)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


class Wire(StringTransport):
    """A connection in memory. Like a real one it tells of its end later, in `Net.settle`."""

    def __init__(self, protocol: Any) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", "192.0.2.1", 5))
        self.protocol = protocol
        self.how: str | None = None
        self.ended: str | None = None
        protocol.makeConnection(self)

    def loseConnection(self) -> None:
        self.how = self.how or "fin"
        self.disconnecting = True

    def abortConnection(self) -> None:
        self.how = "reset"
        self.disconnecting = True

    def write(self, data: bytes) -> None:
        if self.how is None:
            super().write(data)

    def pauseProducing(self) -> None:
        self.producerState = "paused"

    def resumeProducing(self) -> None:
        self.producerState = "producing"

    def lose(self, reason: Exception) -> None:
        if self.ended is None:
            self.ended = "reset" if isinstance(reason, ConnectionAborted) else "fin"
            self.protocol.connectionLost(Failure(reason))


def routes() -> tuple[Any, ...]:
    """One of each kind, and of each meaning of a range in the path."""
    upstream, sources = Url.parse("http://192.0.2.9"), ("http://192.0.2.9/", "http://192.0.2.8/")
    mirrors = tuple(SourceSettings(url=Url.parse(each)) for each in sources)
    far = ip_network("192.0.2.0/24")
    return (
        UpstreamRoute(path="/", upstream=upstream, path_ranges=PathRanges.END, resume_for=1.0),
        UpstreamRoute(
            path="/len/", upstream=upstream, path_ranges=PathRanges.LENGTH, resume_for=1.0
        ),
        SourcesRoute(path="/m/", sources=mirrors, path_ranges=PathRanges.END, resume_for=1.0),
        SourcesRoute(
            path="/s",
            sources=mirrors,
            path_ranges=PathRanges.LENGTH,
            resume_for=1.0,
            same=Same.LENGTH,
        ),
        QueryRoute(
            path="/proxy", query="host", allow=("*",), allow_addresses=(far,), resume_for=1.0
        ),
    )


class Net:
    """The proxy and both of its sides."""

    def __init__(self, answers: list[bytes], cuts: list[int], then: str) -> None:
        self.reactor: Any = MemoryReactorClock()
        self.records: list[AccessRecord] = []
        self.agent = Agent(self.reactor, OneAddress("192.0.2.7"))
        configured = Settings(listen=("tcp:0",), routes=routes())
        site = make_site(configured, self.agent, self.records.append, self.reactor)
        self.client = Wire(site.buildProtocol(IPv4Address("TCP", "192.0.2.1", 5)))
        self.upstreams: list[Wire] = []
        self.begun = 0
        self.answers, self.cuts, self.then = answers, cuts, then
        self.read: dict[Wire, int] = {}

    def feed(self, data: bytes) -> None:
        for piece in pieces(data, self.cuts):
            if self.client.how is None:
                self.client.protocol.dataReceived(piece)
            self.settle()

    def settle(self) -> None:
        """Let everything happen that needs no time, and a little of that."""
        for _ in range(12):
            self._connect()
            for wire in list(self.upstreams):
                self._answer(wire)
            for wire in [self.client, *self.upstreams]:
                if wire.how is not None:
                    wire.lose(ConnectionDone() if wire.how == "fin" else ConnectionAborted())
            self.reactor.advance(0.01)

    def _connect(self) -> None:
        """Let the connections come about that are still wanted."""
        begun, self.begun = self.begun, len(self.reactor.tcpClients)
        for at in range(begun, self.begun):
            if not self.reactor.connectors[at].stoppedConnecting:
                factory = self.reactor.tcpClients[at][2]
                self.upstreams.append(Wire(factory.buildProtocol(None)))

    def _answer(self, wire: Wire) -> None:
        held = wire.value()[self.read.get(wire, 0) :]
        received = parse_request(held)  # ValueError: it isn't well formed
        if received is None or wire.ended:
            return
        self.read[wire] = self.read.get(wire, 0) + len(received.raw)
        answer = self.answers.pop(0) if self.answers else ANSWERS[0]
        for piece in pieces(answer, self.cuts):
            if wire.how is None:
                wire.protocol.dataReceived(piece)
        if self.then != "stay" and wire.how is None:
            wire.lose(ConnectionDone() if self.then == "close" else ConnectionLost())


class FuzzTest(SynchronousTestCase):
    @settings(
        max_examples=250,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.lists(mutated(REQUESTS), min_size=1, max_size=3),
        st.lists(st.one_of(mutated(ANSWERS), truncated(ANSWERS)), max_size=4),
        st.lists(st.integers(0, 400), max_size=6),
        st.sampled_from(("stay", "close", "reset")),
    )
    def test_whatever_comes(
        self, requests: list[bytes], answers: list[bytes], cuts: list[int], then: str
    ) -> None:
        self.check(Net(answers, cuts, then), b"".join(requests))

    def test_positions_far_away(self) -> None:
        for request in far_away():
            net = Net([], [], "stay")
            self.check(net, request)
            status = net.records[-1].status
            self.assertIn(status, (200, 206, 400, 403, 404, 416, 502), request)
            if b"Range: bytes=%d-" % 2**62 in request:
                self.assertEqual(status, 416, request)

    def check(self, net: Net, requests: bytes) -> None:
        net.feed(requests)
        for _ in range(60):
            net.reactor.advance(10.0)
            net.settle()
            if net.client.ended and not net.reactor.getDelayedCalls():
                break
        self.assertEqual(self.flushLoggedErrors(), [])
        client = net.client
        methods = [record.method.encode("latin-1") for record in net.records if record.status]
        seen = read_responses(client.value(), methods, client.ended)
        self.assertIsNotNone(client.ended, "idle connections end")
        final = [each for each in seen if each.final]
        self.assertNotIn(500, [each.status for each in final])
        self.assertTrue(all(each.whole for each in final[:-1]))
        if final and not final[-1].whole:
            self.assertIn(net.records[-1].ended, ("cut", "client left"))
        for wire in net.upstreams:
            parse_request(wire.value()[net.read.get(wire, 0) :])
            self.assertIsNotNone(wire.ended)
        self.assertEqual(net.reactor.getDelayedCalls(), [])
