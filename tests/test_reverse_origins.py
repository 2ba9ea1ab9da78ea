"""Upstreams with habits that nginx hasn't: no length, no validator, no date, no If-Range."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from twisted.internet.protocol import Protocol

from aprp.core.http.validators import format_date
from tests.support.client import reactor
from tests.support.proxied_case import ProxyCase, factory_of
from tests.support.responses import Response, parts_of

CONTENT = random.Random(5).randbytes(50_000)
SIZE = len(CONTENT)
MODIFIED = b"Sun, 13 Sep 2020 12:26:40 GMT"
Answering = Callable[[bytes, dict[bytes, bytes]], bytes]


def reply(status: int, body: bytes = b"", *lines: bytes, length: bool = True) -> bytes:
    framed = [*lines, b"Content-Length: %d" % len(body)] if length else list(lines)
    return b"\r\n".join([b"HTTP/1.1 %d X" % status, *framed, b"", body])


def part(start: int, stop: int, *lines: bytes, complete: bytes = b"%d" % SIZE) -> bytes:
    said = b"Content-Range: bytes %d-%d/%s" % (start, stop - 1, complete)
    return reply(206, CONTENT[start:stop], said, *lines)


def span(fields: dict[bytes, bytes]) -> tuple[int, int] | None:
    """The half-open range of a request, where it is one from-to or open range."""
    found = re.fullmatch(rb"bytes=([0-9]+)-([0-9]*)", fields.get(b"range", b""))
    if found is None:
        return None
    return int(found[1]), min(SIZE, int(found[2]) + 1) if found[2] else SIZE


class Scripted(Protocol):
    """Answers each request with bytes; `asked` notes method and fields."""

    def __init__(self, answer: Answering, asked: list[tuple[bytes, dict[bytes, bytes]]]) -> None:
        self.answer = answer
        self.asked = asked
        self.held = b""

    def dataReceived(self, data: bytes) -> None:
        self.held += data
        while b"\r\n\r\n" in self.held:
            head, _, self.held = self.held.partition(b"\r\n\r\n")
            first, *lines = head.split(b"\r\n")
            fields = {
                name.lower(): value for name, value in (line.split(b": ", 1) for line in lines)
            }
            method = first.split(b" ")[0]
            self.asked.append((method, fields))
            assert self.transport is not None
            sent = self.answer(method, fields)
            self.transport.write(sent.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
            if method != b"HEAD":
                self.transport.write(sent.partition(b"\r\n\r\n")[2])


class HabitTests(ProxyCase):
    def behind(self, answer: Answering) -> int:
        self.asked: list[tuple[bytes, dict[bytes, bytes]]] = []
        origin = self.listen(factory_of(lambda: Scripted(answer, self.asked)))
        return self.proxy(f"http://127.0.0.1:{origin}/", path_ranges="end")

    def check(self, got: Response, start: int, stop: int, complete: str = str(SIZE)) -> None:
        self.assertEqual(got.status, 206)
        self.assertEqual(got.fields["Content-Range"], f"bytes {start}-{stop - 1}/{complete}")
        self.assertEqual((got.body, got.whole), (CONTENT[start:stop], True))

    async def test_a_head_without_a_length(self) -> None:
        def answer(method: bytes, fields: dict[bytes, bytes]) -> bytes:
            if method == b"HEAD":
                return reply(200, b"", length=False)
            found = span(fields)
            return part(*found) if found else reply(200, CONTENT)

        port = self.behind(answer)
        got = await self.ask(port, "/a/5/9", {}, "HEAD")
        self.assertEqual((got.status, got.fields["Content-Length"]), (206, "5"))
        self.assertEqual(got.fields["Content-Range"], f"bytes 5-9/{SIZE}")
        self.assertEqual([method for method, _ in self.asked], [b"HEAD", b"GET"])
        got = await self.ask(port, "/a", {}, "HEAD")
        self.assertEqual((got.status, got.fields["Content-Length"]), (200, None))

    async def test_no_length_at_all(self) -> None:
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (SIZE, CONTENT)
        port = self.behind(lambda method, fields: chunked + body)
        for fields in ({}, {"Range": "bytes=5-9"}, {"Range": "bytes=-5,0-0"}):
            got = await self.ask(port, "/a", fields)
            self.assertEqual((got.status, got.body, got.whole), (200, CONTENT, True))
        self.assertEqual((await self.ask(port, "/a/5/9")).status, 502)

    async def test_an_unknown_complete_length(self) -> None:
        def answer(method: bytes, fields: dict[bytes, bytes]) -> bytes:
            found = span(fields)
            return part(*found, complete=b"*") if found else reply(200, CONTENT)

        port = self.behind(answer)
        self.check(await self.ask(port, "/a", {"Range": "bytes=5-9"}), 5, 10, "*")
        self.check(await self.ask(port, "/a/5/9"), 5, 10, "*")
        got = await self.ask(port, "/a", {"Range": "bytes=5-9,0-0"})
        self.assertEqual([body for _, body in parts_of(got)], [CONTENT[:1], CONTENT[5:10]])

    async def test_ranges_without_validators(self) -> None:
        for line in (b'ETag: W/"x"', b"X: y"):

            def answer(method: bytes, fields: dict[bytes, bytes], line: bytes = line) -> bytes:
                found = span(fields)
                return part(*found, line) if found else reply(200, CONTENT, line)

            port = self.behind(answer)
            got = await self.ask(port, "/a", {"Range": "bytes=40000-40099,0-9"})
            self.assertEqual(
                [body for _, body in parts_of(got)], [CONTENT[:10], CONTENT[40000:40100]]
            )
            self.assertTrue(got.whole)
            for condition in ('"x"', MODIFIED.decode()):
                fields = {"Range": "bytes=5-9", "If-Range": condition}
                got = await self.ask(port, "/a", fields)
                self.assertEqual((got.status, got.body), (200, CONTENT))

    async def test_shorter_parts_than_asked_for(self) -> None:
        def answer(method: bytes, fields: dict[bytes, bytes]) -> bytes:
            start, stop = span(fields) or (0, SIZE)
            return part(start, min(stop, start + 1000), b'ETag: "x"')

        port = self.behind(answer)
        self.check(await self.ask(port, "/a", {"Range": "bytes=100-4099"}), 100, 4100)
        self.assertEqual(len(self.asked), 4)

    async def test_dates_and_their_strength(self) -> None:
        fresh = format_date(int(reactor.seconds()) + 60)
        for lines, date, holds in (
            ((b"Last-Modified: " + MODIFIED,), MODIFIED, True),  # dated by its receipt
            ((b"Last-Modified: " + MODIFIED, b"Date: " + MODIFIED), MODIFIED, False),
            ((b"Last-Modified: " + fresh,), fresh, False),
        ):

            def answer(
                method: bytes, fields: dict[bytes, bytes], lines: tuple[bytes, ...] = lines
            ) -> bytes:
                found = span(fields)
                return part(*found, *lines) if found else reply(200, CONTENT, *lines)

            fields = {"Range": "bytes=5-9", "If-Range": date.decode()}
            got = await self.ask(self.behind(answer), "/a", fields)
            if holds:
                self.check(got, 5, 10)
            else:
                self.assertEqual((got.status, got.body), (200, CONTENT))

    async def test_what_nothing_satisfies_is_never_sent(self) -> None:
        def answer(method: bytes, fields: dict[bytes, bytes]) -> bytes:
            found = span(fields)
            return part(*found) if found else reply(200, CONTENT)

        port = self.behind(answer)
        for path, fields in (("/a", {"Range": "bytes=-0"}), ("/a/9/5", {})):
            got = await self.ask(port, path, fields)
            self.assertEqual((got.status, got.fields["Content-Range"]), (416, f"bytes */{SIZE}"))
        self.assertEqual({fields.get(b"range") for _, fields in self.asked}, {b"bytes=0-0"})

    async def test_a_416_that_tells_no_length(self) -> None:
        def answer(method: bytes, fields: dict[bytes, bytes]) -> bytes:
            return reply(416) if b"range" in fields else reply(200, CONTENT, b'ETag: "x"')

        port = self.behind(answer)
        for path, fields in (("/a", {"Range": "bytes=50000-"}), ("/a/50000", {})):
            got = await self.ask(port, path, fields)
            self.assertEqual((got.status, got.fields["Content-Range"]), (416, f"bytes */{SIZE}"))
        got = await self.ask(port, "/a", {"Range": "bytes=60000-", "If-None-Match": '"x"'})
        self.assertEqual(got.status, 304)
        self.check(await self.ask(port, "/a", {"Range": "bytes=5-9"}), 5, 10)

    async def test_preconditions_that_the_upstream_does_not_know(self) -> None:
        def answer(method: bytes, fields: dict[bytes, bytes]) -> bytes:
            found = span(fields)
            return part(*found, b'ETag: "x"') if found else reply(200, CONTENT, b'ETag: "x"')

        port = self.behind(answer)
        for path in ("/a", "/a/5/9"):
            for ranged in ({}, {"Range": "bytes=5-9"}):
                for method in ("GET", "HEAD"):
                    got = await self.ask(port, path, {"If-None-Match": 'W/"x"', **ranged}, method)
                    self.assertEqual((got.status, got.body), (304, b""))
                    self.assertEqual(got.fields["ETag"], '"x"')
                    got = await self.ask(port, path, {"If-Match": '"y"', **ranged}, method)
                    self.assertEqual((got.status, got.body), (412, b""))
