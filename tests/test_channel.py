"""A client's connection at its end: nobody who takes nothing is waited for."""

from __future__ import annotations

import re

from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase

from aprp.config import Settings, UpstreamRoute
from aprp.core.http.heads import check_line_ends
from aprp.core.http.urls import Url
from aprp.upstream.http.agent import Agent
from aprp.web import head_channel
from aprp.web.access_record import AccessRecord
from aprp.web.request_rules import Limits, whole_head
from aprp.web.site import make_site
from tests.support.logged import Logged

LIMITS = Limits(idle_seconds=20.0, linger_seconds=3.0)
POST = b"POST /f HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n"
CLOSING = b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Stuck(StringTransport):
    """A connection whose other side takes nothing, so that it never finishes closing."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class ChannelCase(SynchronousTestCase):
    def connected(self, send_timeout: float = 60.0) -> Stuck:
        self.clock = MemoryReactorClock()
        self.records: list[AccessRecord] = []
        upstream = Url.parse("http://192.0.2.9")
        route = UpstreamRoute(path="/", upstream=upstream, send_timeout=send_timeout)
        configured = Settings(listen=("tcp:0",), routes=(route,))
        site = make_site(configured, Agent(self.clock), self.records.append, self.clock, LIMITS)
        self.channel = site.buildProtocol(None)
        transport = Stuck()
        self.channel.makeConnection(transport)
        return transport


class TrickledHeadTest(ChannelCase):
    """A head that comes byte by byte is looked at once, not again with each byte."""

    def test_what_is_looked_at(self) -> None:
        self.connected()
        looked_at = 0

        def counting(data: bytes, checked: int = 0) -> None:
            nonlocal looked_at
            looked_at += len(data) - max(0, checked - 1)
            check_line_ends(data, checked)

        self.patch(head_channel, "check_line_ends", counting)
        head = b"GET /" + b"a" * 8000 + b" HTTP/1.1\r\nX: " + b"b" * 8000 + b"\r\n"
        for at in range(len(head)):
            self.channel.dataReceived(head[at : at + 1])
        self.assertLess(looked_at, 4 * len(head))

    def test_stray_line_ends_are_found_wherever_a_segment_ends(self) -> None:
        for head in (b"GET / HTTP/1.1\r\nX: a\rb", b"GET / HTTP/1.1\r\nX: a\nb", b"GET /\r\r\n"):
            for cut in range(1, len(head)):
                transport = self.connected()
                self.channel.dataReceived(head[:cut])
                self.channel.dataReceived(head[cut:])
                self.assertIn(b" 400 ", transport.value(), (head, cut))


class OneReadingTest(ChannelCase):
    """A head means the same whether it comes in one piece or in several."""

    heads = (
        CLOSING,
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\r\nOPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.0\r\n\r\n",
        b"OPTIONS * HTTP/1.7\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/2.0\r\nHost: x\r\n\r\n",
        b"OPTIONS *\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\nA: b\nc: d\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost : x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\nExpect: 200-maybe\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 127 + b"\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 128 + b"\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 20000 + b"\r\n\r\n",
        b"OPTIONS /" + b"b" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
        CLOSING + CLOSING,
    )

    def answer(self, *pieces: bytes) -> tuple[bytes, bool, list[int]]:
        transport = self.connected()
        for piece in pieces:
            self.channel.dataReceived(piece)
        shown = re.sub(rb"Date: [^\r]*", b"", transport.value())
        ended = transport.disconnecting or transport.disconnected
        return shown, bool(ended), [record.status for record in self.records]

    def test_whole_and_in_pieces(self) -> None:
        for head in self.heads:
            whole = self.answer(head)
            self.assertIn(b"HTTP/1.1 ", whole[0], head[:60])
            for cut in {1, 2, 3, len(head) // 2, len(head) - 3, len(head) - 2, len(head) - 1}:
                self.assertEqual(self.answer(head[:cut], head[cut:]), whole, (head[:60], cut))

    def test_which_heads_are_whole(self) -> None:
        self.assertEqual(whole_head(b"A\r\nB: c\r\n\r\n", LIMITS), [b"A", b"B: c"])
        for data in (b"", b"A", b"\r\n", b"\r\n\r\n", b"A\r\n", b"A\r\n\r\nB", b"A\nB\r\n\r\n"):
            self.assertIsNone(whole_head(data, LIMITS), data)


class SlowSenderTest(ChannelCase):
    """A request's body has to get on, by the time that its route gives."""

    def test_silence(self) -> None:
        for seconds in (2.0, 60.0, 300.0):
            transport = self.connected(seconds)
            self.channel.dataReceived(POST)
            for _ in range(3):
                self.channel.dataReceived(b"a" * 1024)
                self.clock.advance(seconds - 0.5)
                self.assertEqual(transport.value(), b"", seconds)
            self.clock.advance(1.0)
            self.assertIn(b" 408 ", transport.value())

    def test_a_few_bytes_are_enough_for_a_while(self) -> None:
        transport = self.connected(2.0)
        self.channel.dataReceived(POST)
        for _ in range(39):
            self.clock.advance(1.5)
            self.channel.dataReceived(b"a")
        self.assertEqual(transport.value(), b"")
        self.clock.advance(1.5)
        self.assertIn(b" 408 ", transport.value())
        self.assertEqual([record.status for record in self.records], [408])


class EndTest(ChannelCase):
    def test_the_last_answer(self) -> None:
        transport = self.connected()
        self.channel.dataReceived(CLOSING)
        self.assertIn(b"204", transport.value())
        self.assertTrue(transport.disconnecting)
        self.clock.advance(19.0)
        self.assertFalse(transport.aborted)
        self.clock.advance(2.0)
        self.assertTrue(transport.aborted)

    def test_silence_between_requests(self) -> None:
        logged = Logged(self)
        transport = self.connected()
        self.clock.advance(19.0)
        self.assertFalse(transport.disconnecting)
        self.clock.advance(2.0)
        self.assertTrue(transport.disconnecting)
        self.clock.advance(4.0)
        self.assertTrue(transport.aborted)
        self.assertEqual((transport.value(), self.records, logged.events), (b"", [], []))

    def test_a_refusal(self) -> None:
        transport = self.connected()
        self.channel.dataReceived(b"nonsense\r\n")
        self.assertIn(b"400", transport.value())
        self.assertIn(b"\r\nDate: ", transport.value())
        self.assertTrue(transport.disconnecting)
        self.clock.advance(2.0)
        self.assertFalse(transport.aborted)
        self.clock.advance(2.0)
        self.assertTrue(transport.aborted)

    def test_what_comes_behind_a_last_request_is_dropped(self) -> None:
        transport = self.connected()
        self.channel.dataReceived(CLOSING * 3)
        self.channel.dataReceived(CLOSING)
        self.assertEqual(transport.value().count(b"HTTP/1.1 204"), 1)
        self.assertEqual(len(self.records), 1)

    def test_records_stand_in_the_order_of_the_answers(self) -> None:
        self.connected()
        options = CLOSING.replace(b"Connection: close\r\n", b"")
        self.channel.dataReceived(options + b"GET /\x00 HTTP/1.1\r\n\r\n")
        self.assertEqual([each.status for each in self.records], [204, 400])
