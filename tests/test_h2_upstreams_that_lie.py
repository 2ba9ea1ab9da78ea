"""Upstreams that lie over HTTP/2: each ends as over HTTP/1.1, or in what RFC 9113 asks for.

The tables of ranges and lengths are those of `tests.test_upstreams_that_lie`, sent as frames. After
each row the proxy serves a plain request: nothing of the lie is left. The sections are those of
RFC 9113.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aprp.core.choices import Http2
from aprp.core.http2.frames import Kind
from aprp.core.http2.writing import frame, go_away, reset, window_update
from tests.support.client import get
from tests.support.h2_frames import (
    END_HEADERS,
    block,
    data,
    headers,
    ping,
    settings,
)
from tests.support.h2_origin import Asked, H2Origin, from_wire, respond
from tests.support.patience import HANG
from tests.support.proxied_case import ProxyCase
from tests.support.replies import Close, File, Reset, Stall, Step
from tests.test_upstreams_that_lie import (
    CHUNKED,
    CONTENT,
    FINE,
    FRAMES,
    HEAD,
    HEADS,
    PART,
    PLAIN,
    RANGED,
    RANGES,
    REFUSED,
    REQUESTS,
    WHOLE,
    Row,
)

OK = (b":status", b"200")
LENGTH = (b"content-length", b"1000")


@dataclass(frozen=True, slots=True)
class Lie:
    """`steps` gives what is sent on a stream; `seen` is as in `Row`."""

    name: str
    steps: Callable[[int], Iterable[Step]]
    seen: tuple[int | str | tuple[int, bytes], ...]
    section: str
    path: bytes = PLAIN


def lie(
    name: str,
    steps: Callable[[int], bytes | Iterable[Step]],
    seen: tuple[int | str | tuple[int, bytes], ...],
    section: str,
    path: bytes = PLAIN,
) -> Lie:
    def given(stream: int) -> Iterable[Step]:
        found = steps(stream)
        return (found,) if isinstance(found, bytes) else found

    return Lie(name, given, seen, section, path)


def whole(s: int) -> bytes:
    return respond(s, 200, [LENGTH], WHOLE)


def malformed(*pairs: tuple[bytes, bytes]) -> Callable[[int], bytes]:
    return lambda s: headers(s, pairs) + data(s, WHOLE, end=True)


BAD_HEADS = {
    "no status": malformed(LENGTH),
    "two statuses": malformed(OK, OK, LENGTH),
    "a status after a field": malformed(LENGTH, OK),
    "a request's pseudo-field": malformed(OK, (b":path", b"/"), LENGTH),
    "an unknown pseudo-field": malformed(OK, (b":extra", b"x"), LENGTH),
    "101": malformed((b":status", b"101"), LENGTH),
    "status of two digits": malformed((b":status", b"20"), LENGTH),
    "status 600": malformed((b":status", b"600"), LENGTH),
    "status with a plus": malformed((b":status", b"+20"), LENGTH),
    "upper case": malformed(OK, (b"X-Upper", b"x"), LENGTH),
    "a space in a name": malformed(OK, (b"a b", b"x"), LENGTH),
    "an empty name": malformed(OK, (b"", b"x"), LENGTH),
    "a colon in a name": malformed(OK, (b"a:b", b"x"), LENGTH),
    "connection": malformed(OK, (b"connection", b"close"), LENGTH),
    "transfer-encoding": malformed(OK, (b"transfer-encoding", b"chunked")),
    "keep-alive": malformed(OK, (b"keep-alive", b"x"), LENGTH),
    "upgrade": malformed(OK, (b"upgrade", b"h2c"), LENGTH),
    "te": malformed(OK, (b"te", b"gzip"), LENGTH),
    "line feed": malformed(OK, (b"a", b"b\nc"), LENGTH),
    "carriage return": malformed(OK, (b"a", b"b\rc"), LENGTH),
    "NUL": malformed(OK, (b"a", b"b\0c"), LENGTH),
    "white space before": malformed(OK, (b"a", b" b"), LENGTH),
    "white space behind": malformed(OK, (b"a", b"b\t"), LENGTH),
    "too many fields": malformed(OK, LENGTH, *[(b"a", b"b")] * 300),
}

STREAMS = (
    *(lie(name, steps, REFUSED, "8.1.1") for name, steps in BAD_HEADS.items()),
    lie("an honest answer", whole, FINE, "8.1"),
    lie(
        "padding",
        lambda s: (
            headers(s, (OK, LENGTH)) + frame(Kind.DATA, 0x9, s, b"\x05" + WHOLE + b"\0" * 5),
        ),
        FINE,
        "6.1",
    ),
    lie(
        "trailers",
        lambda s: (
            headers(s, (OK, LENGTH)) + data(s, WHOLE) + headers(s, ((b"a", b"b"),), end=True),
        ),
        FINE,
        "8.1",
    ),
    lie(
        "interim answers",
        lambda s: (headers(s, ((b":status", b"103"), (b"link", b"</a>"))) * 3 + whole(s),),
        FINE,
        "8.1",
    ),
    lie(
        "interim answers without end",
        lambda s: headers(s, ((b":status", b"102"),)) * 20,
        REFUSED,
        "8.1",
    ),
    lie("an end without an answer", lambda s: data(s, end=True), REFUSED, "8.1"),
    lie("a body without a head", lambda s: data(s, WHOLE, end=True), REFUSED, "8.1"),
    lie("reset before the head", lambda s: reset(s, 2), REFUSED, "6.4"),
    lie(
        "reset within the body",
        lambda s: (headers(s, (OK, LENGTH)) + data(s, WHOLE[:500]) + reset(s, 2),),
        ("cut",),
        "6.4",
    ),
    lie(
        "reset without error within the body",
        lambda s: (headers(s, (OK, LENGTH)) + data(s, WHOLE[:500]) + reset(s, 0),),
        ("cut",),
        "6.4",
    ),
    lie(
        "an early end",
        lambda s: (headers(s, (OK, LENGTH)) + data(s, WHOLE[:500], end=True),),
        ("cut",),
        "8.1.1",
    ),
    lie("an end in the head", lambda s: headers(s, (OK, LENGTH), end=True), ("cut",), "8.1.1"),
    lie(
        "early trailers",
        lambda s: (
            headers(s, (OK, LENGTH)) + data(s, WHOLE[:500]) + headers(s, ((b"a", b"b"),), end=True),
        ),
        ("cut",),
        "8.1.1",
    ),
    lie(
        "more than it said",
        lambda s: (headers(s, (OK, LENGTH)) + data(s, WHOLE + b"x", end=True),),
        FINE,
        "8.1.1",
    ),
    lie(
        "a body after HEAD",
        lambda s: headers(s, (OK, LENGTH)) + data(s, WHOLE, end=True),
        ((200, b""),),
        "8.1.1",
        HEAD,
    ),
    lie("no length", lambda s: headers(s, (OK,)) + data(s, WHOLE, end=True), FINE, "8.1"),
    lie(
        "no length, and reset",
        lambda s: headers(s, (OK,)) + data(s, WHOLE) + reset(s, 8),
        ("cut",),
        "8.1",
    ),
    lie("silence", lambda s: (Stall(),), (504,), "8.1"),
    lie(
        "silence within the body",
        lambda s: (
            headers(s, (OK, LENGTH)) + data(s, WHOLE[:500]),
            Stall(),
        ),
        ("cut",),
        "8.1",
    ),
    lie(
        "an answer without its end",
        lambda s: headers(s, (OK, LENGTH)) + data(s, WHOLE),
        FINE,
        "8.1",
    ),
    lie("DATA after the end", lambda s: whole(s) + data(s, b"more"), FINE, "5.1"),
    lie("a second answer", lambda s: whole(s) + whole(s), FINE, "5.1"),
    lie("a reset after the end", lambda s: whole(s) + reset(s, 0), FINE, "5.1"),
)

CONNECTIONS = (
    lie("closed before the head", lambda s: (Close(),), REFUSED, "5.4"),
    lie("reset before the head", lambda s: (Reset(),), REFUSED, "5.4"),
    lie(
        "closed within the body",
        lambda s: (
            headers(s, (OK, LENGTH)) + data(s, WHOLE[:500]),
            Close(),
        ),
        ("cut",),
        "5.4",
    ),
    lie(
        "HTTP/1.1",
        lambda s: b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + WHOLE,
        REFUSED,
        "3.4",
    ),
    lie("GOAWAY with the answer to come", lambda s: go_away(s, 0) + whole(s), FINE, "6.8"),
    lie(
        "GOAWAY within the answer",
        lambda s: (
            headers(s, (OK, LENGTH))
            + data(s, WHOLE[:500])
            + go_away(s, 0)
            + data(s, WHOLE[500:], True),
        ),
        FINE,
        "6.8",
    ),
    lie("GOAWAY with an error", lambda s: (go_away(s, 2), Close()), REFUSED, "6.8"),
    lie("a GOAWAY on a stream", lambda s: frame(Kind.GOAWAY, 0, s, b"\0" * 8), REFUSED, "6.8"),
    lie("a short GOAWAY", lambda s: frame(Kind.GOAWAY, 0, 0, b"\0" * 7), REFUSED, "6.8"),
    lie("every stream refused", lambda s: reset(s, 7), REFUSED, "8.7"),
    lie("a stream that isn't open", lambda s: data(99, b"x") + whole(s), REFUSED, "5.1"),
    lie("an even stream", lambda s: headers(2, (OK,)) + whole(s), REFUSED, "5.1.1"),
    lie(
        "a push",
        lambda s: (
            frame(Kind.PUSH_PROMISE, END_HEADERS, s, b"\0\0\0\x02" + block([(b":method", b"GET")])),
        ),
        REFUSED,
        "8.4",
    ),
    lie(
        "a settings that shrink",
        lambda s: (
            settings(max_concurrent_streams=1, initial_window_size=0, header_table_size=0)
            + whole(s),
        ),
        FINE,
        "6.5",
    ),
    lie("wrong settings", lambda s: settings(max_frame_size=1) + whole(s), REFUSED, "6.5.2"),
    lie(
        "an acknowledgement with bytes",
        lambda s: frame(Kind.SETTINGS, 1, 0, b"\0" * 6),
        REFUSED,
        "6.5",
    ),
    lie("a window that overflows", lambda s: window_update(0, 2**31 - 1) * 2, REFUSED, "6.9.1"),
    lie("an increment of nothing", lambda s: window_update(0, 0), REFUSED, "6.9"),
    lie("an overlong frame", lambda s: frame(Kind.DATA, 0, s, b"x" * 70000), REFUSED, "4.2"),
    lie("an unknown frame", lambda s: b"\0\0\x03\xee\0\0\0\0\0abc" + whole(s), FINE, "4.1"),
    lie(
        "an overlong unknown frame",
        lambda s: b"\0\x50\0\xee\0\0\0\0\0" + b"x" * 0x5000,
        REFUSED,
        "4.2",
    ),
    lie("DATA on stream 0", lambda s: data(0, b"x"), REFUSED, "6.1"),
    lie(
        "more padding than bytes",
        lambda s: (headers(s, (OK,)) + frame(Kind.DATA, 8, s, b"\x05abc"),),
        (502, "cut"),
        "6.1",
    ),
    lie("a PING of seven bytes", lambda s: ping(b"1234567"), REFUSED, "6.7"),
    lie("a head cut by DATA", lambda s: headers(s, (OK,), flags=0) + data(s, b"x"), REFUSED, "6.2"),
    lie(
        "a CONTINUATION of nothing", lambda s: frame(Kind.CONTINUATION, 4, s, b""), REFUSED, "6.10"
    ),
    lie(
        "a CONTINUATION flood",
        lambda s: (
            headers(s, (OK,), flags=0)
            + frame(Kind.CONTINUATION, 0, s, block([(b"a", b"b")])) * 5000,
        ),
        REFUSED,
        "10.5",
    ),
    lie(
        "empty CONTINUATIONs",
        lambda s: (headers(s, (OK,), flags=0) + frame(Kind.CONTINUATION, 0, s) * 5000,),
        REFUSED,
        "10.5",
    ),
    lie(
        "an HPACK bomb",
        lambda s: frame(
            Kind.HEADERS,
            END_HEADERS,
            s,
            b"\x88\x40\x01a\x7f\xa1\x1e" + b"x" * 4000 + b"\xbe" * 12000,
        ),
        REFUSED,
        "10.5.1",
    ),
    lie(
        "fields that can't be decoded",
        lambda s: frame(Kind.HEADERS, END_HEADERS, s, b"\xff" * 9),
        REFUSED,
        "4.3",
    ),
    lie("a flood of PINGs", lambda s: ping() * 20000, REFUSED, "10.5"),
    lie("a flood of SETTINGS", lambda s: settings() * 20000, REFUSED, "10.5"),
    lie(
        "a flood of empty frames",
        lambda s: (headers(s, (OK, LENGTH)) + data(s) * 20000,),
        (502, "cut"),
        "10.5",
    ),
    lie(
        "a flood of PRIORITY",
        lambda s: frame(Kind.PRIORITY, 0, s, b"\0\0\0\0\x10") * 20000,
        REFUSED,
        "10.5",
    ),
    lie(
        "more than the window",
        lambda s: (headers(s, (OK,)) + data(s, b"x" * 65000) * 40,),
        ("cut", 502),
        "6.9.1",
    ),
)


_STATUS_LINE = re.compile(rb"HTTP/1\.[0-9] [^ ]+(?: [^\r\n\0\x7f]*)?\r\n")
_FOLDED = re.compile(rb"\r\n(?![^\r\n]*:|\r\n|HTTP/1|$)[^\r\n]*")
"""A line of a head that has no name, which frames can't carry."""


