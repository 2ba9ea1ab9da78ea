"""Upgraded connections over real sockets: when they come about, what passes, how they end."""

from __future__ import annotations

from typing import Any

from aprp.core.http.upgrading import accept_of
from tests.support.client import Client, get
from tests.support.proxied_case import HELLO, fixed
from tests.support.two_ends import TwoEndsCase

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ASKS = (
    b"Connection: keep-alive, Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Key: " + KEY,
    b"Sec-WebSocket-Version: 13",
)
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: " + accept_of(KEY) + b"\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
)
MUCH = bytes(range(256)) * 65536  # 16 MiB


class UpgradeCase(TwoEndsCase):
    async def upgraded(self, port: int, early: bytes = b"") -> tuple[Client, Client]:
        """The two ends of an upgraded connection."""
        client, upstream = await self.asked(port, get(b"/socket?a=b", *ASKS) + early)
        self.request = upstream.data
        upstream.forget()
        await upstream.send(SWITCHED)
        await client.until(lambda: b"\r\n\r\n" in client.data)
        self.answer = client.data
        client.forget()
        return client, upstream


class HandshakeTests(UpgradeCase):
    async def test_what_each_side_is_told(self) -> None:
        await self.upgraded(self.in_front())
        head, *lines = self.request[:-4].split(b"\r\n")
        self.assertEqual(head, b"GET /socket?a=b HTTP/1.1")
        for line in (
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Key: " + KEY,
            b"Sec-WebSocket-Version: 13",
            b"X-Forwarded-For: 127.0.0.1",
        ):
            self.assertEqual(lines.count(line), 1, lines)
        head, *lines = self.answer[:-4].split(b"\r\n")
        self.assertEqual(head, b"HTTP/1.1 101 Switching Protocols")
        for line in (
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Accept: " + accept_of(KEY),
            b"Sec-WebSocket-Protocol: chat",
        ):
            self.assertEqual(lines.count(line), 1, lines)

    async def test_early_bytes_are_no_request(self) -> None:
        early = get(b"/smuggled")
        client, upstream = await self.upgraded(self.in_front(), early)
        await upstream.until(lambda: upstream.data == early)
        await upstream.send(b"seen")
        await client.until(lambda: client.data == b"seen")
        self.assertEqual(len(self.upstreams), 1)

    async def test_bytes_right_behind_the_101(self) -> None:
        client, upstream = await self.asked(self.in_front(), get(b"/", *ASKS))
        await upstream.send(SWITCHED + b"first")
        await client.until_last(b"\r\n\r\nfirst")

    async def test_a_refused_upgrade_is_a_response_and_the_end(self) -> None:
        for code, reason in ((200, b"OK"), (403, b"No"), (426, b"Upgrade Required")):
            port = self.in_front()
            client, upstream = await self.asked(port, get(b"/", *ASKS) + get(b"/smuggled"))
            await upstream.send(b"HTTP/1.1 %d %s\r\nContent-Length: 2\r\n\r\nno" % (code, reason))
            await client.ended()
            (seen,) = await client.answers([b"GET"])
            self.assertEqual((seen.status, seen.body, seen.whole), (code, b"no", True))
            self.assertEqual(seen.get(b"connection"), b"close")
            self.assertEqual(len(self.upstreams), 1)
            self.upstreams.clear()

    async def test_a_101_that_proves_nothing(self) -> None:
        for spoiled in (
            SWITCHED.replace(b"Upgrade: websocket", b"Upgrade: h2c"),
            SWITCHED.replace(b"Connection: Upgrade\r\n", b""),
            SWITCHED.replace(accept_of(KEY), KEY),
            SWITCHED.replace(b"HTTP/1.1", b"HTTP/1.0"),
        ):
            client, upstream = await self.asked(self.in_front(), get(b"/", *ASKS))
            await upstream.send(spoiled + b"data")
            (seen,) = await client.answers([b"GET"])
            self.assertEqual(seen.status, 502, spoiled)
            self.assertNotIn(b"data", client.data)
            await upstream.ended()

    async def test_a_101_that_nobody_asked_for(self) -> None:
        client, upstream = await self.asked(self.in_front(), get(b"/"))
        await upstream.send(SWITCHED)
        (seen,) = await client.answers([b"GET"])
        self.assertEqual(seen.status, 502)

    async def test_no_upgrade_is_offered(self) -> None:
        h2c = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAA")
        cases: tuple[tuple[bytes, dict[str, Any]], ...] = (
            (get(b"/", *ASKS), {"upgrades": ()}),
            (get(b"/", *h2c), {}),
            (get(b"/", *ASKS[1:]), {}),
            (get(b"/", *ASKS, method=b"POST"), {}),
            (get(b"/", *ASKS, method=b"HEAD"), {}),
            (get(b"/", *ASKS).replace(b"HTTP/1.1", b"HTTP/1.0"), {}),
        )
        for request, route in cases:
            origin, port = await self.serve(fixed(HELLO), **route)
            seen = await self.answer_to(port, request)
            self.assertEqual(seen.status, 200, request)
            arrived = origin.requests[0]
            self.assertEqual(arrived.all(b"upgrade") + arrived.all(b"http2-settings"), [])

    async def test_requests_that_are_refused(self) -> None:
        origin, port = await self.serve(fixed(HELLO))
        for request in (
            get(b"/", *ASKS, b"Content-Length: 3") + b"abc",
            get(b"/", *ASKS, b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
            get(b"/", *ASKS[:2]),
            get(b"/", *ASKS, ASKS[2]),
        ):
            seen = await self.answer_to(port, request + get(b"/smuggled"))
            self.assertEqual((seen.status, seen.get(b"connection")), (400, b"close"))
        self.assertEqual(origin.requests, [])

    async def test_never_on_a_kept_connection(self) -> None:
        port = self.in_front()
        client, upstream = await self.asked(port, get(b"/"))
        await upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await client.answers([b"GET"])
        await self.upgraded(port)
        self.assertEqual(len(self.upstreams), 2)


class StreamTests(UpgradeCase):
    async def test_much_both_ways(self) -> None:
        client, upstream = await self.upgraded(self.in_front())
        client.transport.write(MUCH)
        upstream.transport.write(MUCH[::-1])
        await upstream.until_received(len(self.request) + len(MUCH))
        await client.until_received(len(self.answer) + len(MUCH))
        self.assertTrue(upstream.data == MUCH and client.data == MUCH[::-1])

    async def test_each_side_paces_the_other(self) -> None:
        client, upstream = await self.upgraded(self.in_front())
        for sender, taker in ((client, upstream), (upstream, client)):
            taker.transport.pauseProducing()
            before = taker.received
            for _ in range(4):
                sender.transport.write(MUCH)
            unsent = 0
            while unsent != sender.unsent:  # until the kernels' buffers are full
                unsent = sender.unsent
                await self.wait(0.3)
            self.assertGreater(unsent, len(MUCH), "less is held than the rest")
            taker.keep = False
            taker.transport.resumeProducing()
            await taker.until_received(before + 4 * len(MUCH))

    async def test_the_upstream_closes(self) -> None:
        client, upstream = await self.upgraded(self.in_front())
        await client.send(b"abc")
        await upstream.until_last(b"abc")
        await upstream.send(MUCH)
        upstream.transport.loseConnection()
        await client.ended(30)
        self.assertEqual((client.closed, client.data == MUCH), ("fin", True))
        (record,) = self.records
        self.assertEqual((record.status, record.ended, record.error), (101, "complete", None))
        self.assertEqual((record.bytes_sent, record.bytes_received), (len(MUCH), 3))

    async def test_the_client_closes(self) -> None:
        client, upstream = await self.upgraded(self.in_front())
        client.transport.write(MUCH)
        client.transport.loseConnection()
        await upstream.ended(30)
        self.assertEqual((upstream.closed, upstream.data == MUCH), ("fin", True))
        await self.recorded()
        (record,) = self.records
        self.assertEqual((record.status, record.ended), (101, "client left"))
        self.assertEqual(record.bytes_received, len(MUCH))
        self.assertEqual(self.agent.connections, 0)

    async def test_either_side_breaks_off(self) -> None:
        client, upstream = await self.upgraded(self.in_front())
        upstream.transport.abortConnection()
        await client.ended()
        self.assertEqual(client.closed, "reset")
        self.assertEqual((self.records[0].ended, self.records[0].status), ("cut", 101))
        client, upstream = await self.upgraded(self.in_front())
        client.transport.abortConnection()
        await upstream.ended()
        self.assertEqual(upstream.closed, "reset")

    async def test_silence_from_both(self) -> None:
        port = self.in_front(upgrade_idle_timeout=1.5, between_bytes_timeout=0.1, send_timeout=0.1)
        client, upstream = await self.upgraded(port)
        for sender in (client, upstream, client, upstream):
            await self.wait(0.5)
            await sender.send(b"x")
        self.assertIsNone(client.closed)
        await client.ended()
        await upstream.ended()
        (record,) = self.records
        self.assertEqual((record.ended, record.error), ("cut", "connection_read_timeout"))


class StoppingTests(UpgradeCase):
    async def test_waited_for_and_then_cut(self) -> None:
        port = self.in_front()
        client, upstream = await self.upgraded(port)
        site = self.proxy_site
        ended = site.drain()
        await client.send(b"still")
        await upstream.until_last(b"still")
        self.assertFalse(ended.called)
        await site.cut_off()
        await client.ended()
        await upstream.ended()
        self.assertEqual((client.closed, self.records[0].ended), ("reset", "cut"))
        await ended
