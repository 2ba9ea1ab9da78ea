"""The upstream of the tests does what it is ordered to, seen with a plain socket."""

from __future__ import annotations

import socket
import time
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.support.origin import Origin, parse_request
from tests.support.replies import Close, File, Pattern, Received, Reply, Reset, Stall, status

CONTENT = Pattern(100_000)
GET = b"GET / HTTP/1.1\r\nHost: x\r\n"


def fetch(origin: Origin, request: bytes, patience: float = 10.0) -> bytes:
    """All that comes until the close; `b"RST"` behind it for a reset, `b"..."` for silence."""
    with socket.create_connection((origin.host, origin.port), timeout=patience) as client:
        client.sendall(request)
        got = b""
        try:
            while data := client.recv(65536):
                got += data
        except ConnectionResetError:
            got += b"RST"
        except TimeoutError:
            got += b"..."
        return got


class OriginTest(TestCase):
    async def origin(self, answer: Any, **more: Any) -> Origin:
        origin = Origin(answer, **more)
        await origin.start()
        self.addCleanup(origin.stop)
        return origin

    async def ask(self, origin: Origin, request: bytes, patience: float = 10.0) -> bytes:
        return await deferToThread(fetch, origin, request, patience)

    async def test_a_file_is_served_and_its_ranges(self) -> None:
        origin = await self.origin(lambda received: File(CONTENT).reply(received))
        requests = GET + b"\r\n" + GET + b"Range: bytes=10-19\r\n\r\n"
        got = await self.ask(origin, requests, 0.2)
        self.assertIn(b"206 Whatever", got)
        self.assertIn(b"Content-Range: bytes 10-19/100000\r\n", got)
        self.assertTrue(got.endswith(CONTENT[10:20] + b"..."))
        self.assertEqual(len(origin.requests), 2)
        self.assertEqual(origin.connections, 1)
        self.assertEqual(origin.bytes_sent, len(got) - 3)

    async def test_it_breaks_where_it_is_told_to(self) -> None:
        for end, seen in ((Close(), b""), (Reset(), b"RST"), (Stall(), b"...")):
            whole = Reply(body=(CONTENT[:5000],))
            origin = await self.origin(lambda _, end=end, whole=whole: whole.broken(777, end))
            got = await self.ask(origin, GET + b"\r\n", 0.3)
            head, _, body = got.partition(b"\r\n\r\n")
            self.assertIn(b"Content-Length: 5000", head)
            self.assertEqual(body, CONTENT[:777] + seen)

    async def test_its_connections_share_its_rate(self) -> None:
        origin = await self.origin(lambda r: File(CONTENT).reply(r), rate=1e6, host="127.0.0.2")
        began = time.monotonic()
        asked = [self.ask(origin, GET + b"Connection: close\r\n\r\n", 0.3) for _ in range(2)]
        await gatherResults([Deferred.fromCoroutine(each) for each in asked])
        self.assertGreater(time.monotonic() - began, 0.19)
        self.assertEqual(origin.most_open, 2)

    async def test_it_dies_and_returns_at_its_port(self) -> None:
        origin = await self.origin(lambda _: Reply(body=(b"x", Stall())))
        port = origin.port
        await origin.stop()
        with self.assertRaises(ConnectionRefusedError):
            await self.ask(origin, GET + b"\r\n")
        await origin.start()
        self.assertEqual(origin.port, port)
        self.assertEqual(origin.open, 0)

    async def test_framings(self) -> None:
        for framing, end in (
            ("chunked", b"5\r\nhello\r\n0\r\n\r\n..."),
            ("close", b"\r\n\r\nhello"),
        ):
            reply = Reply(body=(b"hello",), framing=framing)
            origin = await self.origin(lambda _, reply=reply: reply)
            self.assertTrue((await self.ask(origin, GET + b"\r\n", 0.2)).endswith(end))

    async def test_other_statuses(self) -> None:
        origin = await self.origin(lambda _: status(503, (b"Retry-After", b"1")))
        got = await self.ask(origin, GET + b"\r\n", 0.2)
        self.assertIn(b" 503 ", got)
        self.assertIn(b"Retry-After: 1\r\n", got)


class StrictReaderTest(TestCase):
    def test_it_takes_well_formed_requests(self) -> None:
        raw = b"POST /a?b HTTP/1.1\r\nHost: x\r\nA: b c\r\nE:\r\nContent-Length: 3\r\n\r\nabc"
        received = parse_request(raw + b"GET")
        assert isinstance(received, Received)
        self.assertEqual((received.target, received.body, received.raw), (b"/a?b", b"abc", raw))
        self.assertIsNone(parse_request(raw[:-1]))
        head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        received = parse_request(head + b"3\r\nabc\r\n0\r\n\r\nGET")
        assert received is not None
        self.assertEqual((received.body, received.raw[-3:]), (b"abc", b"\n\r\n"))

    def test_it_refuses_the_rest(self) -> None:
        for bad in (
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET / HTTP/1.0\r\nHost: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\n a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
            b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n",
        ):
            with self.assertRaises(ValueError, msg=repr(bad)):
                parse_request(bad)