def as_frames(rows: Iterable[Row]) -> list[Lie]:
    """The rows of HTTP/1.1 whose meaning isn't in how it frames."""
    found = []
    for row in rows:
        steps = row.wire if isinstance(row.wire, tuple) else (row.wire,)
        first = steps[0] if steps else b""
        if not isinstance(first, bytes) or CHUNKED.split(b":")[0] in first or not first:
            continue
        if _STATUS_LINE.match(first) is None or _FOLDED.search(first):
            continue
        if first[13:].count(b"HTTP/1.1") and not first.startswith(b"HTTP/1.1 1"):
            continue

        def sent(stream: int, steps: Iterable[Step] = steps) -> Iterable[Step]:
            return from_wire(steps, stream)

        found.append(lie(f"{first!r:.80}", sent, row.seen, row.section, row.path))
    return found


class H2UpstreamsThatLieTest(ProxyCase):
    timeout = 2 * HANG

    async def check_all(self, rows: Iterable[Lie]) -> None:
        current: list[Lie] = []

        def answer(asked: Asked) -> Iterable[Step]:
            if asked.received.target == b"/after":
                return from_wire(File(CONTENT).reply(asked.received).steps(), asked.stream)
            return current[0].steps(asked.stream)

        origin = H2Origin(answer)
        await origin.start()
        self.addCleanup(origin.stop)
        port = self.proxy(
            origin.url,
            http2=Http2.PRIOR_KNOWLEDGE,
            resume_for=0.3,
            first_byte_timeout=0.5,
            between_bytes_timeout=0.5,
        )
        wrong = []
        for row in rows:
            current[:] = [row]
            try:
                await self.check(row, port)
            except Exception as error:
                wrong.append(f"{row.name} (section {row.section}): {error!r:.300}")
        self.assertEqual(wrong, [], "\n".join(wrong))

    async def check(self, row: Lie, port: int) -> None:
        client = await self.client(port)
        await client.send(REQUESTS[row.path])
        answers = await client.answers([b"HEAD" if row.path == HEAD else b"GET"])
        await self.end(client)
        final = [each for each in answers if each.final]
        if not final or not final[-1].whole:
            self.assertIn("cut", row.seen)
        else:
            answer = final[-1]
            self.assertTrue(
                answer.status in row.seen or (answer.status, answer.body) in row.seen,
                (answer.status, answer.fields, answer.body[:100]),
            )
        after = await self.answer_to(port, get(b"/after"))
        self.assertEqual((after.status, after.body), (200, CONTENT), "the request after it")

    async def test_streams(self) -> None:
        await self.check_all(STREAMS)

    async def test_connections(self) -> None:
        await self.check_all(CONNECTIONS)

    async def test_lengths_as_over_http1(self) -> None:
        rows = as_frames(FRAMES)
        self.assertGreater(len(rows), 20)
        await self.check_all(rows)

    async def test_heads_as_over_http1(self) -> None:
        rows = as_frames(HEADS)
        self.assertGreater(len(rows), 30)
        await self.check_all(rows)

    async def test_ranges_as_over_http1(self) -> None:
        rows = as_frames(RANGES)
        self.assertGreater(len(rows), 30)
        self.assertTrue(any(row.path == RANGED and (206, PART) in row.seen for row in rows))
        await self.check_all(rows)
