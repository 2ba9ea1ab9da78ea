"""Well-formed answers on their way: what arrives at the client (RFC 9110 section 7.6, RFC 9112)."""

from __future__ import annotations

from tests.support.client import get, post
from tests.support.proxied_case import HELLO, ProxyCase, fixed
from tests.support.replies import Pattern, Reply, Step, Wait, status

CONTENT = Pattern(3000)[0:3000]


class AnswersTest(ProxyCase):
    async def test_statuses_and_fields_pass(self) -> None:
        for code in (
            200,
            201,
            203,
            204,
            206,
            300,
            301,
            302,
            304,
            307,
            308,
            400,
            401,
            402,
            403,
            404,
        ):
            await self.passes(code)
        for code in (
            405,
            406,
            409,
            410,
            412,
            413,
            415,
            417,
            418,
            421,
            422,
            429,
            451,
            499,
            500,
            501,
        ):
            await self.passes(code)
        for code in (502, 503, 504, 505, 511, 599):
            await self.passes(code)

    async def passes(self, code: int) -> None:
        fields = (
            (b"x-lOwer", b"a"),
            (b"Set-Cookie", b"a=b; Path=/"),
            (b"Age", b"7"),
            (b"Set-Cookie", b"c=d, e"),
            (b"Warning", b'110 x "stale"'),
            (b"Date", b"Thu, 01 Jan 2026 00:00:00 GMT"),
            (b"X-Empty", b""),
        )
        body = () if code in (204, 304) else (b"body",)
        framing = "none" if code in (204, 304) else "length"
        reply = Reply(code, fields, body, framing, reason=b"Own Words")
        _, port = await self.serve(fixed(reply))
        client = await self.client(port)
        await client.send(post(b"Content-Length: 0"))
        seen = (await client.answers([b"POST"]))[-1]
        self.assertEqual((seen.status, seen.whole, seen.body), (code, True, b"".join(body)))
        self.assertEqual(seen.pairs[: len(fields)], fields)
        self.assertEqual(seen.get(b"via"), b"1.1 aprp")
        self.assertIn(b" %d Own Words\r\n" % code, client.data)

    async def test_a_date_is_added_where_there_is_none(self) -> None:
        _, port = await self.serve(fixed(HELLO))
        self.assertRegex((await self.answer_to(port, get())).get(b"date") or b"", rb"^\w+, .* GMT$")

    async def test_hop_by_hop_fields_stay_here(self) -> None:
        reply = HELLO.having(
            (b"Connection", b"X-Secret, x-other, close, Content-Type, content-length"),
            (b"X-Secret", b"1"),
            (b"X-OTHER", b"2"),
            (b"Content-Type", b"text/plain"),
            (b"Keep-Alive", b"timeout=5"),
            (b"Proxy-Connection", b"close"),
            (b"Proxy-Authenticate", b"Basic"),
            (b"Upgrade", b"h2c"),
            (b"Trailer", b"A"),
            (b"Via", b"1.0 inner"),
        )
        for version, via in (
            (b"HTTP/1.1", b"1.0 inner, 1.1 aprp"),
            (b"HTTP/1.0", b"1.0 inner, 1.0 aprp"),
        ):
            _, port = await self.serve(fixed(Reply(200, reply.fields, reply.body, version=version)))
            seen = await self.answer_to(port, post(b"Content-Length: 0"))
            names = {name.lower() for name, _ in seen.pairs}
            wanted = {b"x-kept", b"content-type", b"content-length", b"date", b"via"}
            self.assertEqual(names, wanted)
            self.assertEqual(seen.get(b"via"), via)

    async def test_framing_for_each_version(self) -> None:
        for framing in ("length", "chunked", "close"):
            for raw, wanted in (
                (post(b"Content-Length: 0"), "length" if framing == "length" else "chunked"),
                (b"POST /f HTTP/1.0\r\n\r\n", "length" if framing == "length" else "close"),
                (
                    b"POST /f HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
                    "length" if framing == "length" else "close",
                ),
            ):
                _, port = await self.serve(fixed(Reply(200, (), (CONTENT,), framing)))
                client = await self.client(port)
                await client.send(raw)
                seen = (await client.answers([b"POST"]))[-1]
                self.assertEqual((seen.framing, seen.body, seen.whole), (wanted, CONTENT, True))
                kept = seen.framing != "close" and b"1.0\r\n\r\n" not in raw
                if b"keep-alive" in raw:
                    answer = b"keep-alive" if framing == "length" else b"close"
                    self.assertEqual(seen.get(b"connection"), answer)
                if not kept:
                    await client.ended()

    async def test_head(self) -> None:
        for fields in ((), ((b"Content-Length", b"99999"),), ((b"Transfer-Encoding", b"chunked"),)):
            reply = Reply(200, fields, (), "none")
            origin, port = await self.serve(fixed(reply))
            client = await self.client(port)
            await client.send(get(method=b"HEAD") + get(b"/x", method=b"HEAD"))
            seen = await client.answers([b"HEAD", b"HEAD"])
            self.assertEqual([each.status for each in seen], [200, 200])
            self.assertEqual(seen[0].get(b"content-length"), dict(fields).get(b"Content-Length"))
            self.assertEqual([each.method for each in origin.requests], [b"HEAD"] * 2)

    async def test_interim_answers(self) -> None:
        early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: X-A\r\nX-A: b\r\n"
        early += b"Content-Length: 5\r\n\r\n"
        steps: tuple[Step, ...] = (b"HTTP/1.1 100 Continue\r\n\r\n", early, Wait(0.01), early)
        _, port = await self.serve(lambda _: (*steps, *HELLO.steps()))
        client = await self.client(port)
        await client.send(get())
        seen = await client.answers([b"GET"])
        self.assertEqual([each.status for each in seen], [103, 103, 200])
        self.assertEqual(seen[0].pairs, ((b"Link", b"</a>"), (b"Via", b"1.1 aprp")))
        old = await self.client(port)
        await old.send(b"GET / HTTP/1.0\r\n\r\n")
        self.assertEqual([each.status for each in await old.answers([b"GET"])], [200])

    async def test_locations_into_the_upstream(self) -> None:
        origin = await self.origin(fixed(HELLO))
        port = self.proxy(origin.url + "/base/", "/films/")
        url = origin.url.encode()
        for sent, arrives in (
            (url + b"/base/a?b#c", b"/films/a?b#c"),
            (b"/base/a", b"/films/a"),
            (b"/other/a", b"/other/a"),
            (url + b"/other/a", url + b"/other/a"),
            (b"a/b", b"a/b"),
            (b"//127.0.0.1/base/", b"//127.0.0.1/base/"),
            (b"https://elsewhere.example/base/a", b"https://elsewhere.example/base/a"),
        ):
            origin.answer = fixed(status(302, (b"Location", sent)))
            seen = await self.answer_to(port, get(b"/films/x"))
            self.assertEqual((seen.status, seen.get(b"location")), (302, arrives))

    async def test_coded_answers_pass_as_they_are(self) -> None:
        reply = Reply(
            200, ((b"Content-Encoding", b"gzip"), (b"Vary", b"Accept-Encoding")), (b"\x1f\x8b",)
        )
        origin, port = await self.serve(fixed(reply))
        seen = await self.answer_to(port, get(b"/f", b"Accept-Encoding: gzip"))
        self.assertEqual((seen.body, seen.get(b"content-encoding")), (b"\x1f\x8b", b"gzip"))
        self.assertEqual(origin.requests[0].get(b"accept-encoding"), b"gzip")
