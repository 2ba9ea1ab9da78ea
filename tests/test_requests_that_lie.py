"""Requests with more than one reading, or none: refused, and nothing of them goes upstream.

One table over real sockets. Each row is a request (what follows it on the connection included),
the statuses that may answer it, and the section of RFC 9112 (or 9110) that says so. Each is sent
at once and byte by byte. A request that would be smuggled asks for /smuggled. Rows that aren't
about how HTTP/1.1 is written are sent as frames of HTTP/2 as well: each is refused there, too, and
on its stream alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from aprp.config import ListenHttp2
from aprp.core.http2.frames import Code
from aprp.web.request_rules import Limits
from tests.support.h2_client import connect
from tests.support.h2_requests import as_frames
from tests.support.origin import Origin
from tests.support.proxied_case import ProxyCase, fixed
from tests.support.replies import Reply, Wait
from tests.support.responses import read_responses

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


WRITTEN = frozenset(("2.2", "2.3", "3", "5", "5.2", "7.1", "9110 15.5.14"))
"""Sections about lines, versions and chunks, which HTTP/2 doesn't have."""


@dataclass(frozen=True, slots=True)
class Row:
    raw: bytes
    statuses: tuple[int, ...]
    section: str

    @property
    def in_any_version(self) -> bool:
        """Whether it is about more than how HTTP/1.1 is written."""
        return self.section not in WRITTEN


