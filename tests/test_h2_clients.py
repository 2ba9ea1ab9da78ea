"""Clients of HTTP/2, over real sockets. The sections are those of RFC 9113."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred

from aprp.config import ListenHttp2, RequestBuffering
from aprp.core.http2.frames import PREFACE, Code, Kind
from aprp.core.http2.writing import frame, reset, window_update
from aprp.web.request_rules import Limits
from tests.support.h2_client import H2Client, asking, connect
from tests.support.h2_frames import END_HEADERS, data, headers, ping, settings
from tests.support.origin import Responder
from tests.support.proxied_case import ProxyCase, fixed
from tests.support.replies import File, Pattern, Received, Reply, Reset, Stall

FILM = Pattern(3_000_000)
BYTES = FILM[0:3_000_000]
LIMITS = Limits(linger_seconds=0.5, idle_seconds=0.7)
PROTOCOL, CLOSED, FLOW, SIZE, CALM = (
    Code.PROTOCOL_ERROR,
    Code.STREAM_CLOSED,
    Code.FLOW_CONTROL_ERROR,
    Code.FRAME_SIZE_ERROR,
    Code.ENHANCE_YOUR_CALM,
)


def film(received: Received) -> Reply:
    return File(FILM).reply(received)


class H2Case(ProxyCase):
    async def front(self, answer: Responder = film, **options: Any) -> Any:
        origin, port = await self.serve(answer, **options)
        self.proxy_site.http2 = ListenHttp2.CLEARTEXT
        self.port = port
        return origin

    async def h2(self, **options: Any) -> H2Client:
        client = await connect(self.port, **options)
        self.addCleanup(client.end)
        return client


class ServingTests(H2Case):
    async def test_one_request(self) -> None:
        await self.front()
        client = await self.h2()
        client.get(1, b"/film")
        response = await client.response(1)
        self.assertEqual(
            (response.status, response.ended),
            (200, True),
            (client.away, response.reset, len(response.body)),
        )
        self.assertEqual(response.body, BYTES)
        self.assertEqual(response.heads[-1][b"content-length"], b"3000000")
        self.assertNotIn(b"connection", response.heads[-1])
        self.assertNotIn(b"transfer-encoding", response.heads[-1])
        await self.recorded()
        self.assertEqual((self.records[0].version, self.records[0].ended), ("HTTP/2.0", "complete"))

    async def test_several_ranges_at_once(self) -> None:
        await self.front()
        client = await self.h2()
        for number in range(20):
            first = number * 100_000
            client.get(
                2 * number + 1, b"/film", (b"range", b"bytes=%d-%d" % (first, first + 99_999))
            )
        for number in range(20):
            response = await client.response(2 * number + 1)
            self.assertEqual(response.status, 206)
            first = number * 100_000
            self.assertEqual(response.body, BYTES[first : first + 100_000])

    async def test_head_and_an_empty_answer(self) -> None:
        await self.front()
        client = await self.h2()
        client.send(headers(1, asking(b"/film", method=b"HEAD"), end=True))
        response = await client.response(1)
        self.assertEqual((response.status, response.body, response.ended), (200, b"", True))
        self.assertEqual(response.heads[-1][b"content-length"], b"3000000")

    async def test_a_body_of_unknown_length_ends_with_its_stream(self) -> None:
        await self.front(fixed(Reply(200, (), (b"hello",), "chunked")))
        client = await self.h2()
        client.get(1, b"/")
        response = await client.response(1)
        self.assertEqual((response.body, response.ended), (b"hello", True))

    async def test_early_hints(self) -> None:
        hint = b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n"
        await self.front(fixed([hint, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"]))
        client = await self.h2()
        client.get(1, b"/")
        response = await client.response(1)
        self.assertEqual([head[b":status"] for head in response.heads], [b"103", b"200"])

    async def test_an_incomplete_body_is_reset(self) -> None:
        await self.front(
            lambda received: (
                File(FILM, etag=None, last_modified=None).reply(received).broken(1000, Reset())
            )
        )
        client = await self.h2()
        client.get(1, b"/film")
        response = await client.response(1)
        self.assertEqual((response.ended, response.reset), (False, Code.INTERNAL_ERROR))
        self.assertEqual(response.body, BYTES[:1000])
        client.get(3, b"/film", (b"range", b"bytes=0-9"))
        self.assertEqual((await client.response(3)).status, 206)
        await self.soon(lambda: any(each.ended == "cut" for each in self.records))

    async def test_a_paused_stream_stops_no_other(self) -> None:
        await self.front()
        client = await self.h2(opens=False)
        client.get(1, b"/film")
        await client.until(lambda: len(client.on(1).body) == 65535)
        client.opens = True
        client.send(window_update(0, 65535))
        client.get(3, b"/film")
        self.assertEqual((await client.response(3)).body, BYTES)
        self.assertEqual(len(client.on(1).body), 65535)
        client.send(window_update(1, 3_000_000))
        self.assertEqual((await client.response(1)).body, BYTES)

    async def test_a_client_that_takes_nothing_loses_its_stream(self) -> None:
        await self.front(send_timeout=0.3)
        client = await self.h2(opens=False)
        client.get(1, b"/film")
        response = await client.response(1)
        self.assertEqual((response.reset, response.ended), (Code.CANCEL, False))
        await self.soon(lambda: self.records)
        self.assertEqual(self.records[0].error, "connection_write_timeout")

    async def test_a_client_that_leaves_stops_the_upstream(self) -> None:
        origin = await self.front()
        client = await self.h2(opens=False)
        client.get(1, b"/film")
        await client.until(lambda: client.on(1).body)
        client.send(reset(1, Code.CANCEL))
        await self.soon(lambda: origin.serving == 0)
        await self.recorded()
        self.assertEqual(self.records[0].ended, "client left")
        client.send(window_update(0, 65535))
        client.get(3, b"/film", (b"range", b"bytes=0-9"))
        self.assertEqual((await client.response(3)).body, BYTES[:10])

    async def test_bodies(self) -> None:
        def echo(received: Received) -> Reply:
            return Reply(200, (), (received.body[::-1],))

        for options in ({}, {"request_buffering": "off"}):
            await self.front(echo, **options)
            client = await self.h2()
            body = BYTES[:50_000]
            fields = asking(b"/", (b"content-length", b"50000"), method=b"POST")
            client.send(headers(1, fields) + data(1, body[:16384]) + data(1, body[16384:32768]))
            client.send(data(1, body[32768:49152]) + data(1, body[49152:], end=True))
            self.assertEqual((await client.response(1)).body, body[::-1])
            client.send(headers(3, asking(b"/", method=b"PUT")) + data(3, b"abc"))
            client.send(headers(3, ((b"a", b"trailer"),), end=True))
            self.assertEqual((await client.response(3)).body, b"cba")

    async def test_a_large_body_gets_windows(self) -> None:
        def count(received: Received) -> Reply:
            return Reply(200, (), (b"%d" % len(received.body),))

        await self.front(count)
        client = await self.h2()
        client.send(headers(1, asking(b"/", method=b"POST")))
        sent = 0
        while sent < 1_000_000:
            allowed = 65535 + sum(
                int.from_bytes(each.raw[9:], "big")
                for each in client.frames
                if each.kind == Kind.WINDOW_UPDATE and each.stream == 1
            )
            size = min(16384, allowed - sent)
            if size <= 0:
                await self.wait(0.01)
                continue
            client.send(data(1, b"x" * size))
            sent += size
        client.send(data(1, end=True))
        self.assertEqual((await client.response(1)).body, b"%d" % sent)

    async def test_a_streamed_body_waits_for_the_upstream(self) -> None:
        origin = await self.front(
            fixed([Stall()]), request_buffering=RequestBuffering.OFF, limits=LIMITS
        )
        origin.answers_at_head = True
        client = await self.h2()
        client.send(headers(1, asking(b"/", method=b"POST")) + data(1, b"x" * 16384) * 300)
        await client.gone()
        self.assertEqual(client.away[-1].code, FLOW)

    async def test_too_large_a_body(self) -> None:
        await self.front(max_body=1000)
        client = await self.h2()
        client.send(headers(1, asking(b"/", (b"content-length", b"2000"), method=b"POST")))
        response = await client.response(1)
        self.assertEqual((response.status, response.ended), (413, True))
        client.send(headers(3, asking(b"/", method=b"POST")) + data(3, b"x" * 1001))
        self.assertEqual((await client.response(3)).status, 413)


class LimitTests(H2Case):
    async def test_a_silent_connection_is_closed(self) -> None:
        await self.front(limits=LIMITS)
        client = await self.h2()
        await client.until(lambda: client.closed)
        self.assertEqual(client.away[-1].code, Code.NO_ERROR)

    async def test_a_client_that_never_takes_a_short_response(self) -> None:
        await self.front(limits=LIMITS)
        client = await self.h2(begin=PREFACE + settings(initial_window_size=0))
        client.get(1, b"/film", (b"range", b"bytes=0-9"))
        self.assertEqual((await client.response(1)).reset, Code.CANCEL)
        await client.gone()

    async def test_streams_at_once(self) -> None:
        await self.front(fixed([Stall()]), limits=Limits(streams=3))
        client = await self.h2()
        for stream in (1, 3, 5, 7):
            client.get(stream, b"/")
        self.assertEqual((await client.response(7)).reset, Code.REFUSED_STREAM)
        self.assertFalse(client.away)
        self.assertIn(b"\0\3\0\0\0\3", client.kinds(Kind.SETTINGS)[0])

    async def test_rapid_reset(self) -> None:
        await self.front(fixed([Stall()]), limits=Limits(resets=20))
        client = await self.h2()
        for number in range(100):
            client.get(2 * number + 1, b"/")
            client.send(reset(2 * number + 1, Code.CANCEL))
        await client.until(lambda: client.closed)
        self.assertEqual(client.away[-1].code, CALM)

    async def test_resets_that_the_client_has_us_send(self) -> None:
        await self.front(fixed([Stall()]), limits=Limits(resets=20))
        for wrong in (
            lambda stream: window_update(stream, 0),
            lambda stream: window_update(stream, 2**31 - 1),
            lambda stream: headers(stream, ((b":path", b"/"),), end=True),
        ):
            client = await self.h2()
            for stream in range(1, 201, 2):
                client.send(headers(stream, asking(b"/", method=b"POST")) + wrong(stream))
            await client.gone()
            self.assertEqual(client.away[-1].code, CALM)

    async def test_floods(self) -> None:
        await self.front()
        for flood in (
            ping() * 5000,
            settings() * 5000,
            frame(Kind.PRIORITY, 0, 1, b"\0\0\0\0\1") * 5000,
            b"\0\0\0\xee\0\0\0\0\0" * 5000,
            window_update(0, 1) * 5000,
            headers(1, asking(b"/", method=b"POST")) + data(1) * 5000,
            headers(1, asking(b"/", method=b"POST")) + frame(Kind.DATA, 8, 1, b"\0") * 5000,
        ):
            client = await self.h2()
            client.send(flood)
            await client.gone()
            self.assertEqual(client.away[-1].code, CALM)

    async def test_requests_on_one_connection(self) -> None:
        await self.front(limits=Limits(requests=3))
        client = await self.h2()
        for stream in (1, 3, 5):
            client.get(stream, b"/film", (b"range", b"bytes=0-9"))
        for stream in (1, 3, 5):
            self.assertEqual((await client.response(stream)).body, BYTES[:10])
        await client.until(lambda: client.closed)
        self.assertEqual(client.away[-1].last, 5)

    async def test_a_drain_serves_what_was_begun(self) -> None:
        await self.front()
        client = await self.h2(opens=False)
        client.get(1, b"/film")
        await client.until(lambda: len(client.on(1).body) == 65535)
        emptied: Deferred[None] = self.proxy_site.drain()
        await client.until(lambda: len(client.away) == 2)
        self.assertEqual([each.last for each in client.away], [2**31 - 1, 1])
        client.get(3, b"/film")
        self.assertEqual((await client.response(3)).reset, Code.REFUSED_STREAM)
        client.opens = True
        client.send(window_update(0, 1 << 20) + window_update(1, 1 << 22))
        self.assertEqual((await client.response(1)).body, BYTES)
        await client.until(lambda: client.closed)
        await emptied

    async def test_connections_and_streams_are_counted(self) -> None:
        await self.front(fixed([Stall()]))
        await self.client(self.port)
        client = await self.h2()
        for stream in (1, 3, 5):
            client.get(stream, b"/film")
        await self.soon(lambda: len(self.proxy_site.in_flight) == 3)
        self.assertEqual(self.proxy_site.http2_counts, (1, 3))
        client.send(reset(1, Code.CANCEL) + reset(3, Code.CANCEL))
        await self.soon(lambda: self.proxy_site.http2_counts == (1, 1))
        await client.end()
        await self.soon(lambda: self.proxy_site.http2_counts == (0, 0))

    async def test_http1_still_is_spoken(self) -> None:
        await self.front()
        self.assertEqual((await self.ask(self.port, "/film")).body, BYTES)
        for piece in (1, 7):
            seen = await self.answer_to(
                self.port, b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", piece
            )
            self.assertEqual(seen.status, 200)

    async def test_the_preface_in_pieces(self) -> None:
        await self.front()
        client = await self.h2(begin=b"")
        begin = PREFACE + settings()
        for at in (0, 5, 10, 15, 20):
            client.send(begin[at : at + 5] if at < 20 else begin[at:])
            await self.wait(0.01)
        client.get(1, b"/film", (b"range", b"bytes=0-9"))
        self.assertEqual((await client.response(1)).body, BYTES[:10], client.away)

    async def test_off(self) -> None:
        await self.front()
        self.proxy_site.http2 = ListenHttp2.ON
        client = await self.h2()
        with self.assertRaises(Exception):  # noqa: B017
            client.dataReceived(b"HTTP/1.1 505")
        await client.end()


def bad(*pairs: tuple[bytes, bytes]) -> bytes:
    return headers(1, pairs, end=True)


METHOD, SCHEME, PATH = (b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/film")
AUTHORITY = (b":authority", b"a")
USUAL = (METHOD, SCHEME, PATH, AUTHORITY)

STREAM_ERRORS: dict[str, bytes] = {
    "8.2.1 upper case": bad(*USUAL, (b"X-Upper", b"a")),
    "8.2.1 a space in a name": bad(*USUAL, (b"a b", b"a")),
    "8.2.1 an empty name": bad(*USUAL, (b"", b"a")),
    "8.2.1 a line feed": bad(*USUAL, (b"a", b"b\nc")),
    "8.2.1 a NUL": bad(*USUAL, (b"a", b"b\0c")),
    "8.2.1 white space": bad(*USUAL, (b"a", b" b")),
    "8.2.2 connection": bad(*USUAL, (b"connection", b"close")),
    "8.2.2 keep-alive": bad(*USUAL, (b"keep-alive", b"1")),
    "8.2.2 transfer-encoding": bad(*USUAL, (b"transfer-encoding", b"chunked")),
    "8.2.2 upgrade": bad(*USUAL, (b"upgrade", b"websocket")),
    "8.2.2 te": bad(*USUAL, (b"te", b"gzip")),
    "8.3 an unknown pseudo-field": bad(*USUAL, (b":test", b"a")),
    "8.3 a response's pseudo-field": bad(*USUAL, (b":status", b"200")),
    "8.3 a pseudo-field behind a field": bad(METHOD, SCHEME, AUTHORITY, (b"a", b"b"), PATH),
    "8.3.1 an empty path": bad(METHOD, SCHEME, AUTHORITY, (b":path", b"")),
    "8.3.1 no path": bad(METHOD, SCHEME, AUTHORITY),
    "8.3.1 no method": bad(SCHEME, PATH, AUTHORITY),
    "8.3.1 no scheme": bad(METHOD, PATH, AUTHORITY),
    "8.3.1 two paths": bad(*USUAL, PATH),
    "8.3.1 a scheme that isn't HTTP's": bad(METHOD, (b":scheme", b"ftp"), PATH, AUTHORITY),
    "8.3.1 an absolute URL for a path": bad(METHOD, SCHEME, (b":path", b"http://a/"), AUTHORITY),
    "8.3.1 a Host that differs": bad(*USUAL, (b"host", b"b")),
    "8.5 CONNECT with a path": bad((b":method", b"CONNECT"), PATH, SCHEME, AUTHORITY),
    "8.1.1 an early end": bad(*USUAL, (b"content-length", b"5")),
    "8.1.1 fewer bytes": headers(1, (*USUAL, (b"content-length", b"5"))) + data(1, b"a", end=True),
    "8.1.1 a length that is none": bad(*USUAL, (b"content-length", b"-0")),
    "8.1.1 more bytes": headers(1, (*USUAL, (b"content-length", b"1"))) + data(1, b"abc", end=True),
    "8.1 trailers that don't end": headers(1, USUAL) + data(1, b"a") + headers(1, ((b"a", b"b"),)),
    "6.9 an increment of nothing": headers(1, USUAL) + window_update(1, 0),
    "6.9.1 a window that overflows": headers(1, USUAL) + window_update(1, 2**31 - 1),
}

REFUSED: dict[str, tuple[bytes, int]] = {
    "a path that climbs": (bad(METHOD, SCHEME, (b":path", b"/../etc"), AUTHORITY), 400),
    "a fragment": (bad(METHOD, SCHEME, (b":path", b"/a#b"), AUTHORITY), 400),
    "a space in a path": (bad(METHOD, SCHEME, (b":path", b"/a b"), AUTHORITY), 400),
    "no authority": (bad(METHOD, SCHEME, PATH), 400),
    "a malformed authority": (bad(METHOD, SCHEME, PATH, (b":authority", b"a b")), 400),
    "two Hosts": (bad(METHOD, SCHEME, PATH, (b"host", b"a"), (b"host", b"a")), 400),
    "CONNECT": (bad((b":method", b"CONNECT"), AUTHORITY), 405),
    "TRACE": (bad((b":method", b"TRACE"), SCHEME, PATH, AUTHORITY), 405),
    "an unknown expectation": (bad(*USUAL, (b"expect", b"cake")), 417),
    "a long path": (bad(METHOD, SCHEME, (b":path", b"/" + b"a" * 16385), AUTHORITY), 414),
    "many fields": (bad(*USUAL, *[(b"a", b"b")] * 200), 431),
}

CONNECTION_ERRORS: dict[str, tuple[bytes, int]] = {
    "6.10 a CONTINUATION flood": (
        headers(1, USUAL, flags=0) + frame(Kind.CONTINUATION, 0, 1) * 100,
        CALM,
    ),
    "10.5.1 an HPACK bomb": (
        frame(
            Kind.HEADERS, 5, 1, b"\x82\x86\x84\x40\x01a\x7f\xa1\x1e" + b"x" * 4000 + b"\xbe" * 9000
        ),
        CALM,
    ),
    "3.4 another preface": (b"", PROTOCOL),
}


class RulesTests(H2Case):
    """What tests.test_h2_spec doesn't have."""

    async def still_serves(self, client: H2Client, stream: int = 9) -> None:
        client.get(stream, b"/film", (b"range", b"bytes=0-9"))
        response = await client.response(stream)
        self.assertEqual(response.body, BYTES[:10], (response, client.away))

    async def test_what_is_malformed_resets_its_stream(self) -> None:
        await self.front()
        wrong = []
        for name, wire in STREAM_ERRORS.items():
            client = await self.h2()
            client.send(wire)
            try:
                response = await client.response(1) if b"reset" not in name.encode() else None
                if response is not None and response.reset is None and not client.away:
                    wrong.append(f"{name}: {response}")
                if response is not None and response.heads:
                    wrong.append(f"{name}: answered {response.heads}")
                if not client.away:
                    await self.still_serves(client)
            except Exception as error:
                wrong.append(f"{name}: {error!r}")
            await client.end()
        self.assertEqual(wrong, [], "\n".join(wrong))

    async def test_what_is_refused_gets_an_answer(self) -> None:
        await self.front()
        wrong = []
        for name, (wire, status) in REFUSED.items():
            client = await self.h2()
            if len(wire) > 16384:
                wire = in_frames(wire)
            client.send(wire)
            try:
                response = await client.response(1)
                if not response.heads or response.status != status or not response.ended:
                    wrong.append(f"{name}: {response.heads} {client.away}")
                await self.still_serves(client)
            except Exception as error:
                wrong.append(f"{name}: {error!r}")
            await client.end()
        self.assertEqual(wrong, [], "\n".join(wrong))

    async def test_what_breaks_the_connection_ends_it(self) -> None:
        await self.front(limits=LIMITS)
        wrong = []
        for name, (wire, code) in CONNECTION_ERRORS.items():
            begin = PREFACE + settings() if wire else PREFACE + ping()
            client = await self.h2(begin=begin)
            client.send(wire)
            try:
                await client.gone()
                if not client.away or client.away[-1].code != code:
                    wrong.append(f"{name}: {client.away}")
            except Exception as error:
                wrong.append(f"{name}: {error!r}")
            await client.end()
        self.assertEqual(wrong, [], "\n".join(wrong))

    async def test_what_is_allowed(self) -> None:
        await self.front()
        for wire in (
            settings(initial_window_size=1 << 20, header_table_size=0, max_frame_size=65536),
            frame(Kind.SETTINGS, 0, 0, b"\0\xff\0\0\0\1"),
            b"\0\0\x07\xee\xff\0\0\0\0unknown",
            frame(Kind.PRIORITY, 0, 7, b"\0\0\0\0\xff"),
            window_update(0, 1000),
            ping(),
        ):
            client = await self.h2()
            client.send(wire)
            await self.still_serves(client)
            await client.end()


def in_frames(wire: bytes) -> bytes:
    """A HEADERS frame that is too long, with CONTINUATIONs."""
    payload, flags = wire[9:], wire[4]
    pieces: Iterable[bytes] = [payload[at : at + 16000] for at in range(0, len(payload), 16000)]
    first, *others = pieces
    found = frame(Kind.HEADERS, flags & ~END_HEADERS, 1, first)
    for number, piece in enumerate(others, 1):
        found += frame(Kind.CONTINUATION, END_HEADERS if number == len(others) else 0, 1, piece)
    return found
