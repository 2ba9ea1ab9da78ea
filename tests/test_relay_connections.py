"""Connections of clients and to upstreams: kept, closed, pipelined, left (RFC 9112 section 9)."""

from __future__ import annotations

import struct
from socket import SO_LINGER, SO_RCVBUF, SO_SNDBUF, SOL_SOCKET
from typing import Any

from twisted.internet.protocol import Factory, Protocol

from tests.support.client import Client, get, post
from tests.support.origin import Origin
from tests.support.proxied_case import HELLO, Proxy, ProxyCase, fixed
from tests.support.replies import Close, File, Pattern, Received, Reply, Wait, status

CONTENT = Pattern(3000)[0:3000]


class IgnoresBodies(Factory):
    """Origins that answer each head with its target, and take a body for a further head."""

    noisy = False

    def __init__(self) -> None:
        self.heads: list[bytes] = []

    def buildProtocol(self, addr: object) -> Protocol:
        return _IgnoresBodies(self.heads)


class _IgnoresBodies(Protocol):
    transport: Any

    def __init__(self, heads: list[bytes]) -> None:
        self._heads = heads
        self._buffer = b""

    def dataReceived(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            self._heads.append(head)
            target = head.split(b" ")[1]
            length = b"Content-Length: %d" % len(target)
            self.transport.write(b"HTTP/1.1 200 OK\r\n%s\r\n\r\n%s" % (length, target))


class ConnectionsTest(ProxyCase):
    async def test_split_at_any_byte(self) -> None:
        origin, port = await self.serve(fixed(HELLO))
        raw = post(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\nA: b\r\n\r\n")
        client = await self.client(port)
        for at in range(1, len(raw)):
            await client.send(raw[:at])
            await self.wait(0)
            await client.send(raw[at:])
            await client.answers([b"POST"] * at)
        self.assertEqual({each.body for each in origin.requests}, {b"hello"})
        self.assertEqual(len(origin.requests), len(raw) - 1)

    async def test_pipelined_requests_are_answered_in_their_order(self) -> None:
        def answer(received: Received) -> Reply:
            wait = 0.05 if received.target == b"/0" else 0.0
            return Reply(200, (), (Wait(wait), received.target * 100))

        origin, port = await self.serve(answer)
        client = await self.client(port)
        await client.send(b"".join(get(b"/%d" % n) for n in range(20)))
        seen = await client.answers([b"GET"] * 20)
        self.assertEqual([each.body for each in seen], [b"/%d" % n * 100 for n in range(20)])
        self.assertEqual(origin.connections, 1)

    async def test_bodies_behind_other_requests_are_not_read_as_heads(self) -> None:
        origin, port = await self.serve(fixed(HELLO))
        body = b"\n\r\rGET /x HTTP/1.1\r\n\r\n\n"
        later = post(b"Content-Length: %d" % len(body), body=body)
        for earlier in (get(), b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", post(method=b"OPTIONS")):
            del origin.requests[:]
            client = await self.client(port)
            await client.send((earlier + later) * 3)
            seen = await client.answers([earlier.split(b" ")[0], b"POST"] * 3)
            self.assertEqual({each.status // 100 for each in seen}, {2})
            bodies = [each.body for each in origin.requests if each.method == b"POST"]
            self.assertEqual(bodies, [body] * 3)
            await self.end(client)

    async def test_keeping_and_closing(self) -> None:
        _, port = await self.serve(fixed(HELLO))
        for raw, kept in (
            (get(), True),
            (get(b"/", b"Connection: keep-alive"), True),
            (get(b"/", b"Connection: close"), False),
            (get(b"/", b"Connection: x, CLOSE"), False),
            (b"GET / HTTP/1.0\r\n\r\n", False),
            (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", True),
            (b"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", False),
        ):
            client = await self.client(port)
            await client.send(raw * 2)
            seen = await client.answers([b"GET"] * 2)
            self.assertEqual(len(seen), 2 if kept else 1, raw)
            self.assertEqual(seen[-1].get(b"connection") == b"close", not kept)
            if not kept:
                await client.ended()
            await self.end(client)

    async def test_connections_to_the_upstream_are_kept(self) -> None:
        for reply in (
            HELLO,
            Reply(200, (), (b"hello",), "chunked"),
            Reply(200, (), (), "length"),
            status(404, body=b"no"),
        ):
            origin, port = await self.serve(fixed(reply))
            for _ in range(5):
                await self.answer_to(port, get())
            self.assertEqual(origin.connections, 1, reply)
        origin, port = await self.serve(lambda r: File(CONTENT).reply(r))
        for _ in range(5):
            await self.answer_to(port, get(b"/", b"Range: bytes=5-99"))
        self.assertEqual(origin.connections, 1)

    async def test_a_kept_connection_that_was_closed_is_tried_again(self) -> None:
        async def after(raw: bytes) -> tuple[Origin, int]:
            def answer(received: Received) -> Any:
                served = sum(each.on == received.on for each in origin.requests)
                return HELLO if served == 1 else (Close(),)

            origin, port = await self.serve(answer)
            await self.answer_to(port, get())
            return origin, (await self.answer_to(port, raw)).status

        origin, code = await after(get())
        self.assertEqual((code, len(origin.requests)), (200, 3))
        origin, code = await after(post(b"Content-Length: 3", body=b"abc"))
        self.assertEqual((code, len(origin.requests), origin.connections), (200, 2, 2))

    async def test_an_origin_that_takes_a_body_for_the_next_request(self) -> None:
        """What one client smuggles in its body must not be answered to another."""
        origin = IgnoresBodies()
        port = self.proxy(f"http://127.0.0.1:{self.listen(origin)}")
        smuggled = b"GET /smuggled HTTP/1.1\r\nX: "
        for body in (smuggled, smuggled + b"\r\n\r\n"):
            raw = post(b"Content-Length: %d" % len(body), body=body)
            self.assertEqual((await self.answer_to(port, raw)).body, b"/f")
            self.assertEqual((await self.answer_to(port, get(b"/mine"))).body, b"/mine")
        for head in origin.heads:
            self.assertEqual(b"Connection: close" in head, head.startswith(b"POST"), head)

    async def test_an_early_answer_to_a_long_body(self) -> None:
        for end in ((), (Close(),)):
            steps = (*status(413, body=b"too much").steps(), *end)
            origin, port = await self.serve(fixed(steps), max_body=10**7)
            origin.answers_at_head = True
            body = b"x" * 5_000_000
            seen = await self.answer_to(port, post(b"Content-Length: %d" % len(body), body=body))
            self.assertEqual((seen.status, seen.body, seen.whole), (413, b"too much", True))

    async def test_a_client_that_leaves_stops_the_upstream(self) -> None:
        big = Pattern(200_000_000)
        origin, port = await self.serve(lambda r: File(big).reply(r))
        client = await self.client(port)
        await client.send(get())
        await client.until(lambda: len(client.data) > 100_000)
        client.transport.pauseProducing()
        await self.end(client)
        await self.soon(lambda: origin.open == 0)
        self.assertLess(origin.bytes_sent, 30_000_000)

    async def test_answers_to_pipelined_requests_do_not_pile_up(self) -> None:
        origin, port = await self.serve(fixed(Reply(200, (), (b"x" * 10_000,))))
        client = await self.client(port)
        client.transport.pauseProducing()
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 1500)
        channel: Any = next(iter(self.proxy_site.channels))
        await self.soon(lambda: channel._held_back)
        self.assertLess(origin.bytes_sent, 10_000_000)
        client.transport.resumeProducing()
        await self.soon(lambda: len(self.records) == 1500)
        seen = await client.answers([b"GET"] * 1500)
        self.assertEqual({(each.whole, len(each.body)) for each in seen}, {(True, 10_000)})
        self.assertEqual(len(seen), 1500)

    async def test_a_reader_that_takes_nothing_is_cut(self) -> None:
        origin, port = await self.serve(
            lambda r: File(Pattern(50_000_000)).reply(r), send_timeout=0.2
        )
        client: Client = await self.client(port)
        await client.send(get())
        await client.until(lambda: len(client.data) > 1000)
        client.transport.pauseProducing()
        await self.soon(lambda: len(self.records) == 1)
        record = self.records[0]
        self.assertEqual((record.ended, record.error), ("cut", "connection_write_timeout"))
        await self.soon(lambda: origin.open == 0)

    async def test_a_body_that_the_close_ends_is_reset_until_the_kernel_has_all_of_it(self) -> None:
        """The process may end while it waits to be written: that must not look like its end."""
        body = bytes(range(256)) * 200
        origin = await self.origin(fixed(Reply(body=(body,), framing="close")))
        proxy = Proxy(origin.url, self.records.append)
        self._until_the_end(proxy)
        client = await self.client(proxy.port)
        client.transport.pauseProducing()
        client.transport.socket.setsockopt(SOL_SOCKET, SO_RCVBUF, 2048)
        await self.soon(lambda: proxy.made)
        transport = proxy.made[0].transport
        transport.socket.setsockopt(SOL_SOCKET, SO_SNDBUF, 2048)
        await client.send(b"GET / HTTP/1.0\r\n\r\n")
        await self.recorded()
        self.assertEqual(self.records[0].ended, "complete")
        lingers = transport.socket.getsockopt(SOL_SOCKET, SO_LINGER, 8)
        self.assertEqual(struct.unpack("ii", lingers), (1, 0))
        client.transport.resumeProducing()
        await client.ended(10.0)
        self.assertEqual(client.closed, "fin")
        self.assertTrue(client.data.endswith(body))
