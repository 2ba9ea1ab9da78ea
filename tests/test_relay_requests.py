"""Well-formed requests on their way: what arrives upstream (RFC 9110 section 7.6, RFC 9112)."""

from __future__ import annotations

from typing import Any

from aprp.web.loops import NAME
from tests.support.client import get, post
from tests.support.proxied_case import HELLO, ProxyCase, fixed
from tests.support.replies import Received


class RequestsTest(ProxyCase):
    async def through(self, raw: bytes, **route: Any) -> Received:
        """The request as it arrives, having got 200."""
        origin, port = await self.serve(fixed(HELLO), **route)
        seen = await self.answer_to(port, raw)
        self.assertEqual((seen.status, seen.whole), (200, True), seen)
        self.assertEqual((origin.malformed, len(origin.requests)), ([], 1))
        return origin.requests[0]

    async def test_targets_arrive_byte_for_byte(self) -> None:
        for target in (
            *(b"/", b"//", b"//a//b/", b"/a%2Fb", b"/a%2fb", b"/%41", b"/a;b=c", b"/a,b", b"/a+b"),
            *(b"/?", b"/?q", b"/a?b=c&d=%20", b"/a?b?c", b"/a?/../x", b"/?%zz", b"/a?%2e%2e/"),
            *(b"/a/../b", b"/a/./b", b"/a/%2e%2E/b", b"/./a", b"/.a", b"/..a", b"/a..", b"/..."),
            *(b"/%00", b"/%0d%0aA:%20b", b"/%E2%82%AC", b"/a:b@c", b"/a'b", b"/(a)", b"/~a", b"/*"),
            *(b'/a"b', b"/a|b", b"/{a}", b"/a^b", b"/a`b", b"/<a>", b"/a\\b", b"/[a]", b"/$&!"),
            b"/" + b"a" * 8000,
        ):
            self.assertEqual((await self.through(get(target))).target, target)

    async def test_paths_that_climb_do_not_pass(self) -> None:
        origin, port = await self.serve(fixed(HELLO), path="/films/")
        for target in (
            *(b"/films/..", b"/films/../", b"/films/../x", b"/films/a/../../x", b"/films/%2e%2e/x"),
            *(
                b"/films/.%2E/x",
                b"/films/..%2fx",
                b"/films/..%5cx",
                b"/films/..\\x",
                b"/films//../x",
            ),
            *(
                b"/films/./../x",
                b"/films/a%2f..%2f..%2fx",
                b"/films/%2e%2e%2f%2e%2e",
                b"/films/a/../..",
            ),
        ):
            self.assertEqual((await self.answer_to(port, get(target))).status, 400, target)
        for target in (
            b"/",
            b"/films%2fa",
            b"/filmsx",
            b"/Films/a",
            b"/x/../films/a",
            b"/%66ilms/",
        ):
            self.assertEqual((await self.answer_to(port, get(target))).status, 404, target)
        self.assertEqual(origin.requests, [])

    async def test_the_prefix_is_replaced(self) -> None:
        origin = await self.origin(fixed(HELLO))
        port = self.proxy(origin.url + "/base/dir/", "/films/")
        for target, arrives in (
            (b"/films/a%2Fb?c", b"/base/dir/a%2Fb?c"),
            (b"/films/", b"/base/dir/"),
            (b"/films//a", b"/base/dir//a"),
            (b"/films/a/../b", b"/base/dir/a/../b"),
        ):
            await self.answer_to(port, get(target))
            self.assertEqual(origin.requests[-1].target, arrives)

    async def test_absolute_form(self) -> None:
        for raw, target, host in (
            (b"GET http://a.example/b?c HTTP/1.1\r\nHost: z\r\n\r\n", b"/b?c", b"a.example"),
            (b"GET HTTP://a.example:81 HTTP/1.1\r\nHost: z\r\n\r\n", b"/", b"a.example:81"),
            (b"GET http://a.example?q HTTP/1.1\r\nHost: z\r\n\r\n", b"/?q", b"a.example"),
            (b"GET https://[::1]:8/b HTTP/1.1\r\nHost: z\r\n\r\n", b"/b", b"[::1]:8"),
            (b"GET http://a.example/b HTTP/1.0\r\n\r\n", b"/b", b"a.example"),
        ):
            arrived = await self.through(raw)
            self.assertEqual((arrived.target, arrived.get(b"x-forwarded-host")), (target, host))

    async def test_versions_and_odd_but_right_heads(self) -> None:
        for raw in (
            b"GET / HTTP/1.0\r\n\r\n",
            b"GET / HTTP/1.0\r\nHost: x\r\n\r\n",
            b"GET / HTTP/1.2\r\nHost: x\r\n\r\n",
            b"GET / HTTP/1.9\r\nHost: x\r\n\r\n",
            b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost:x\r\n\r\n",
            b"GET / HTTP/1.1\r\nHOST: \t x \t \r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a_b.example:\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nA:\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nA: \t\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nA: caf\xe9 \xff\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\n!#$%&'*+-.^_`|~09: b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 000\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n",
        ):
            await self.through(raw)

    async def test_methods(self) -> None:
        for method in (b"POST", b"PUT", b"PATCH", b"DELETE", b"PROPFIND", b"M-SEARCH", b"get"):
            arrived = await self.through(post(b"Content-Length: 3", body=b"abc", method=method))
            self.assertEqual((arrived.method, arrived.body), (method, b"abc"))

    async def test_bodies_arrive_with_their_length(self) -> None:
        for lines, sent, arrives in (
            ([b"Content-Length: 5"], b"hello", b"hello"),
            ([b"Content-Length: 0005"], b"hello", b"hello"),
            ([b"Transfer-Encoding: chunked"], b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
            ([b"Transfer-Encoding: CHUNKED"], b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
            ([b"Transfer-Encoding: chunked"], b"1\r\nh\r\n4\r\nello\r\n000\r\n\r\n", b"hello"),
            (
                [b"Transfer-Encoding: chunked"],
                b'5;a;b=c; d = "e;\\"\\r"\r\nhello\r\n0;f\r\n\r\n',
                b"hello",
            ),
            (
                [b"Transfer-Encoding: chunked", b"Trailer: Content-Length"],
                b"5\r\nhello\r\n0\r\nContent-Length: 9\r\nA: b\r\n\r\n",
                b"hello",
            ),
            ([b"Transfer-Encoding: chunked"], b"0\r\n\r\n", b""),
            ([b"Transfer-Encoding: chunked"], b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
            ([b"Transfer-Encoding: chunked"], b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        ):
            for piece in (None, 1):
                origin, port = await self.serve(fixed(HELLO))
                raw = post(*lines, body=sent)
                client = await self.client(port)
                await client.send(raw + get(b"/next"), piece)
                seen = await client.answers([b"POST", b"GET"])
                self.assertEqual([each.status for each in seen], [200, 200], sent)
                arrived, following = origin.requests
                self.assertEqual((arrived.body, arrived.trailers), (arrives, b""))
                self.assertEqual(arrived.get(b"content-length"), b"%d" % len(arrives))
                self.assertEqual(arrived.all(b"transfer-encoding") + arrived.all(b"trailer"), [])
                self.assertEqual(following.target, b"/next")
                await self.end(client)

    async def test_bodies_up_to_max_body(self) -> None:
        for lines, body, code in (
            ([b"Content-Length: 100"], b"x" * 100, 200),
            ([b"Content-Length: 101"], b"x" * 101, 413),
            ([b"Content-Length: 101", b"Expect: 100-continue"], b"", 413),
            ([b"Transfer-Encoding: chunked"], b"64\r\n" + b"x" * 100 + b"\r\n0\r\n\r\n", 200),
            ([b"Transfer-Encoding: chunked"], b"65\r\n" + b"x" * 101 + b"\r\n0\r\n\r\n", 413),
        ):
            origin, port = await self.serve(fixed(HELLO), max_body=100)
            seen = await self.answer_to(port, post(*lines, body=body))
            self.assertEqual((seen.status, len(origin.requests)), (code, code == 200))
            self.assertEqual([each.route for each in self.records], ["/"])

    async def test_a_body_for_no_route(self) -> None:
        _, port = await self.serve(fixed(HELLO), path="/films/")
        self.assertEqual(
            (await self.answer_to(port, post(b"Content-Length: 1", body=b"a"))).status, 404
        )

    async def test_expect(self) -> None:
        origin, port = await self.serve(fixed(HELLO))
        client = await self.client(port)
        await client.send(post(b"Content-Length: 3", b"Expect: 100-Continue"))
        await client.until(lambda: client.data == b"HTTP/1.1 100 Continue\r\n\r\n")
        await client.send(b"abc")
        self.assertEqual((await client.answers([b"POST"]))[-1].status, 200)
        self.assertEqual(origin.requests[0].all(b"expect"), [])
        old = b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"
        self.assertNotIn(100, [each.status for each in [await self.answer_to(port, old)]])

    async def test_hop_by_hop_fields_stay_here(self) -> None:
        arrived = await self.through(
            get(
                b"/f",
                b"Connection: close, X-Secret, x-other, Host, Content-Length, Via,, X-Kept-Not",
                b"Connection: X-Third",
                b"Connection: X-Forwarded-For",
                b"X-Secret: 1",
                b"X-OTHER: 2",
                b"X-Third: 3",
                b"X-Kept: 4",
                b"Keep-Alive: timeout=5",
                b"Proxy-Connection: keep-alive",
                b"Proxy-Authorization: Basic eA==",
                b"TE: trailers, deflate",
                b"Trailer: A",
                b"Upgrade: websocket",
                b"Via: 1.0 earlier",
                b"X-Forwarded-For: 192.0.2.1",
                b"X-Forwarded-Proto: gopher",
                b"X-Forwarded-Host: evil",
            )
        )
        names = {name.lower() for name, _ in arrived.fields}
        self.assertLessEqual(
            names,
            {b"host", b"x-kept", b"via", b"x-forwarded-for", b"x-forwarded-proto"}
            | {b"x-forwarded-host"},
        )
        self.assertEqual(arrived.get(b"via"), b"1.0 earlier, 1.1 " + NAME)
        self.assertEqual(arrived.get(b"x-forwarded-for"), b"127.0.0.1")
        self.assertEqual(arrived.get(b"x-forwarded-proto"), b"http")
        self.assertEqual(arrived.get(b"x-forwarded-host"), b"films.example")

    async def test_other_fields_pass_in_their_order_and_spelling(self) -> None:
        lines = (b"Cookie: a=b", b"x-oDD: 1", b"Cookie: c=d", b"Accept: */*", b"User-Agent: x (y)")
        arrived = await self.through(get(b"/f", *lines, b"X-Forwarded-For: 192.0.2.1"))
        passed = tuple(name + b": " + value for name, value in arrived.fields)
        self.assertEqual(passed[1:6], lines)
        self.assertEqual(arrived.get(b"x-forwarded-for"), b"192.0.2.1, 127.0.0.1")

    async def test_max_forwards(self) -> None:
        origin, port = await self.serve(fixed(HELLO))
        options = b"OPTIONS"
        seen = await self.answer_to(port, get(b"/f", b"Max-Forwards: 0", method=options))
        self.assertEqual((seen.status, len(origin.requests)), (204, 0))
        self.assertIn(b"GET", seen.get(b"allow") or b"")
        for sent, arrives in ((b"1", b"0"), (b"10", b"9"), (b"x", b"x")):
            await self.answer_to(port, get(b"/f", b"Max-Forwards: " + sent, method=options))
            self.assertEqual(origin.requests[-1].get(b"max-forwards"), arrives)
        await self.answer_to(port, get(b"/f", b"Max-Forwards: 0"))
        self.assertEqual(origin.requests[-1].get(b"max-forwards"), b"0")

    async def test_fields_with_underscores(self) -> None:
        sent = (b"X_Forwarded_For: 10.0.0.1", b"X_Real_IP: 10.0.0.1", b"Transfer_Encoding: chunked")
        for setting, arrives in (("drop", None), ("pass", b"1")):
            origin, port = await self.serve(fixed(HELLO), underscore_fields=setting)
            await self.answer_to(port, get(b"/f", *sent, b"My_Field: 1"))
            (received,) = origin.requests
            names = {name.lower().replace(b"_", b"-") for name, _ in received.fields}
            self.assertFalse({b"x-real-ip", b"transfer-encoding"} & names, names)
            self.assertEqual(received.get(b"x-forwarded-for"), b"127.0.0.1")
            self.assertEqual(received.get(b"my_field"), arrives)

    async def test_options_for_the_proxy_itself(self) -> None:
        origin, port = await self.serve(fixed(HELLO))
        for raw in (
            b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
            b"OPTIONS http://x HTTP/1.1\r\nHost: x\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab",
        ):
            seen = await self.answer_to(port, raw)
            self.assertEqual((seen.status, seen.body), (204, b""))
        self.assertEqual(origin.requests, [])
