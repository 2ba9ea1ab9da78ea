"""The reverse proxy's connections: bodies both ways, back-pressure, and clients of all habits."""

from __future__ import annotations

import json
import os
import random
import select
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IPullProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Request, Site
from zope.interface import implementer

from aprp.web.request_rules import Limits
from tests.support.client import Client
from tests.support.patience import PATIENCE
from tests.support.proxied_case import ProxyCase, factory_of

MIB = 2**20
LARGE = 256 * MIB
PIECE = bytes(65536)
LENGTH = b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: %d\r\n\r\n' % LARGE


class Echo(Resource):
    """Answers any method with what it was asked, as JSON, under a status of the path's."""

    isLeaf = True

    def render(self, request: Request) -> bytes:
        request.setHeader(b"Content-Type", b"application/json")
        request.setResponseCode(int(request.path.rpartition(b"/")[2] or b"200"))
        fields = {
            name.decode().lower(): values[0].decode()
            for name, values in request.requestHeaders.getAllRawHeaders()
        }
        body = request.content.read() if request.content else b""
        told = {"method": request.method.decode(), "fields": fields, "body": body.hex()}
        return json.dumps(told).encode()


@implementer(IPullProducer)
class Pouring(Protocol):
    """Answers with `LARGE` bytes, as fast as they are taken; `sent` are handed to the kernel."""

    transport: Any

    def __init__(self, head: bytes) -> None:
        self.head = head
        self.sent = 0
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(self.head)
        self.transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        self.transport.write(PIECE)
        self.sent += len(PIECE)
        if self.sent == LARGE:
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def stopProducing(self) -> None:
        """The connection is gone, which `connectionLost` notes."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = True


def resident() -> int:
    """Bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class BodyTests(ProxyCase):
    def echo(self, **options: Any) -> int:
        return self.proxy(f"http://127.0.0.1:{self.listen(Site(Echo()))}/", **options)

    async def test_every_method_with_a_body(self) -> None:
        port = self.echo()
        body = random.Random(2).randbytes(300_000)
        for method in ("POST", "PUT", "PATCH", "DELETE", "PROPFIND"):
            for status in (200, 201, 404, 500):
                got = await self.ask(port, f"/{status}", {"X-A": "b"}, method, body)
                self.assertEqual(got.status, status)
                told = json.loads(got.body)
                self.assertEqual((told["method"], bytes.fromhex(told["body"])), (method, body))
                self.assertEqual(told["fields"]["x-a"], "b")

    async def test_a_chunked_body_goes_on_with_a_length(self) -> None:
        client = await self.client(self.echo())
        await client.send(
            b"POST /200 HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
            b"\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
        )
        await client.ended(PATIENCE)
        told = json.loads(client.received_answers(b"POST")[0].body)
        self.assertEqual(bytes.fromhex(told["body"]), b"abcde")
        self.assertEqual(told["fields"]["content-length"], "5")
        self.assertNotIn("transfer-encoding", told["fields"])

    async def test_options_and_max_forwards(self) -> None:
        port = self.echo()
        got = await self.ask(port, "/200", {"Max-Forwards": "3"}, "OPTIONS")
        self.assertEqual(json.loads(got.body)["fields"]["max-forwards"], "2")
        for path, fields in (("/200", {"Max-Forwards": "0"}), ("*", {})):
            got = await self.ask(port, path, fields, "OPTIONS")
            self.assertEqual((got.status, got.body), (204, b""))
            self.assertIn("GET, HEAD", got.fields["Allow"])

    async def test_more_than_max_body(self) -> None:
        port = self.echo(max_body=1000)
        self.assertEqual((await self.ask(port, "/200", {}, "POST", b"x" * 1000)).status, 200)
        self.assertEqual((await self.ask(port, "/200", {}, "POST", b"x" * 1001)).status, 413)

    async def test_an_upgrade_that_is_not_listed_gets_a_plain_answer(self) -> None:
        for fields in (
            {"Connection": "Upgrade, close", "Upgrade": "TLS/1.0"},
            {"Connection": "Upgrade, HTTP2-Settings, close", "Upgrade": "h2c"},
        ):
            got = await self.ask(self.echo(), "/200", {**fields, "HTTP2-Settings": "x"})
            self.assertEqual(got.status, 200)
            seen = json.loads(got.body)["fields"]
            self.assertNotIn("upgrade", seen)

    async def test_connect_and_trace_are_refused(self) -> None:
        for method in ("CONNECT", "TRACE"):
            got = await self.ask(self.echo(), "/200", {}, method)
            self.assertEqual(got.status, 405)
            self.assertIn("Allow", got.fields)


CALM = 50
"""Looks in a row that have to see nothing move."""


def has_room(transport: Any) -> bool:
    """Whether the kernel takes more bytes to send."""
    poll = select.poll()
    poll.register(transport.fileno(), select.POLLOUT)
    return bool(poll.poll(0))


