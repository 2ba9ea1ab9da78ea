"""Upstreams that can't be had or stay silent: the status, the sentence and Proxy-Status."""

from __future__ import annotations

import socket

from twisted.internet.protocol import Protocol

from tests.support.nginx import free_port
from tests.support.patience import PATIENCE
from tests.support.proxied_case import ProxyCase, factory_of
from tests.support.responses import Response


class Saying(Protocol):
    """Sends these bytes to whoever asks, and then nothing."""

    def __init__(self, said: bytes) -> None:
        self.said = said

    def dataReceived(self, data: bytes) -> None:
        said, self.said = self.said, b""
        if said and self.transport is not None:
            self.transport.write(said)


class FailureTests(ProxyCase):
    def saying(self, said: bytes) -> str:
        return f"http://127.0.0.1:{self.listen(factory_of(lambda: Saying(said)))}/"

    def check(self, got: Response, status: int, kind: str) -> None:
        self.assertEqual(got.status, status)
        self.assertTrue(
            got.fields["Proxy-Status"].startswith(f"aprp; error={kind}; details="),
            got.fields["Proxy-Status"],
        )
        self.assertEqual(got.fields["Content-Type"], "text/plain; charset=utf-8")
        sentence = got.body.decode()
        self.assertTrue(sentence.startswith(f"{status} "), sentence)
        self.assertEqual(sentence.count("\n"), 1)
        self.assertEqual(self.records[-1].error, kind)

    async def test_refused(self) -> None:
        port = self.proxy(f"http://127.0.0.1:{free_port()}/", path_ranges="end")
        for method, path, fields in (
            ("GET", "/a", {}),
            ("GET", "/a", {"Range": "bytes=0-4"}),
            ("GET", "/a/0/4", {}),
            ("POST", "/a", {}),
        ):
            self.check(await self.ask(port, path, fields, method), 502, "connection_refused")

    async def test_head_has_no_body(self) -> None:
        got = await self.ask(self.proxy(f"http://127.0.0.1:{free_port()}/"), "/", {}, "HEAD")
        self.assertEqual((got.status, got.body), (502, b""))

    async def test_silent_in_tls(self) -> None:
        """The time to connect covers the handshake; the time for an answer begins after it."""
        upstream = self.saying(b"").replace("http:", "https:")
        port = self.proxy(upstream, connect_timeout=0.1, first_byte_timeout=self.timeout)
        got = await self.ask(port, "/")
        self.check(got, 504, "connection_timeout")
        self.assertIn(b"did not finish the TLS handshake in time", got.body)

    async def test_a_name_without_an_address(self) -> None:
        self.check(await self.ask(self.proxy("http://no.such.invalid/"), "/"), 502, "dns_error")

    def blackhole(self) -> str:
        """An upstream whose queue of connections is full, so that it accepts no more."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.addCleanup(listener.close)
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            self.addCleanup(filler.close)
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"

    async def test_no_connection_in_time(self) -> None:
        port = self.proxy(self.blackhole(), connect_timeout=0.2)
        self.check(await self.ask(port, "/"), 504, "connection_timeout")

    async def test_a_client_that_leaves_while_there_is_no_connection(self) -> None:
        port = self.proxy(self.blackhole(), connect_timeout=30.0)
        client = await self.client(port)
        await client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        await self.soon(lambda: self.agent.connections == 1)
        client.transport.abortConnection()
        await client.ended(PATIENCE)
        await self.soon(lambda: bool(self.records))
        self.assertEqual([record.ended for record in self.records], ["client left"])

    async def test_no_answer_in_time(self) -> None:
        for said in (b"", b"HTTP/1.1 200 O", b"HTTP/1.1 100 Continue\r\n\r\n"):
            port = self.proxy(self.saying(said), first_byte_timeout=0.2)
            self.check(await self.ask(port, "/"), 504, "http_response_timeout")
            self.assertEqual(self.agent.connections, 0)

    async def test_silence_within_a_body_cuts_the_client(self) -> None:
        whole = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
        for count, said in enumerate((whole, chunked), 1):
            port = self.proxy(self.saying(said), between_bytes_timeout=0.2, resume_for=0.0)
            got = await self.ask(port, "/")
            self.assertEqual((got.status, got.body, got.whole), (200, b"abc", False))
            await self.recorded(count)
            self.assertEqual(self.records[-1].ended, "cut")
            self.assertEqual(self.records[-1].error, "connection_read_timeout")

    async def test_an_answer_that_is_not_http(self) -> None:
        port = self.proxy(self.saying(b"SSH-2.0-OpenSSH\r\n\r\n"))
        self.check(await self.ask(port, "/"), 502, "http_protocol_error")

    async def test_another_range_than_asked_is_never_relayed(self) -> None:
        head = b"HTTP/1.1 206 Partial Content\r\nContent-Length: 3\r\n"
        for said in (b"Content-Range: bytes 0-2/10\r\n", b"", b"Content-Range: bytes 5-7/*\r\n"):
            port = self.proxy(self.saying(head + said + b"\r\nabc"))
            got = await self.ask(port, "/", {"Range": "bytes=4-6"})
            self.check(got, 502, "http_protocol_error")
