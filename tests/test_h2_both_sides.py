"""HTTP/2 from the client to the upstream: what passes while a request is served."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aprp.config import ListenHttp2, RequestBuffering
from aprp.core.http2.frames import Code, Kind
from aprp.core.http2.writing import reset, window_update
from tests.support.client import get
from tests.support.h2_client import H2Client, asking, connect
from tests.support.h2_frames import data, headers
from tests.support.h2_origin import Answer, Asked, Served, respond
from tests.support.replies import Step
from tests.test_h2_sources import SourceCase

OK = ((b":status", b"200"),)
HINTS = ((b":status", b"103"), (b"link", b"</style.css>; rel=preload"))


class BothCase(SourceCase):
    async def through(self, answer: Answer, **route: Any) -> H2Client:
        self.upper = await self.before(answer, **route)
        self.proxy_site.http2 = ListenHttp2.CLEARTEXT
        client = await connect(self.port)
        self.addCleanup(client.end)
        return client


class InterimTests(BothCase):
    def hinting(self, asked: Asked) -> Iterable[Step]:
        yield headers(asked.stream, HINTS)
        yield headers(asked.stream, ((b":status", b"100"),))
        yield respond(asked.stream, 200, (), b"hello")

    async def test_hints_pass_from_http2_to_http2(self) -> None:
        client = await self.through(self.hinting)
        client.get(1, b"/")
        response = await client.response(1)
        statuses = [head[b":status"] for head in response.heads]
        self.assertEqual((statuses[0], statuses[-1], response.body), (b"103", b"200", b"hello"))
        self.assertEqual(response.heads[0][b"link"], b"</style.css>; rel=preload")

    async def test_hints_pass_from_http2_to_http1(self) -> None:
        await self.through(self.hinting)
        client = await self.client(self.port)
        await client.send(get(b"/"))
        await client.answers([b"GET"])
        self.assertTrue(client.data.startswith(b"HTTP/1.1 103 "), client.data)
        self.assertIn(b"link: </style.css>; rel=preload\r\n", client.data.lower())
        self.assertIn(b"\r\n\r\nHTTP/1.1 200 ", client.data)
        self.assertIn(b"\r\nhello\r\n", client.data)

    async def test_a_client_that_waits_is_told_to_go_on(self) -> None:
        client = await self.through(lambda asked: (respond(asked.stream, 200, (), b"hello"),))
        fields = asking(b"/", (b"expect", b"100-continue"), method=b"PUT")
        client.send(headers(1, fields))
        await client.until(lambda: client.on(1).heads)
        self.assertEqual(client.on(1).heads, [{b":status": b"100"}])
        client.send(data(1, b"body", end=True))
        self.assertEqual((await client.response(1)).status, 200)
        self.assertEqual(self.upper.requests[0].body, b"body")


class TalkTests(BothCase):
    """Both sides of a stream send in turns, as gRPC has it; its trailers don't pass."""

    async def talk(self) -> H2Client:
        client = await self.through(
            lambda asked: (headers(asked.stream, OK),), request_buffering=RequestBuffering.OFF
        )
        self.heard: dict[int, bytes] = {}
        self.upper.hears = self.hear
        return client

    def hear(self, served: Served, stream: int, piece: bytes, last: bool) -> None:
        self.heard[stream] = self.heard.get(stream, b"") + piece
        served.transport.write(data(stream, piece.upper(), end=last))

    async def test_each_message_is_answered_before_the_next(self) -> None:
        client = await self.talk()
        streams = (1, 3, 5)
        for stream in streams:
            client.send(headers(stream, asking(b"/%d" % stream, method=b"POST")))
        for number in range(20):
            for stream in streams:
                client.send(data(stream, b"message %d of %d;" % (number, stream)))
            for stream in streams:
                end = b"MESSAGE %d OF %d;" % (number, stream)
                await client.until(lambda s=stream, end=end: client.on(s).body.endswith(end))  # type: ignore[misc]
        for stream in streams:
            self.assertFalse(client.on(stream).over)
            client.send(data(stream, end=True))
        for stream in streams:
            response = await client.response(stream)
            self.assertEqual((response.ended, response.body.count(b";")), (True, 20))

    async def test_a_stream_that_is_given_up_ends_on_the_other_side(self) -> None:
        client = await self.talk()
        for stream in (1, 3):
            client.send(headers(stream, asking(b"/", method=b"POST")) + data(stream, b"hello;"))
        await client.until(lambda: client.on(1).body and client.on(3).body)
        client.send(reset(1, Code.CANCEL))
        await self.soon(lambda: self.upper.resets)
        self.assertEqual([code for _, code in self.upper.resets], [Code.CANCEL])
        client.send(data(3, b"still there;", end=True))
        self.assertEqual((await client.response(3)).body, b"HELLO;STILL THERE;")

    async def test_a_side_that_takes_nothing_stops_the_other(self) -> None:
        client = await self.talk()
        client.opens = False
        client.send(headers(1, asking(b"/", method=b"POST")))
        sent = 0
        for _ in range(64):
            room = 65535 - sent + self.allowed(client, 1)
            client.send(data(1, b"x" * min(16384, room)) if room > 0 else b"")
            sent += max(0, min(16384, room))
            await self.wait(0.005)
        self.assertLess(sent, 64 * 16384)
        self.assertEqual(len(client.on(1).body), 65535)
        client.opens = True
        client.send(window_update(0, 1 << 24) + window_update(1, 1 << 24))
        client.send(data(1, end=True))
        response = await client.response(1)
        self.assertEqual((response.body, response.ended), (b"X" * sent, True))

    def allowed(self, client: H2Client, stream: int) -> int:
        return sum(
            int.from_bytes(each.raw[9:], "big")
            for each in client.frames
            if each.kind == Kind.WINDOW_UPDATE and each.stream == stream
        )
