"""A client that breaks HTTP/2 in every way that h2spec does, and some that it doesn't.

Each case is a test, named after its section: those of RFC 7540, which h2spec follows, `generic` for
what any server has to do, `hpack` for RFC 7541. Error codes are compared exactly, where h2spec is
content with a closed connection.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from aprp.core.http2.frames import PREFACE, Code, Kind
from aprp.core.http2.writing import frame, go_away, reset, window_update
from tests.support.h2_frames import (
    END,
    END_HEADERS,
    PADDED,
    PRIORITY,
    block,
    data,
    headers,
    ping,
    settings,
)
from tests.support.h2_spec import (
    ASKS,
    AUTHORITY,
    BLOCK,
    CLOSED,
    COMPRESSION,
    CONTENT,
    FLOW,
    GET,
    HEAD,
    LARGE,
    METHOD,
    MORE,
    OPENS,
    PATH,
    POST,
    POSTS,
    PROTOCOL,
    SCHEME,
    SIZE,
    WHOLE,
    Case,
    acknowledged,
    adding,
    answered,
    answers_pings,
    begins,
    case,
    coded,
    continuation,
    dependency,
    ends_all,
    ends_stream,
    got,
    over,
    pinged,
    priority,
    received,
    refused,
    refuses,
    takes_settings,
    without,
)
from tests.support.replies import Received, Reply
from tests.test_h2_clients import H2Case

NAMED = {
    "an indexed name": (b"\x0auser-agent", b"\x06h2spec"),
    "an indexed name in Huffman code": (
        b"\x87\xb5\x05\xb1\x61\xcc\x5a\x93",
        b"\x84\x9c\x48\xac\xa4",
    ),
    "a new name": (b"\x06x-test", b"\x06h2spec"),
    "a new name in Huffman code": (b"\x85\xf2\xb2\x4a\x84\xff", b"\x84\x9c\x48\xac\xa4"),
}
LITERALS = {"with indexing": b"\x40", "without indexing": b"\x00", "never indexed": b"\x10"}
HUFFMAN_NAME = b"\x00\x85\xf2\xb2\x4a\x84\xff"
"""A literal field whose value follows."""

GENERIC = (
    Case(
        "generic 1",
        "a preface",
        (),
        takes_settings,
        PREFACE + settings(initial_window_size=65535) * 2,
    ),
    case("generic 2", "PRIORITY of an idle stream", pinged, priority(1)),
    case(
        "generic 2",
        "WINDOW_UPDATE of a half-closed stream",
        got(CONTENT[:1]),
        settings(initial_window_size=0),
        ASKS,
        window_update(1, 1),
    ),
    case(
        "generic 2",
        "PRIORITY of a half-closed stream",
        got(CONTENT[:1]),
        settings(initial_window_size=0),
        ASKS,
        priority(1),
        window_update(1, 1),
    ),
    case("generic 2", "RST_STREAM of a half-closed stream", pinged, ASKS, reset(1, Code.CANCEL)),
    case("generic 2", "PRIORITY of a closed stream", pinged, ASKS, over, priority(1)),
    case("generic 3.1", "DATA", answered, POSTS, data(1, b"test", end=True)),
    case(
        "generic 3.1", "DATA twice", answered, POSTS, data(1, b"test"), data(1, b"test", end=True)
    ),
    case(
        "generic 3.1",
        "DATA with padding",
        answered,
        POSTS,
        frame(Kind.DATA, END | PADDED, 1, b"\x05test" + bytes(5)),
    ),
    case("generic 3.2", "HEADERS", answered, ASKS),
    case(
        "generic 3.2",
        "HEADERS with padding",
        answered,
        frame(Kind.HEADERS, WHOLE | PADDED, 1, b"\x08" + BLOCK + bytes(8)),
    ),
    case(
        "generic 3.2",
        "HEADERS with a priority",
        answered,
        frame(Kind.HEADERS, WHOLE | PRIORITY, 1, dependency(0) + BLOCK),
    ),
    case("generic 3.3", "the least weight", answered, priority(1, weight=0), ASKS),
    case("generic 3.3", "the largest weight", answered, priority(1), ASKS),
    case("generic 3.3", "a dependency", answered, priority(3, on=1), ASKS),
    case("generic 3.3", "an exclusive dependency", answered, priority(1, exclusive=True), ASKS),
    case("generic 3.3", "a higher idle stream first", answered, priority(3), ASKS),
    case("generic 3.4", "RST_STREAM", pinged, OPENS, reset(1, Code.CANCEL)),
    case(
        "generic 3.5",
        "SETTINGS",
        takes_settings,
        settings(
            header_table_size=4096,
            enable_push=1,
            max_concurrent_streams=100,
            initial_window_size=65535,
            max_frame_size=16384,
            max_header_list_size=100,
        ),
    ),
    case("generic 3.7", "PING", pinged),
    case("generic 3.8", "GOAWAY", pinged, go_away(0, Code.NO_ERROR, "h2spec")),
    case("generic 3.9", "WINDOW_UPDATE of the connection", pinged, window_update(0, 1)),
    case(
        "generic 3.9",
        "WINDOW_UPDATE of a stream",
        answered,
        OPENS,
        window_update(1, 1),
        data(1, end=True),
    ),
    case("generic 3.10", "CONTINUATION", answered, begins(BLOCK[:5]), continuation(1, BLOCK[5:])),
    case(
        "generic 3.10",
        "CONTINUATION twice",
        answered,
        begins(BLOCK[:5]),
        continuation(1, BLOCK[5:10], end=False),
        continuation(1, BLOCK[10:]),
    ),
    case("generic 4", "GET", answered, ASKS),
    case("generic 4", "HEAD", answered, headers(1, HEAD, end=True)),
    case("generic 4", "POST", answered, POSTS, data(1, b"test", end=True)),
    case(
        "generic 4",
        "POST with trailers",
        answered,
        headers(1, (*POST, (b"trailer", b"x-test"))),
        data(1, b"test"),
        headers(1, ((b"x-test", b"ok"),), end=True),
    ),
    case("generic 5", "an indexed field", answered, coded(BLOCK + b"\x40\x01a\x01b\xbe")),
    *(
        case(
            "generic 5", f"a field {how} with {what}", answered, coded(BLOCK + first + name + value)
        )
        for how, first in LITERALS.items()
        for what, (name, value) in NAMED.items()
    ),
    case("generic 5", "a smaller table", answered, coded(b"\x3f\x61" + BLOCK)),
    case(
        "generic 5",
        "a smaller table, then a larger",
        answered,
        coded(b"\x3f\x61\x3f\xe1\x1f" + BLOCK),
    ),
)

FRAMES = (
    Case("3.5", "a preface", (), takes_settings, PREFACE + settings() + settings()),
    Case("3.5", "a wrong preface", (), ends_all(PROTOCOL), b"INVALID CONNECTION PREFACE\r\n\r\n"),
    Case("3.5", "another frame than SETTINGS", (), ends_all(PROTOCOL), PREFACE + ping()),
    case("4.1", "an unknown type", pinged, b"\0\0\x08\x16\0\0\0\0\0" + bytes(8)),
    case("4.1", "an undefined flag", answers_pings, frame(Kind.PING, 0x16, 0, b"12345678")),
    case("4.1", "the reserved bit", answers_pings, b"\0\0\x08\x06\x16\x80\0\0\0" + b"12345678"),
    case("4.2", "a DATA frame of 2^14", answered, POSTS, data(1, b"x" * 16384, end=True)),
    case("4.2", "too large a DATA frame", ends_all(SIZE), POSTS, data(1, b"x" * 16385, end=True)),
    case("4.2", "too large a HEADERS frame", ends_all(SIZE), headers(1, (*GET, *LARGE), end=True)),
    case("4.3", "fields that can't be decoded", ends_all(COMPRESSION), coded(b"\x40")),
    case(
        "4.3",
        "PRIORITY within fields",
        ends_all(PROTOCOL),
        begins(),
        priority(1),
        continuation(1, MORE),
    ),
    case(
        "4.3",
        "another stream within fields",
        ends_all(PROTOCOL),
        begins(),
        headers(3, GET, end=True),
        continuation(1, MORE),
    ),
    case("5.1", "idle DATA", ends_all(PROTOCOL), data(1, b"test", end=True)),
    case("5.1", "idle RST_STREAM", ends_all(PROTOCOL), reset(1, Code.CANCEL)),
    case("5.1", "idle WINDOW_UPDATE", ends_all(PROTOCOL), window_update(1, 100)),
    case("5.1", "idle CONTINUATION", ends_all(PROTOCOL), continuation(1, BLOCK)),
    case("5.1", "half-closed DATA", ends_all(CLOSED), ASKS, data(1, b"test", end=True)),
    case("5.1", "half-closed DATA without END_STREAM", ends_all(CLOSED), ASKS, data(1, b"test")),
    case("5.1", "half-closed HEADERS", ends_stream(CLOSED), ASKS, ASKS),
    case("5.1", "half-closed CONTINUATION", ends_all(PROTOCOL), ASKS, continuation(1, BLOCK)),
    case(
        "5.1",
        "closed by RST_STREAM DATA",
        ends_all(CLOSED),
        OPENS,
        reset(1, Code.CANCEL),
        data(1, b"test", end=True),
    ),
    case(
        "5.1",
        "closed by RST_STREAM HEADERS",
        ends_stream(CLOSED),
        OPENS,
        reset(1, Code.CANCEL),
        ASKS,
    ),
    case(
        "5.1",
        "closed by RST_STREAM CONTINUATION",
        ends_all(PROTOCOL),
        OPENS,
        reset(1, Code.CANCEL),
        continuation(1, MORE),
    ),
    case("5.1", "closed DATA", ends_all(CLOSED), ASKS, over, data(1, b"test", end=True)),
    case("5.1", "closed HEADERS", ends_all(CLOSED), ASKS, over, ASKS),
    case("5.1", "closed CONTINUATION", ends_all(PROTOCOL), ASKS, over, continuation(1, MORE)),
    case("5.1.1", "an even number", ends_all(PROTOCOL), headers(2, GET, end=True)),
    case(
        "5.1.1",
        "a lower number",
        ends_all(PROTOCOL),
        headers(5, GET, end=True),
        headers(3, GET, end=True),
    ),
    case(
        "5.1.2",
        "too many streams",
        refuses(2 * 128 + 1),
        settings(initial_window_size=0),
        b"".join(headers(number, GET, end=True) for number in range(1, 2 * 130, 2)),
    ),
    case(
        "5.3.1",
        "HEADERS that depend on themselves",
        ends_all(PROTOCOL),
        frame(Kind.HEADERS, WHOLE | PRIORITY, 1, dependency(1) + BLOCK),
    ),
    case("5.3.1", "PRIORITY that depends on itself", ends_all(PROTOCOL), priority(1, on=1)),
    case("5.4.1", "a wrong PING", ends_all(PROTOCOL), frame(Kind.PING, 0, 3, bytes(8))),
    case("5.5", "an unknown frame", pinged, b"\0\0\x08\x16\0\0\0\0\0" + bytes(8)),
    case(
        "5.5",
        "an unknown frame within fields",
        ends_all(PROTOCOL),
        begins(),
        b"\0\0\x08\x16\0\0\0\0\0" + bytes(8),
    ),
    case("6.1", "DATA on stream 0", ends_all(PROTOCOL), data(0, b"test", end=True)),
    case(
        "6.1",
        "DATA on a stream that isn't open",
        ends_all(CLOSED),
        headers(1, POST, end=True),
        data(1, b"test", end=True),
    ),
    case(
        "6.1",
        "too much padding",
        ends_all(PROTOCOL),
        headers(1, (*POST, (b"content-length", b"4"))),
        frame(Kind.DATA, END | PADDED, 1, b"\x06Test"),
    ),
    case("6.1", "padding without its length", ends_all(SIZE), POSTS, frame(Kind.DATA, PADDED, 1)),
    case(
        "6.2",
        "PRIORITY within fields",
        ends_all(PROTOCOL),
        begins(end=False),
        priority(1),
        continuation(1, MORE),
    ),
    case(
        "6.2",
        "another stream within fields",
        ends_all(PROTOCOL),
        begins(end=False),
        headers(3, GET, end=True),
        continuation(1, MORE),
    ),
    case("6.2", "HEADERS on stream 0", ends_all(PROTOCOL), headers(0, GET, end=True)),
    case(
        "6.2",
        "too much padding",
        ends_all(PROTOCOL),
        frame(Kind.HEADERS, WHOLE | PADDED, 1, bytes((len(BLOCK) + 2,)) + BLOCK),
    ),
    case("6.3", "PRIORITY on stream 0", ends_all(PROTOCOL), priority(0)),
    case(
        "6.3", "PRIORITY of four bytes", ends_all(SIZE), ASKS, frame(Kind.PRIORITY, 0, 1, bytes(4))
    ),
    case("6.4", "RST_STREAM on stream 0", ends_all(PROTOCOL), reset(0, Code.CANCEL)),
    case("6.4", "RST_STREAM on an idle stream", ends_all(PROTOCOL), reset(1, Code.CANCEL)),
    case(
        "6.4",
        "RST_STREAM of three bytes",
        ends_all(SIZE),
        OPENS,
        frame(Kind.RST_STREAM, 0, 1, bytes(3)),
    ),
    case("6.5", "an acknowledgement with bytes", ends_all(SIZE), frame(Kind.SETTINGS, 1, 0, b"\0")),
    case(
        "6.5",
        "SETTINGS on a stream",
        ends_all(PROTOCOL),
        frame(Kind.SETTINGS, 0, 1, b"\0\3\0\0\0\x64"),
    ),
    case("6.5", "SETTINGS of three bytes", ends_all(SIZE), frame(Kind.SETTINGS, 0, 0, b"\0\3\0")),
    case("6.5.2", "ENABLE_PUSH 2", ends_all(PROTOCOL), settings(enable_push=2)),
    case("6.5.2", "too large a window", ends_all(FLOW), settings(initial_window_size=2**31)),
    case("6.5.2", "too small frames", ends_all(PROTOCOL), settings(max_frame_size=16383)),
    case("6.5.2", "too large frames", ends_all(PROTOCOL), settings(max_frame_size=2**24)),
    case("6.5.2", "an unknown setting", pinged, frame(Kind.SETTINGS, 0, 0, b"\0\xff\0\0\0\1")),
    case(
        "6.5.3",
        "the last of several values holds",
        got(CONTENT[:1]),
        frame(Kind.SETTINGS, 0, 0, b"\0\4\0\0\0\x64\0\4\0\0\0\1"),
        acknowledged(2),
        ASKS,
    ),
    case("6.5.3", "SETTINGS are acknowledged", takes_settings, settings(enable_push=0)),
    case("6.7", "PING", pinged),
    case("6.7", "PING that acknowledges nothing", pinged, ping(b"invalid!", ack=True)),
    case("6.7", "PING on a stream", ends_all(PROTOCOL), frame(Kind.PING, 0, 1, bytes(8))),
    case("6.7", "PING of six bytes", ends_all(SIZE), frame(Kind.PING, 0, 0, bytes(6))),
    case("6.8", "GOAWAY on a stream", ends_all(PROTOCOL), frame(Kind.GOAWAY, 0, 1, bytes(8))),
    case("6.8", "GOAWAY of seven bytes", ends_all(SIZE), frame(Kind.GOAWAY, 0, 0, bytes(7))),
    case("6.9", "no increment for the connection", ends_all(PROTOCOL), window_update(0, 0)),
    case("6.9", "no increment for a stream", ends_stream(PROTOCOL), OPENS, window_update(1, 0)),
    case(
        "6.9",
        "WINDOW_UPDATE of three bytes",
        ends_all(SIZE),
        frame(Kind.WINDOW_UPDATE, 0, 0, bytes(3)),
    ),
    case(
        "6.9.1",
        "a window of one byte",
        got(CONTENT[:1]),
        settings(initial_window_size=1),
        acknowledged(2),
        ASKS,
    ),
    case(
        "6.9.1",
        "too large a window of the connection",
        ends_all(FLOW),
        window_update(0, 2**31 - 1),
        window_update(0, 2**31 - 1),
    ),
    case(
        "6.9.1",
        "too large a window of a stream",
        ends_stream(FLOW),
        OPENS,
        window_update(1, 2**31 - 1),
        window_update(1, 2**31 - 1),
    ),
    case(
        "6.9.2",
        "a window that SETTINGS change",
        got(CONTENT[:1]),
        settings(initial_window_size=0),
        acknowledged(2),
        ASKS,
        settings(initial_window_size=1),
    ),
    case(
        "6.9.2",
        "a window below nothing",
        got(CONTENT[:4]),
        settings(initial_window_size=3),
        acknowledged(2),
        ASKS,
        received(3),
        settings(initial_window_size=2),
        acknowledged(3),
        window_update(1, 2),
        received(4),
    ),
    case(
        "6.9.2",
        "too large an initial window",
        ends_all(FLOW),
        frame(Kind.SETTINGS, 0, 0, b"\0\4\x80\0\0\0"),
    ),
    case(
        "6.10",
        "several CONTINUATION",
        answered,
        begins(),
        continuation(1, MORE, end=False),
        continuation(1, MORE),
    ),
    case(
        "6.10",
        "another frame behind a CONTINUATION",
        ends_all(PROTOCOL),
        begins(block(POST), end=False),
        continuation(1, MORE, end=False),
        data(1, b"test", end=True),
    ),
    case("6.10", "CONTINUATION on stream 0", ends_all(PROTOCOL), begins(), continuation(0, MORE)),
    case(
        "6.10", "CONTINUATION behind whole HEADERS", ends_all(PROTOCOL), ASKS, continuation(1, MORE)
    ),
    case(
        "6.10",
        "CONTINUATION behind the last one",
        ends_all(PROTOCOL),
        begins(),
        continuation(1, MORE),
        continuation(1, MORE),
    ),
    case(
        "6.10",
        "CONTINUATION behind DATA",
        ends_all(PROTOCOL),
        begins(block(POST), end=False),
        data(1, b"test", end=True),
        continuation(1, MORE, end=False),
        continuation(0, MORE),
    ),
    case("7", "an unknown code of GOAWAY", pinged, go_away(0, 0xFF)),
    case("7", "an unknown code of RST_STREAM", pinged, POSTS, reset(1, 0xFF)),
)

EXCHANGES = (
    case(
        "8.1",
        "fields within a body",
        ends_all(PROTOCOL),
        POSTS,
        data(1, b"test"),
        headers(1, ((b"x-test", b"ok"),)),
    ),
    case("8.1.2", "upper case", ends_stream(PROTOCOL), adding((b"X-TEST", b"ok"))),
    case("8.1.2.1", "an unknown pseudo-field", ends_stream(PROTOCOL), adding((b":test", b"ok"))),
    case(
        "8.1.2.1", "a response's pseudo-field", ends_stream(PROTOCOL), adding((b":status", b"200"))
    ),
    case(
        "8.1.2.1",
        "a pseudo-field in trailers that don't end",
        ends_all(PROTOCOL),
        POSTS,
        data(1, b"test"),
        headers(1, (POST[0],)),
    ),
    case(
        "8.1.2.1",
        "a pseudo-field in trailers",
        ends_stream(PROTOCOL),
        POSTS,
        data(1, b"test"),
        headers(1, (POST[0],), end=True),
    ),
    case(
        "8.1.2.1",
        "upper case in trailers",
        ends_stream(PROTOCOL),
        POSTS,
        data(1, b"test"),
        headers(1, ((b"X-Test", b"ok"),), end=True),
    ),
    case(
        "8.1.2.1",
        "a pseudo-field behind a field",
        ends_stream(PROTOCOL),
        headers(1, (METHOD, SCHEME, (b"x-test", b"ok"), PATH, AUTHORITY), end=True),
    ),
    case("8.1.2.2", "connection", ends_stream(PROTOCOL), adding((b"connection", b"keep-alive"))),
    case(
        "8.1.2.2",
        "te",
        ends_stream(PROTOCOL),
        adding((b"trailers", b"test"), (b"te", b"trailers, deflate")),
    ),
    case(
        "8.1.2.3",
        "an empty path",
        ends_stream(PROTOCOL),
        headers(1, (METHOD, SCHEME, (b":path", b""), AUTHORITY), end=True),
    ),
    case("8.1.2.3", "no method", ends_stream(PROTOCOL), without(b":method")),
    case("8.1.2.3", "no scheme", ends_stream(PROTOCOL), without(b":scheme")),
    case("8.1.2.3", "no path", ends_stream(PROTOCOL), without(b":path")),
    case("8.1.2.3", "two methods", ends_stream(PROTOCOL), adding(METHOD)),
    case("8.1.2.3", "two schemes", ends_stream(PROTOCOL), adding(SCHEME)),
    case("8.1.2.3", "two paths", ends_stream(PROTOCOL), adding(PATH)),
    case("8.1.2.3", "two authorities", ends_stream(PROTOCOL), adding(AUTHORITY)),
    case(
        "8.1.2.6",
        "a body longer than its length",
        ends_stream(PROTOCOL),
        headers(1, (*POST, (b"content-length", b"1"))),
        data(1, b"test", end=True),
    ),
    case(
        "8.1.2.6",
        "bodies longer than their length",
        ends_stream(PROTOCOL),
        headers(1, (*POST, (b"content-length", b"1"))),
        data(1, b"test"),
        data(1, b"test", end=True),
    ),
    case(
        "8.1.2.6",
        "lengths that differ",
        refused,
        headers(1, (*POST, (b"content-length", b"4, 5"))),
        data(1, b"test", end=True),
    ),
    case(
        "8.2",
        "a push",
        ends_all(PROTOCOL),
        frame(Kind.PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\3" + BLOCK),
    ),
    case("hpack 2.3.3", "an unknown index", ends_all(COMPRESSION), coded(BLOCK + b"\xc6")),
    case(
        "hpack 2.3.3",
        "an unknown index of a name",
        ends_all(COMPRESSION),
        coded(BLOCK + b"\x7f\x07\x00"),
    ),
    case(
        "hpack 4.2",
        "a size of the table behind a field",
        ends_all(COMPRESSION),
        coded(BLOCK + b"\x21"),
    ),
    case(
        "hpack 5.2",
        "long padding of Huffman code",
        ends_all(COMPRESSION),
        coded(BLOCK + HUFFMAN_NAME + b"\x84\x49\x50\x9f\xff"),
    ),
    case(
        "hpack 5.2",
        "zeros for padding of Huffman code",
        ends_all(COMPRESSION),
        coded(BLOCK + HUFFMAN_NAME + b"\x83\x49\x50\x90"),
    ),
    case(
        "hpack 5.2",
        "the end symbol in Huffman code",
        ends_all(COMPRESSION),
        coded(BLOCK + HUFFMAN_NAME + b"\x87\x49\x51\xff\xff\xff\xfa\x7f"),
    ),
    case("hpack 6.1", "index 0", ends_all(COMPRESSION), coded(BLOCK + b"\x80")),
    case(
        "hpack 6.3",
        "a table larger than allowed",
        ends_all(COMPRESSION),
        coded(b"\x3f\xe2\x1f" + BLOCK),
    ),
)

CASES = (*GENERIC, *FRAMES, *EXCHANGES)


def respond(received: Received) -> Reply:
    return Reply(200, (), (CONTENT,))


class SpecTests(H2Case):
    async def check(self, row: Case) -> None:
        await self.front(respond)
        client = await self.h2(begin=row.begin, opens=False)
        for step in row.steps:
            if isinstance(step, bytes):
                client.send(step)
            else:
                await client.until(lambda step=step: client.closed or step(client))  # type: ignore[misc]
        await row.outcome(self, client)

    def test_all_are_here(self) -> None:
        """Two cases of one name would be one test."""
        self.assertEqual(
            len([name for name in dir(self) if name.startswith("test_")]), len(CASES) + 1
        )


def _test(row: Case) -> Callable[[SpecTests], Awaitable[None]]:
    async def test(self: SpecTests) -> None:
        await self.check(row)

    return test


for _row in CASES:
    setattr(SpecTests, "test_" + re.sub(r"\W+", "_", f"{_row.section} {_row.name}"), _test(_row))