class PressureTests(ProxyCase):
    async def stuck(self) -> int:
        """What the origin has sent, once nothing moves: no kernel takes more for a client that
        takes nothing, nor from the origin."""
        seen: list[int] = []

        def nothing_moves() -> bool:
            origin = self.origins[-1]
            seen.append(origin.sent)
            senders = [origin, *self.proxy_site.channels]
            if any(has_room(each.transport) for each in senders) or seen[0] != seen[-1]:
                seen.clear()
            return len(seen) > CALM

        await self.soon(nothing_moves)
        return seen[0]

    def pouring(self, head: bytes = LENGTH, send_timeout: float = 30.0) -> int:
        self.origins: list[Pouring] = []

        def build() -> Pouring:
            self.origins.append(Pouring(head))
            return self.origins[-1]

        return self.proxy(
            f"http://127.0.0.1:{self.listen(factory_of(build))}/", send_timeout=send_timeout
        )

    async def start(self, port: int) -> Client:
        client = await self.client(port)
        client.keep = False
        await client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        await client.until(lambda: client.received > MIB)
        return client

    async def test_a_slow_client_costs_a_small_buffer_and_gets_it_all_in_the_end(self) -> None:
        before = resident()
        client = await self.start(self.pouring())
        client.transport.pauseProducing()
        sent = await self.stuck()
        self.assertLess(sent, 48 * MIB, "what two pairs of kernel buffers can hold")
        self.assertLess(resident() - before, 24 * MIB)
        client.transport.resumeProducing()
        await client.until(lambda: client.received > LARGE, self.timeout)
        self.assertLess(resident() - before, 24 * MIB)
        self.assertEqual(self.origins[0].sent, LARGE)

    async def test_an_answer_that_ends_with_its_connection_is_held_back_too(self) -> None:
        client = await self.start(self.pouring(b"HTTP/1.1 200 OK\r\n\r\n"))
        client.transport.pauseProducing()
        self.assertLess(await self.stuck(), 48 * MIB)

    async def test_a_client_that_leaves_stops_the_fetch_at_once(self) -> None:
        for paused in (False, True):
            client = await self.start(self.pouring())
            if paused:
                client.transport.pauseProducing()
                await self.stuck()
            sent = self.origins[0].sent
            client.transport.abortConnection()
            await self.soon(lambda: self.origins[0].lost)
            self.assertLess(self.origins[0].sent - sent, 32 * MIB)
            self.assertEqual((self.agent.connections, len(self.origins)), (0, 1), "none asked anew")
            await self.soon(lambda: self.records[-1].ended == "client left")

    async def test_a_client_that_takes_nothing_is_cut_in_time(self) -> None:
        client = await self.start(self.pouring(send_timeout=0.3))
        client.transport.pauseProducing()
        await self.soon(lambda: self.origins[0].lost)
        self.assertEqual(self.records[-1].error, "connection_write_timeout")


class ClientTests(ProxyCase):
    content = random.Random(3).randbytes(100_000)

    def film(self, limits: Limits | None = None, **route: Any) -> int:
        nginx = self.nginx("gzip on; gzip_proxied any;", a_bin=self.content, b_html=b"text" * 999)
        return self.proxy(nginx.url, limits=limits, **route)

    async def test_http_1_0(self) -> None:
        port = self.film()
        for fields, kept in ((b"", False), (b"Connection: keep-alive\r\n", True)):
            client = await self.client(port)
            await client.send(b"GET /a.bin HTTP/1.0\r\nRange: bytes=5-9\r\n" + fields + b"\r\n")
            await client.until_last(self.content[5:10])
            if kept:
                await client.send(b"GET /a.bin HTTP/1.0\r\nRange: bytes=6-9\r\n\r\n")
            await client.ended(PATIENCE)
            got = client.received_answers(*[b"GET"] * (1 + kept))
            self.assertEqual([each.status for each in got], [206] * (1 + kept))
            self.assertEqual(got[-1].body, self.content[5 + kept : 10])

    async def test_http_1_0_gets_no_chunks(self) -> None:
        client = await self.client(self.film())
        await client.send(b"GET /b.html HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n")
        await client.ended(PATIENCE)
        self.assertEqual(client.closed, "fin")
        got = client.received_answers(b"GET")[0]
        self.assertEqual(got.fields["Content-Encoding"], "gzip")
        self.assertNotIn("Transfer-Encoding", got.fields)
        self.assertTrue(got.body.startswith(b"\x1f\x8b"))

    async def test_keep_alive(self) -> None:
        client = await self.client(self.film())
        for start in range(20):
            client.forget()
            await client.send(
                b"GET /a.bin HTTP/1.1\r\nHost: h\r\nRange: bytes=%d-9999\r\n\r\n" % start
            )
            whole = self.content[start:10_000]
            await client.until_last(whole)
            self.assertEqual(client.received_answers(b"GET")[0].status, 206)
        self.assertEqual(self.agent.connections, 1)

    async def test_pipelining(self) -> None:
        client = await self.client(self.film())
        one = b"%s /a.bin HTTP/1.1\r\nHost: h\r\nRange: bytes=%d-%d\r\n%s\r\n"
        methods = ["GET", "HEAD", "GET", "GET"]
        spans = [(0, 49_999), (5, 9), (7, 7), (99_990, 99_999)]
        requests = [
            one % (method.encode(), *span, b"Connection: close\r\n" if at == 3 else b"")
            for at, (method, span) in enumerate(zip(methods, spans, strict=True))
        ]
        await client.send(b"".join(requests))
        await client.ended(PATIENCE)
        answers = client.received_answers(*[method.encode() for method in methods])
        self.assertEqual([each.status for each in answers], [206, 200, 206, 206])
        for answer, method, (first, last) in zip(answers, methods, spans, strict=True):
            expected = b"" if method == "HEAD" else self.content[first : last + 1]
            self.assertEqual(answer.body, expected)

    async def test_idle_and_slow_clients_are_let_go(self) -> None:
        limits = Limits(head_seconds=0.2, idle_seconds=0.3, linger_seconds=0.1)
        port = self.film(limits, send_timeout=0.2)
        for sent, status in (
            (b"", None),
            (b"GET /a.bin HTTP/1.1\r\nHost: h\r\nRange: bytes=0-0\r\n\r\n", 206),
            (b"GET /a.bin HTTP/1.1\r\nHost: h\r\n", 408),
            (b"POST /a.bin HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc", 408),
        ):
            client = await self.client(port)
            await client.send(sent)
            await client.ended(PATIENCE)
            found = client.received_answers(b"GET")[0].status if client.data else None
            self.assertEqual(found, status, sent)