def post(*lines: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([b"POST /f HTTP/1.1", b"Host: x", *lines, b"", body])


def plain(*lines: bytes) -> bytes:
    return b"\r\n".join([b"GET /f HTTP/1.1", b"Host: x", *lines, b"", b""])


def first(line: bytes) -> bytes:
    return line + b"\r\nHost: x\r\n\r\n"


def chunked(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", body=body)


BOTH = (b"Content-Length: 6", b"Transfer-Encoding: chunked")
BAD = (400,)
CODING = (400, 501)

ROWS = (
    # The request line.
    Row(first(b"GET /f"), BAD, "3"),
    Row(first(b"GET"), BAD, "3"),
    Row(first(b"GET  /f HTTP/1.1"), BAD, "3"),
    Row(first(b"GET /f  HTTP/1.1"), BAD, "3"),
    Row(first(b" GET /f HTTP/1.1"), BAD, "3"),
    Row(first(b"GET /f HTTP/1.1 "), BAD, "3"),
    Row(first(b"GET\t/f HTTP/1.1"), BAD, "3"),
    Row(first(b"GET /f\tHTTP/1.1"), BAD, "3"),
    Row(first(b"GET /f\x0bHTTP/1.1"), BAD, "3"),
    Row(first(b"GET /f g HTTP/1.1"), BAD, "3.2"),
    Row(first(b"GET /f HTTP/1.1 HTTP/1.1"), BAD, "3"),
    Row(first(b"G(T /f HTTP/1.1"), BAD, "9110 9.1"),
    Row(first(b"G\x00T /f HTTP/1.1"), BAD, "9110 9.1"),
    Row(first(b"\x16\x03\x01\x02 /f HTTP/1.1"), BAD, "9110 9.1"),
    Row(first(b"G\xc3\x8bT /f HTTP/1.1"), BAD, "9110 9.1"),
    Row(first(b"GET: /f HTTP/1.1"), BAD, "9110 9.1"),
    Row(first(b"CONNECT example.com:443 HTTP/1.1"), (400, 405, 501), "3.2.3"),
    Row(first(b"TRACE /f HTTP/1.1"), (405, 501), "9110 9.3.8"),
    # Its version.
    Row(first(b"GET /f HTTP/0.9"), (400, 505), "2.3"),
    Row(first(b"GET /f HTTP/2.0"), (505,), "2.3"),
    Row(first(b"GET /f HTTP/3.0"), (505,), "2.3"),
    Row(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (505,), "2.3"),
    Row(first(b"GET /f HTTP/1"), BAD, "2.3"),
    Row(first(b"GET /f HTTP/1."), BAD, "2.3"),
    Row(first(b"GET /f HTTP/1.10"), BAD, "2.3"),
    Row(first(b"GET /f HTTP/01.1"), BAD, "2.3"),
    Row(first(b"GET /f HTTP/1,1"), BAD, "2.3"),
    Row(first(b"GET /f HTTP/-1.1"), BAD, "2.3"),
    Row(first(b"GET /f http/1.1"), BAD, "2.3"),
    Row(first(b"GET /f HTTPS/1.1"), BAD, "2.3"),
    Row(first(b"GET /f ICY/1.1"), BAD, "2.3"),
    Row(first(b"GET /f HTTP /1.1"), BAD, "2.3"),
    Row(first(b"GET /f HTTP/1.\xb2"), BAD, "2.3"),
    # Its target.
    Row(first(b"GET /f#part HTTP/1.1"), BAD, "3.2.1"),
    Row(first(b"GET f HTTP/1.1"), BAD, "3.2.1"),
    Row(first(b"GET ?q HTTP/1.1"), BAD, "3.2.1"),
    Row(first(b"GET * HTTP/1.1"), BAD, "3.2.4"),
    Row(first(b"OPTIONS ** HTTP/1.1"), BAD, "3.2.4"),
    Row(first(b"GET example.com:80 HTTP/1.1"), BAD, "3.2.3"),
    Row(first(b"GET /\x00 HTTP/1.1"), BAD, "3.2"),
    Row(first(b"GET /\x01 HTTP/1.1"), BAD, "3.2"),
    Row(first(b"GET /\x7f HTTP/1.1"), BAD, "3.2"),
    Row(first(b"GET /\xff HTTP/1.1"), BAD, "3.2"),
    Row(first(b"GET /caf\xc3\xa9 HTTP/1.1"), BAD, "3.2"),
    Row(first(b"GET /%zz HTTP/1.1"), BAD, "9110 4.2.3"),
    Row(first(b"GET /% HTTP/1.1"), BAD, "9110 4.2.3"),
    Row(first(b"GET ftp://x/f HTTP/1.1"), BAD, "3.2.2"),
    Row(first(b"GET file:///etc/passwd HTTP/1.1"), BAD, "3.2.2"),
    Row(first(b"GET http:///f HTTP/1.1"), BAD, "9110 4.2.1"),
    Row(first(b"GET http:// HTTP/1.1"), BAD, "9110 4.2.1"),
    Row(first(b"GET http://u:p@x/f HTTP/1.1"), BAD, "9110 4.2.4"),
    Row(first(b"GET http://x y/f HTTP/1.1"), BAD, "3.2.2"),
    Row(first(b"GET http://x:port/f HTTP/1.1"), BAD, "3.2.2"),
    # Host.
    Row(b"GET /f HTTP/1.1\r\n\r\n", BAD, "3.2"),
    Row(b"GET http://x/f HTTP/1.1\r\n\r\n", BAD, "3.2"),
    Row(b"GET /f HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", BAD, "3.2"),
    Row(b"GET /f HTTP/1.1\r\nHost: x\r\nhOST: y\r\n\r\n", BAD, "3.2"),
    Row(b"GET /f HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n", BAD, "3.2"),
    Row(b"GET http://x/f HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", BAD, "3.2"),
    Row(b"GET http://x/f HTTP/1.1\r\nHost: \x01\r\n\r\n", BAD, "3.2"),
    Row(b"GET /f HTTP/1.1\r\nHost:\r\n\r\n", BAD, "3.2"),
    *(
        Row(b"GET /f HTTP/1.1\r\nHost: " + host + b"\r\n\r\n", BAD, "3.2")
        for host in (
            *(b"x y", b"x/f", b"x, y", b"x:80:80", b"x:http", b"u@x", b"http://x", b"x?q", b"x#f"),
            *(b"a..b", b"..b", b"[::1]..:8", b"[1..2::3]", b"a\\:80", b"[v.x]", b"[v1.]"),
            *(b"{", b"}", b"\xff", b"\x06", b"[::1", b"::1]", b"[x]", b"x\\y", b'"x"', b"<x>"),
        )
    ),
    # Field lines.
    Row(plain(b"A : b"), BAD, "5.1"),
    Row(plain(b"A\t: b"), BAD, "5.1"),
    Row(plain(b" A: b"), BAD, "5.2"),
    Row(plain(b"A: b", b" c"), BAD, "5.2"),
    Row(plain(b"A: b", b"\tc"), BAD, "5.2"),
    Row(plain(b"A: b", b" "), BAD, "5.2"),
    Row(b"GET /f HTTP/1.1\r\n Host: x\r\n\r\n", BAD, "2.2"),
    Row(plain(b"A"), BAD, "5"),
    Row(plain(b": b"), BAD, "5.1"),
    Row(plain(b"A B: c"), BAD, "5.1"),
    Row(plain(b"A(: b"), BAD, "5.1"),
    Row(plain(b"A\x00: b"), BAD, "5.1"),
    Row(plain(b"\xc3\xa9: b"), BAD, "5.1"),
    Row(plain(b"A: b\x00c"), BAD, "9110 5.5"),
    Row(plain(b"A: \x01"), BAD, "9110 5.5"),
    Row(plain(b"A: b\x7f"), BAD, "9110 5.5"),
    Row(plain(b"A: b\x1b[0m"), BAD, "9110 5.5"),
    Row(plain(b"A: b\x0bc"), BAD, "9110 5.5"),
    Row(plain(b"A: b\rc"), BAD, "2.2"),
    Row(plain(b"A: b\r\rc"), BAD, "2.2"),
    Row(plain(b"A: b\nC: d"), BAD, "2.2"),
    Row(plain(b"A: b\r"), BAD, "2.2"),
    Row(b"GET /f HTTP/1.1\nHost: x\n\n", BAD, "2.2"),
    Row(b"GET /f HTTP/1.1\rHost: x\r\r", BAD, "2.2"),
    Row(b"GET /f HTTP/1.1\r\nHost: x\n\r\n", BAD, "2.2"),
    Row(b"GET /f HTTP/1.1\r\nHost: x\r\n\n", BAD, "2.2"),
    Row(b"GET /f HTTP/1.1\r\nHost: x\r\n\r\r\n\r\n", BAD, "2.2"),
    Row(b"GET /f HTTP/1.1\n\r\nHost: x\r\n\r\n", BAD, "2.2"),
    Row(b"\nGET /f HTTP/1.1\r\nHost: x\r\n\r\n", BAD, "2.2"),
    Row(b"\r\n\r\n\r\nGET /f HTTP/1.1\r\nHost: x\r\n\r\n", BAD, "2.2"),
    Row(plain(b"Expect: 200-ok"), (417,), "9110 10.1.1"),
    Row(plain(b"Expect: 100-continue, more"), (417,), "9110 10.1.1"),
    # Content-Length.
    *(
        Row(post(b"Content-Length: " + length, body=b"hello" + SMUGGLED), BAD, "6.3")
        for length in (
            *(b"", b"x", b"-1", b"+5", b"5 ,5", b"5,5", b"5, 6", b"5 5", b"0x5", b"5.0", b"1e1"),
            *(b"5;", b'"5"', b"5_0", b"\xd9\xa5", b"5\x0b", b"5a", b", 5", b"5,", b"0 5"),
        )
    ),
    Row(post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"), BAD, "6.3"),
    Row(post(b"Content-Length: 5", b"Content-Length: 0", body=b"hello"), BAD, "6.3"),
    Row(post(b"Content-Length: 0", b"Content-Length: 5", body=b"hello"), BAD, "6.3"),
    Row(post(b"content-length: 0", b"CONTENT-LENGTH: 36", body=SMUGGLED), BAD, "6.3"),
    Row(post(b"Content-Length : 5", body=b"hello"), BAD, "5.1"),
    Row(post(b"Content-Length:\r\n 5", body=b"hello"), BAD, "5.2"),
    Row(post(b"Content-Length: 18446744073709551621", body=b"hello"), (400, 413), "6.3"),
    Row(post(b"Content-Length: " + b"9" * 5000, body=b"hello"), (400, 413), "6.3"),
    Row(plain(b"Content-Length: -1"), BAD, "6.3"),
    # Transfer-Encoding.
    Row(post(*BOTH, body=b"0\r\n\r\n" + SMUGGLED), BAD, "6.1"),
    Row(post(*reversed(BOTH), body=b"0\r\n\r\n" + SMUGGLED), BAD, "6.1"),
    Row(
        post(b"Content-Length: 5", b"Transfer-Encoding: identity", body=b"hello"),
        CODING,
        "6.1",
    ),
    *(
        Row(
            post(b"Transfer-Encoding: " + coding, body=b"5\r\nhello\r\n0\r\n\r\n" + SMUGGLED),
            (status,),
            "6.1",
        )
        for coding, status in (
            *((b"gzip, chunked", 501), (b"GZip,\tbr , Chunked", 501), (b"identity, chunked", 501)),
            *((b"gzip", 501), (b"cow", 501), (b"xchunked", 501)),
            *((b"chunked, gzip", 400), (b"chunked, chunked", 400), (b"gzip, chunked, br", 400)),
            *(
                (b"gzip, chunked, chunked", 400),
                (b"chunked,", 400),
                (b", chunked", 400),
                (b"", 400),
            ),
        )
    ),
    *(
        Row(
            post(b"Transfer-Encoding: " + coding, body=b"5\r\nhello\r\n0\r\n\r\n" + SMUGGLED),
            CODING,
            "6.1",
        )
        for coding in (
            *(b"identity", b"chunked, identity", b"chunkedx", b'"chunked"'),
            *(b"'chunked'", b"chunked;q=1", b"chunked,", b", chunked", b"chun ked", b"x=chunked"),
            *(
                b"\x0bchunked",
                b"chunked\x0b",
                b"chunked\x00",
                b"\x00chunked",
                b"ch\xfcnked",
            ),
        )
    ),
    Row(
        post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        CODING,
        "6.1",
    ),
    Row(
        post(b"Transfer-Encoding: chunked", b"transfer-encoding: identity", body=b"0\r\n\r\n"),
        CODING,
        "6.1",
    ),
    Row(post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"), BAD, "5.1"),
    Row(post(b" Transfer-Encoding: chunked", body=b"0\r\n\r\n"), BAD, "5.2"),
    Row(post(b"A: b\r\n\tTransfer-Encoding: chunked", body=b"0\r\n\r\n"), BAD, "5.2"),
    Row(post(b"A: b\nTransfer-Encoding: chunked", body=b"0\r\n\r\n"), BAD, "2.2"),
    Row(post(b"Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n"), BAD, "5.2"),
    Row(
        b"POST /f HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        CODING,
        "6.1",
    ),
    Row(plain(*BOTH) + b"0\r\n\r\n", BAD, "6.1"),
    # The chunked coding.
    *(
        Row(chunked(body + SMUGGLED), BAD, "7.1")
        for body in (
            b"5\r\nhelloo\r\n0\r\n\r\n",
            b"5\r\nhell\r\n0\r\n\r\n",
            b"5\r\nhello0\r\n\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhello\r0\r\n\r\n",
            b"5\nhello\r\n0\r\n\r\n",
            b"5\nhello\n0\n\n",
            b"5\rhello\r\n0\r\n\r\n",
            b"5\r\r\nhello\r\n0\r\n\r\n",
            b"x\r\nhello\r\n0\r\n\r\n",
            b"\r\nhello\r\n0\r\n\r\n",
            b"0x5\r\nhello\r\n0\r\n\r\n",
            b"+5\r\nhello\r\n0\r\n\r\n",
            b"-5\r\nhello\r\n0\r\n\r\n",
            b"5_\r\nhello\r\n0\r\n\r\n",
            b" 5\r\nhello\r\n0\r\n\r\n",
            b"5 \r\nhello\r\n0\r\n\r\n",
            b"5\t\r\nhello\r\n0\r\n\r\n",
            b"5 5\r\nhello\r\n0\r\n\r\n",
            b"5,\r\nhello\r\n0\r\n\r\n",
            b"5;\r\nhello\r\n0\r\n\r\n",
            b"5;a\nb\r\nhello\r\n0\r\n\r\n",
            b"5;a\rb\r\nhello\r\n0\r\n\r\n",
            b"5;a=\x00\r\nhello\r\n0\r\n\r\n",
            b'5;a="b\r\nhello\r\n0\r\n\r\n',
            b"5;a b\r\nhello\r\n0\r\n\r\n",
            b"\xd9\xa5\r\nhello\r\n0\r\n\r\n",
            b"10000000000000005\r\nhello\r\n0\r\n\r\n",
            b"00000000000000000000005\r\nhello\r\n0\r\n\r\n",
            b"5;" + b"a" * 5000 + b"\r\nhello\r\n0\r\n\r\n",
            b"0\r\nA : b\r\n\r\n",
            b"0\r\n A: b\r\n\r\n",
            b"0\r\nA\r\n\r\n",
            b"0\r\nA: b\n\r\n",
            b"0\r\nA: b\x00\r\n\r\n",
            b"0\r\n\n",
            b"0\n\r\n",
            b"0\n\n",
            b"0\r\n\rX",
            b"0\r\nA: " + b"b" * 20000 + b"\r\n\r\n",
        )
    ),
    Row(chunked(b"fffffffffffffff\r\n"), (413,), "9110 15.5.14"),
    Row(chunked(b"FFFFFFFFFFFFFFED\r\n0\r\n\r\n"), (413,), "9110 15.5.14"),
    Row(chunked(b"1\r\na\r\n7d0\r\n"), (413,), "9110 15.5.14"),
    Row(chunked(b"4\r\nSEE-THIS\r\n0\r\n\r\n"), BAD, "7.1"),
)


class RequestsThatLieTest(ProxyCase):
    async def test_each_is_refused_and_nothing_goes_on(self) -> None:
        origin, port = await self.serve(fixed(Reply(200, body=(b"hello",))), max_body=2000)
        wrong = []
        for row in ROWS:
            for piece in (None, 1):
                if piece and len(row.raw) > 2000:
                    continue
                try:
                    await self.check(row, piece, origin, port)
                except AssertionError as error:
                    wrong.append(f"{row.raw[:200]!r} (section {row.section}, {piece}): {error}")
        self.assertEqual(wrong, [], "\n".join(wrong))
        self.assertEqual({record.ended for record in self.records}, {"refused"})

    async def check(self, row: Row, piece: int | None, origin: Origin, port: int) -> None:
        client = await self.client(port)
        await client.send(row.raw, piece)
        await client.ended()
        answers = read_responses(client.data, [row.raw.split(b" ")[0]] * 9, client.closed)
        self.assertEqual(len(answers), 1)
        self.assertIn(answers[0].status, row.statuses)
        self.assertTrue(answers[0].whole)
        self.assertEqual(answers[0].get(b"connection"), b"close")
        self.assertIn(b"aprp; error=", answers[0].get(b"proxy-status") or b"")
        self.assertEqual((origin.requests, origin.malformed), ([], []))
        self.assertEqual(origin.connections, 0)

    async def test_the_answer_before_comes_first_and_whole(self) -> None:
        origin, port = await self.serve(fixed(Reply(200, body=(b"hello" * 20000,))))
        for bad in (b"GET /\x00 HTTP/1.1\r\n\r\n", post(*BOTH, body=b"0\r\n\r\n"), b"\n"):
            client = await self.client(port)
            await client.send(plain() + bad + SMUGGLED)
            good, refused = await client.answers([b"GET", b"GET"])
            self.assertEqual((good.status, len(good.body), good.whole), (200, 100000, True))
            self.assertEqual(refused.status, 400)
            await client.ended()
        self.assertEqual([each.target for each in origin.requests], [b"/f"] * 3)


class OverHttp2Test(ProxyCase):
    async def test_each_is_refused_on_its_stream(self) -> None:
        rows = [row for row in ROWS if row.in_any_version]
        self.assertGreater(len(rows), 120)
        origin, port = await self.serve(fixed(Reply(200, body=(b"hello",))), max_body=2000)
        self.proxy_site.http2 = ListenHttp2.CLEARTEXT
        wrong = []
        for row in rows:
            try:
                await self.check(row, origin, port)
            except Exception as error:
                wrong.append(f"{row.raw[:200]!r} (section {row.section}): {error!r:.300}")
        self.assertEqual(wrong, [], "\n".join(wrong))
        ended = [record.ended for record in self.records]
        self.assertEqual((ended.count("refused"), ended.count("complete")), (len(rows), len(rows)))

    async def check(self, row: Row, origin: Origin, port: int) -> None:
        client = await connect(port)
        self.addCleanup(client.end)
        client.send(as_frames(row.raw, 1))
        refused = await client.response(1)
        if refused.heads:  # refused before its body had come, which nobody wants
            self.assertIn(refused.status, row.statuses)
            self.assertIn(refused.reset, (None, Code.NO_ERROR))
        else:
            self.assertEqual(refused.reset, Code.PROTOCOL_ERROR)
        self.assertEqual(origin.requests, [])
        client.get(3, b"/after")
        self.assertEqual((await client.response(3)).body, b"hello")
        self.assertEqual([each.target for each in origin.requests], [b"/after"])
        origin.requests.clear()
        self.assertEqual(client.away, [])
        await client.end()


class BoundsTest(ProxyCase):
    FEW = Limits(line=1000, head=4000, fields=10, linger_seconds=0.2, requests=3, pipelined=2000)
    BRIEF = Limits(head_seconds=0.2, body_seconds=0.2, body_progress=10, linger_seconds=0.2)

    async def refused(
        self, raw: bytes, status: int, limits: Limits, piece: int | None = None
    ) -> None:
        origin, port = await self.serve(fixed(Reply(200, body=(b"hello",))), limits)
        client = await self.client(port)
        await client.send(raw, piece)
        answers = await client.answers([b"GET"])
        self.assertEqual([each.status for each in answers], [status])
        await client.until(lambda: client.closed is not None)
        self.assertEqual(origin.requests, [])

    async def test_sizes(self) -> None:
        for raw, status in (
            (b"GET /" + b"a" * 2000, 414),
            (b"GET /" + b"a" * 2000 + b" HTTP/1.1\r\n", 414),
            (plain(b"A: " + b"b" * 2000), 431),
            (b"GET / HTTP/1.1\r\nA: " + b"b" * 2000, 431),
            (plain(*[b"A: b"] * 10), 431),
            (plain(*[b"A: " + b"b" * 900] * 5), 431),
        ):
            await self.refused(raw, status, self.FEW)
            await self.refused(raw, status, self.FEW, 100)

    async def test_a_slow_head_ends_however_it_trickles(self) -> None:
        for start in (b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nA: b"):
            await self.refused(start, 408, self.BRIEF)

    async def test_a_trickle_does_not_prolong_a_head(self) -> None:
        _, port = await self.serve(fixed(Reply(200)), self.BRIEF)
        client = await self.client(port)
        while client.closed is None and len(client.data) == 0:
            await client.send(b"G", 1)
            await self.wait(0.02)
        self.assertEqual((await client.answers([b"GET"]))[0].status, 408)

    async def test_a_trickle_does_not_prolong_a_body(self) -> None:
        _, port = await self.serve(fixed(Reply(200)), self.BRIEF, send_timeout=0.2)
        client = await self.client(port)
        await client.send(post(b"Content-Length: 1000"))
        while client.closed is None and len(client.data) == 0:
            await client.send(b"a", 1)
            await self.wait(0.05)
        self.assertEqual((await client.answers([b"POST"]))[0].status, 408)

    async def test_an_idle_connection_is_closed_without_a_word(self) -> None:
        _, port = await self.serve(fixed(Reply(200, body=(b"hello",))), Limits(idle_seconds=1.0))
        silent, kept = await self.client(port), await self.client(port)
        await kept.send(plain())
        await kept.answers([b"GET"])
        before = kept.data
        await silent.until(lambda: silent.closed is not None)
        await kept.until(lambda: kept.closed is not None)
        self.assertEqual((silent.data, kept.data), (b"", before))

    async def test_requests_on_one_connection(self) -> None:
        origin, port = await self.serve(fixed(Reply(200, body=(b"hello",))), self.FEW)
        client = await self.client(port)
        await client.send(plain() * 5)
        answers = await client.answers([b"GET"] * 5)
        self.assertEqual([each.get(b"connection") for each in answers], [None, None, b"close"])
        self.assertEqual(len(origin.requests), 3)

    async def test_pipelined_requests_are_held_up_to_a_bound(self) -> None:
        _, port = await self.serve(fixed(Reply(200, body=(Wait(0.3), b"hello"))), Limits())
        client = await self.client(port)
        await client.send(plain())
        flood = plain(b"A: " + b"b" * 8000) * 4000
        client.transport.write(flood)
        await client.until(lambda: b"hello" in client.data)
        self.assertGreater(client.unsent, len(flood) // 2)
