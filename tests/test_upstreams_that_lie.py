"""Answers of upstreams that lie: each ends in 502 or a repaired answer, over real sockets.

Never in a body that looks whole and isn't. A row is what the upstream sends to one kind of request,
and what a client may see: a status with the whole right body, a refusal, or a cut. The sections are
those of RFC 9112, or 9110 where it is named. After each row the proxy serves a plain request, so
that nothing of the lie is left on a connection.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.client import get
from tests.support.patience import HANG
from tests.support.proxied_case import ProxyCase
from tests.support.replies import Close, File, Pattern, Received, Reset, Step, Wait

CONTENT = Pattern(3000)[0:3000]
WHOLE = CONTENT[:1000]
PART = CONTENT[100:200]
ETAG = b'ETag: "v1"\r\n'
PLAIN, RANGED, HEAD = b"/plain", b"/ranged", b"/head"


@dataclass(frozen=True, slots=True)
class Row:
    """`seen` is what may be: statuses of refusals, `cut`, or statuses with their whole body."""

    wire: bytes | tuple[Step, ...]
    seen: tuple[int | str | tuple[int, bytes], ...]
    section: str
    path: bytes = PLAIN


def head(*lines: bytes, line: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join([line, *lines, b"", b""])


def whole(*lines: bytes, line: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return head(b"Content-Length: 1000", *lines, line=line) + WHOLE


def part(said: bytes | None, body: bytes = PART, *lines: bytes, length: bool = True) -> bytes:
    fields = [] if said is None else [b"Content-Range: " + said]
    if length:
        fields.append(b"Content-Length: %d" % len(body))
    return head(*fields, *lines, b'ETag: "v1"', line=b"HTTP/1.1 206 Partial") + body


def chunks(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + end


CHUNKED = b"Transfer-Encoding: chunked"
REFUSED = (502,)
FINE = ((200, WHOLE),)
RIGHT = ((206, PART),)
LATE = (Wait(0.05),)

HEADS = (
    Row(b"", (504,), "9110 15.6.5"),
    Row((b"", Close()), REFUSED, "9110 15.6.3"),
    Row((Reset(),), REFUSED, "9110 15.6.3"),
    Row((b"HTTP/1.1 200 OK\r\nContent-Le", Close()), REFUSED, "8"),
    Row((b"HTTP/1.1 200 OK\r\nContent-Le", Reset()), REFUSED, "8"),
    Row((b"HTTP/1.1 200 OK", Close()), REFUSED, "8"),
    Row((b"HT", Close()), REFUSED, "8"),
    *(
        Row(whole(line=line), REFUSED, "4")
        for line in (
            *(b"HTTP/1.1", b"HTTP/1.1 ", b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 OK", b"HTTP/1.1  200"),
            *(b"HTTP/1.1 abc OK", b"HTTP/1.1 2xx OK", b"HTTP/1.1 -20 OK", b"HTTP/1.1 099 OK"),
            *(b"HTTP/1.1 000 OK", b"HTTP/1.1 600 OK", b"HTTP/1.1 999 OK", b"HTTP/1.1 200OK"),
            *(b"HTTP/2.0 200 OK", b"HTTP/2 200", b"HTTP/0.9 200 OK", b"http/1.1 200 OK"),
            *(b"HTTP/1 200 OK", b"HTTP/1.10 200 OK", b"HTTP/11 200 OK", b"HTTPS/1.1 200 OK"),
            *(b"ICY 200 OK", b"HTTP 200 OK", b" HTTP/1.1 200 OK", b"\r\nHTTP/1.1 200 OK"),
            *(
                b"HTTP/1.1\t200 OK",
                b"HTTP/1.1 200 O\x00K",
                b"HTTP/1.1 200 O\rK",
                b"HTTP/1.1 200 \x7f",
            ),
            *(b"HTTP/1.1 200 OK\nA: b", b"220 smtp.example ESMTP", b"SSH-2.0-OpenSSH_9.2", b"\x00"),
            *(b"<html>hello</html>", b"\x15\x03\x01\x00\x02\x02\x50", b"GET / HTTP/1.1", b"{}"),
        )
    ),
    Row(b"hello", REFUSED, "4"),
    Row((b"hello", Close()), REFUSED, "4"),
    Row(b"\n" + whole(), REFUSED, "4"),
    Row(whole(line=b"HTTP/1.1 200"), FINE, "4"),
    Row(whole(line=b"HTTP/1.1 200 "), FINE, "4"),
    Row(whole(line=b"HTTP/1.1 200 \xe9t\xe9"), FINE, "4"),
    Row(whole(line=b"HTTP/1.2 200 OK"), FINE, "9110 2.5"),
    Row(whole(line=b"HTTP/1.0 200 OK"), FINE, "9110 2.5"),
    *(
        Row(whole(line), REFUSED, "5")
        for line in (
            *(b"A : b", b"A\t: b", b" A: b", b"\tA: b", b"A", b": b", b"A B: c", b"A(: b", b"=: b"),
            *(b"A\x00: b", b"\xc3\xa9: b", b"A: b\x00c", b"A: \x01", b"A: b\x7f", b"A: b\x0bc"),
            *(
                b"A: b\rc",
                b"A: b\nC: d",
                b"A: b\r",
                b"A: b\r\n c",
                b"A: b\r\n\tc",
                b"A: b\r\n ",
                b"\n",
            ),
            *(b"\rA: b", b"Content-Length : 1000", b"Transfer-Encoding : chunked", b'"A": b'),
        )
    ),
    Row(b"HTTP/1.1 200 OK\r\n A: b\r\nContent-Length: 1000\r\n\r\n" + WHOLE, REFUSED, "2.2"),
    Row(b"HTTP/1.1 200 OK\nContent-Length: 1000\n\n" + WHOLE, REFUSED, "2.2"),
    Row(b"HTTP/1.1 200 OK\rContent-Length: 1000\r\r" + WHOLE, REFUSED, "2.2"),
    Row(b"HTTP/1.1 200 OK\n", REFUSED, "2.2"),
    Row(b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70000, REFUSED, "5"),
    Row(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20000, REFUSED, "5"),
    Row(whole(*[b"A: b"] * 300), REFUSED, "5"),
    Row((b"HTTP/1.1 200 OK\r\n", *[b"A: b\r\n"] * 200, b"\r\n" * 0, Close()), REFUSED, "8"),
    # Interim answers.
    Row(b"HTTP/1.1 100 Continue\r\n\r\n" + whole(), FINE, "9110 15.2"),
    Row(b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n" * 3 + whole(), FINE, "9110 15.2"),
    Row(b"HTTP/1.1 199 Odd\r\n\r\n" + whole(), FINE, "9110 15.2"),
    Row(b"HTTP/1.1 102 More\r\n\r\n" * 1000, REFUSED, "9110 15.2"),
    Row(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n" + whole(), REFUSED, "9110 15.2.2"),
    Row((b"HTTP/1.1 100 Continue\r\n\r\n", Close()), REFUSED, "9110 15.2"),
    Row((b"HTTP/1.1 100 Continue\r\n\r\nHTT", Reset()), REFUSED, "9110 15.2"),
)

FRAMES = (
    *(
        Row(head(b"Content-Length: " + length) + WHOLE, REFUSED, "6.3")
        for length in (
            *(b"", b"x", b"-1", b"+1000", b"1000, 999", b"1000 1000", b"0x3e8", b"1e3", b"1000;"),
            *(b"1_000", b"1000.0", b'"1000"', b"1000,", b"9" * 30, b"9" * 5000, b"\xb2"),
        )
    ),
    Row(head(b"Content-Length: 1000", b"Content-Length: 999") + WHOLE, REFUSED, "6.3"),
    Row(head(b"Content-Length: 999", b"content-length: 1000") + WHOLE, REFUSED, "6.3"),
    Row(head(b"Content-Length: 1000", b"Content-Length: 1000") + WHOLE, FINE, "6.3"),
    Row(head(b"Content-Length: 1000, 1000") + WHOLE, FINE, "6.3"),
    Row(head(b"Content-Length: 001000") + WHOLE, FINE, "6.3"),
    Row(whole() + b"more", FINE, "6.3"),
    Row((whole(), *LATE, b"more"), FINE, "6.3"),
    Row(whole() + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", FINE, "6.3"),
    Row((head(b"Content-Length: 1000") + WHOLE[:500], Close()), ("cut",), "8"),
    Row((head(b"Content-Length: 1000") + WHOLE[:500], Reset()), ("cut",), "8"),
    Row((head(b"Content-Length: 1000"), Close()), ("cut", 502), "8"),
    Row(whole(CHUNKED), REFUSED, "6.3"),
    Row(head(CHUNKED, b"Content-Length: 5") + chunks(WHOLE), REFUSED, "6.3"),
    *(
        Row(head(b"Transfer-Encoding: " + coding) + chunks(WHOLE), REFUSED, "6.1")
        for coding in (
            *(b"", b"identity", b"gzip", b"gzip, chunked", b"chunked, gzip", b"chunked, chunked"),
            *(b"xchunked", b"chunked;q=1", b'"chunked"', b"cow", b"chunked\x0b", b"chun ked"),
        )
    ),
    Row(head(CHUNKED, CHUNKED) + chunks(WHOLE), REFUSED, "6.1"),
    Row(head(CHUNKED, line=b"HTTP/1.0 200 OK") + chunks(WHOLE), REFUSED, "6.1"),
    Row(head(b"Transfer-Encoding: Chunked") + chunks(WHOLE), FINE, "7"),
    Row(head(CHUNKED) + chunks(WHOLE[:1], WHOLE[1:7], WHOLE[7:]), FINE, "7.1"),
    Row(head(CHUNKED) + chunks(WHOLE, end=b"000\r\n\r\n"), FINE, "7.1"),
    Row(head(CHUNKED) + chunks(WHOLE, end=b"0\r\nA: b\r\n\r\n"), FINE, "7.1.2"),
    Row(head(CHUNKED) + b"3E8;a=b\r\n" + WHOLE + b"\r\n0;c\r\n\r\n", FINE, "7.1.1"),
    Row(head(CHUNKED) + b"3e8  \r\n" + WHOLE + b"\r\n0\r\n\r\n", FINE, "7.1"),
    Row(head(CHUNKED) + chunks(WHOLE) + b"more", FINE, "7.1"),
    *(
        Row((head(CHUNKED), body, Close()), ("cut", 502), "7.1")
        for body in (
            b"",
            chunks(WHOLE, end=b""),
            chunks(WHOLE, end=b"0"),
            chunks(WHOLE, end=b"0\r\n"),
            chunks(WHOLE, end=b"0\r\nA: b\r\n"),
            chunks(WHOLE, end=b"0\r\nA : b\r\n\r\n"),
            chunks(WHOLE, end=b"0\r\nA: b\x00\r\n\r\n"),
            chunks(WHOLE, end=b"0\n\n"),
            chunks(WHOLE, end=b"x\r\n\r\n"),
            chunks(WHOLE, end=b"\r\n0\r\n\r\n"),
            b"3e8\r\n" + WHOLE[:500],
            b"3e8\r\n" + WHOLE + b"xx0\r\n\r\n",
            b"3e9\r\n" + WHOLE + b"\r\n0\r\n\r\n",
            b"3e7\r\n" + WHOLE + b"\r\n0\r\n\r\n",
            b"3e8\n" + WHOLE + b"\n0\n\n",
            b"0x3e8\r\n" + WHOLE + b"\r\n0\r\n\r\n",
            b"-3e8\r\n" + WHOLE + b"\r\n0\r\n\r\n",
            b"+3e8\r\n" + WHOLE + b"\r\n0\r\n\r\n",
            b"3e8 5\r\n" + WHOLE + b"\r\n0\r\n\r\n",
            b" 3e8\r\n" + WHOLE + b"\r\n0\r\n\r\n",
            b"fffffffffffffffff\r\n" + WHOLE,
            b"ffffffffffffffff\r\n" + WHOLE,
            b"3e8;" + b"a" * 9000 + b"\r\n" + WHOLE + b"\r\n0\r\n\r\n",
            b"3e8;a\x00\r\n" + WHOLE + b"\r\n0\r\n\r\n",
            chunks(WHOLE, end=b"0\r\nA: " + b"b" * 20000 + b"\r\n\r\n"),
        )
    ),
    Row((head(CHUNKED), chunks(WHOLE, end=b""), Reset()), ("cut",), "7.1"),
    Row((head() + WHOLE, Close()), FINE, "6.3"),
    Row((head(b"Connection: keep-alive") + WHOLE, Close()), FINE, "6.3"),
    Row((head() + WHOLE, *LATE, Reset()), ("cut",), "8"),
    Row((head(line=b"HTTP/1.0 200 OK") + WHOLE, Close()), FINE, "6.3"),
    # No body where there is to be none.
    Row(head(line=b"HTTP/1.1 204 No") + b"body", ((204, b""),), "6.3"),
    Row(
        (head(b"Content-Length: 4", line=b"HTTP/1.1 204 No"), *LATE, b"body"), ((204, b""),), "6.3"
    ),
    Row((head(CHUNKED, line=b"HTTP/1.1 204 No"), *LATE, chunks(b"x")), ((204, b""),), "6.3"),
    Row(
        (head(b"Content-Length: 4", line=b"HTTP/1.1 304 No"), *LATE, b"body"), ((304, b""),), "6.3"
    ),
    Row((head(CHUNKED, line=b"HTTP/1.1 304 No"), *LATE, whole()), ((304, b""),), "6.3"),
    Row((whole(), *LATE), ((200, b""),), "6.3", HEAD),
    Row((head(b"Content-Length: 1000"), *LATE, whole(b"Evil: yes")), ((200, b""),), "6.3", HEAD),
    Row((head(CHUNKED), *LATE, chunks(WHOLE)), ((200, b""),), "6.3", HEAD),
    Row(head(CHUNKED), ((200, b""),), "6.3", HEAD),
    Row(head(), ((200, b""),), "6.3", HEAD),
)

RANGES = (
    Row(part(b"bytes 100-199/3000"), RIGHT, "9110 14.4", RANGED),
    Row(part(b"Bytes 100-199/3000"), RIGHT, "9110 14.4", RANGED),
    Row(part(b"bytes 100-199/*"), RIGHT, "9110 14.4", RANGED),
    Row(head(b"Content-Length: 3000") + CONTENT, RIGHT, "9110 14.2", RANGED),
    Row(part(None), REFUSED, "9110 15.3.7", RANGED),
    *(
        Row(part(said), REFUSED, "9110 14.4", RANGED)
        for said in (
            *(b"bytes 101-200/3000", b"bytes 99-198/3000", b"bytes 0-99/3000", b"bytes 100-/3000"),
            *(b"bytes 100-299/3000", b"bytes 100-198/3000", b"bytes 199-100/3000", b"bytes"),
            *(b"bytes 100-199/150", b"bytes 100-199/199", b"bytes 100-199", b"bytes=100-199/3000"),
            *(b"100-199/3000", b"items 100-199/3000", b"bytes */3000", b"bytes -199/3000", b""),
            *(b"bytes 100-199/x", b"bytes 100-199/", b"bytes 100 - 199 / 3000", b"bytes 1e2-199/*"),
            *(b"bytes +100-199/3000", b"bytes 100-199/-1", b"bytes 100-199/3000, bytes 0-1/3000"),
            *(b"bytes 100-199/3000 ;", b"bytes: 100-199/3000", b"bytes 0x64-0xc7/3000", b"*"),
        )
    ),
    Row(
        head(
            *[b"Content-Range: bytes 100-199/3000"] * 2,
            b"Content-Length: 100",
            line=b"HTTP/1.1 206 Partial",
        )
        + PART,
        REFUSED,
        "9110 14.4",
        RANGED,
    ),
    Row(part(b"bytes 100-199/3000", PART[:99]), REFUSED, "9110 14.4", RANGED),
    Row(part(b"bytes 100-199/3000", PART + b"x"), REFUSED, "9110 14.4", RANGED),
    Row(
        part(b"bytes 100-199/3000", chunks(PART), CHUNKED, length=False),
        RIGHT,
        "9110 14.4",
        RANGED,
    ),
    Row(
        part(b"bytes 100-199/3000", chunks(PART + b"x"), CHUNKED, length=False),
        ("cut",),
        "9110 14.4",
        RANGED,
    ),
    Row(
        part(
            b"bytes 100-199/3000",
            b"--b\r\nContent-Range: bytes 100-199/3000\r\n\r\n" + PART + b"\r\n--b--\r\n",
            b"Content-Type: multipart/byteranges; boundary=b",
        ),
        REFUSED,
        "9110 15.3.7.2",
        RANGED,
    ),
    Row(
        part(
            None,
            b"--b\r\nContent-Range: bytes 100-199/3000\r\n\r\n" + PART + b"\r\n--b--\r\n",
            b"Content-Type: multipart/byteranges; boundary=b",
        ),
        REFUSED,
        "9110 15.3.7.2",
        RANGED,
    ),
    Row(part(b"bytes 0-999/1000", WHOLE), REFUSED, "9110 15.3.7"),
    Row(part(b"bytes 100-199/3000"), REFUSED, "9110 15.3.7"),
    Row(part(None, WHOLE), REFUSED, "9110 15.3.7"),
    Row(part(b"bytes 0-999/1000", WHOLE), REFUSED, "9110 15.3.7", HEAD),
    Row(head(b"Content-Length: 0", line=b"HTTP/1.1 416 No"), (416,), "9110 15.5.17", RANGED),
    Row(
        head(b"Content-Range: bytes */50", b"Content-Length: 0", line=b"HTTP/1.1 416 No"),
        (416,),
        "9110 15.5.17",
        RANGED,
    ),
    Row(
        head(b"Content-Range: bytes */3000", b"Content-Length: 0", line=b"HTTP/1.1 416 No"),
        (416, 502),
        "9110 15.5.17",
        RANGED,
    ),
    Row(head(b"Content-Length: 2", line=b"HTTP/1.1 404 No") + b"no", (404,), "9110 14.2", RANGED),
)

REQUESTS = {
    PLAIN: get(PLAIN),
    HEAD: get(HEAD, method=b"HEAD"),
    RANGED: get(RANGED, b"Range: bytes=100-199"),
}


class UpstreamsThatLieTest(ProxyCase):
    timeout = 2 * HANG

    async def check_all(self, rows: tuple[Row, ...]) -> None:
        current: list[Row] = []

        def answer(received: Received) -> tuple[Step, ...]:
            if received.target == b"/after":
                return tuple(File(CONTENT).reply(received).steps())
            wire = current[0].wire
            return wire if isinstance(wire, tuple) else (wire,)

        origin, port = await self.serve(
            answer, resume_for=0.3, first_byte_timeout=0.5, between_bytes_timeout=0.5
        )
        wrong = []
        for row in rows:
            current[:] = [row]
            told = f"{row.wire!r:.200} (section {row.section})"
            try:
                await self.check(row, port)
            except Exception as error:
                wrong.append(f"{told}: {error!r:.300}")
        self.assertEqual(wrong, [], "\n".join(wrong))
        self.assertEqual(origin.malformed, [])

    async def check(self, row: Row, port: int) -> None:
        client = await self.client(port)
        await client.send(REQUESTS[row.path])
        method = b"HEAD" if row.path == HEAD else b"GET"
        answers = await client.answers([method])
        await self.end(client)
        final = [each for each in answers if each.final]
        if not final or not final[-1].whole:
            self.assertIn("cut", row.seen)
            right = PART if row.path == RANGED else WHOLE
            self.assertTrue(not final or right.startswith(final[-1].body), final)
        else:
            answer = final[-1]
            self.assertTrue(
                answer.status in row.seen or (answer.status, answer.body) in row.seen,
                (answer.status, answer.pairs, answer.body[:100]),
            )
            self.assertEqual(answer.all(b"evil"), [])
        after = await self.answer_to(port, get(b"/after"))
        self.assertEqual((after.status, after.body), (200, CONTENT), "the request after it")

    async def test_heads(self) -> None:
        await self.check_all(HEADS)

    async def test_an_answer_to_no_request_ends_a_kept_connection(self) -> None:
        stray: list[Step] = [whole(), *LATE, whole(b"Evil: yes")]
        origin, port = await self.serve(lambda _: stray)
        await self.answer_to(port, get())
        await self.wait(0.1)
        stray[1:] = []
        self.assertEqual((await self.answer_to(port, get())).all(b"evil"), [])
        self.assertEqual(origin.connections, 2)

    async def test_framings(self) -> None:
        await self.check_all(FRAMES)

    async def test_ranges(self) -> None:
        await self.check_all(RANGES)
