"""What a client does to break HTTP/2, and what has to come of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from twisted.trial.unittest import TestCase

from aprp.core.http2.frames import PREFACE, Code, Kind
from aprp.core.http2.writing import frame
from tests.support.h2_client import H2Client
from tests.support.h2_frames import END, END_HEADERS, block, headers, ping, settings

CONTENT = b"hello world"
GET = (
    (b":method", b"GET"),
    (b":scheme", b"http"),
    (b":path", b"/"),
    (b":authority", b"proxy.example"),
)
POST = ((b":method", b"POST"), *GET[1:])
HEAD = ((b":method", b"HEAD"), *GET[1:])
METHOD, SCHEME, PATH, AUTHORITY = GET
LARGE = tuple((b"x-dummy%d" % number, b"x" * 4000) for number in range(5))

ASKS = headers(1, GET, end=True)
OPENS = headers(1, GET)
POSTS = headers(1, POST)
BLOCK = block(GET)
MORE = block(LARGE[:1])
WHOLE = END_HEADERS | END

PROTOCOL, FLOW, CLOSED = Code.PROTOCOL_ERROR, Code.FLOW_CONTROL_ERROR, Code.STREAM_CLOSED
SIZE, REFUSED, COMPRESSION = Code.FRAME_SIZE_ERROR, Code.REFUSED_STREAM, Code.COMPRESSION_ERROR

Condition = Callable[[H2Client], object]
Outcome = Callable[[TestCase, H2Client], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Case:
    """`steps` are bytes to send, and conditions to wait for."""

    section: str
    name: str
    steps: tuple[bytes | Condition, ...]
    outcome: Outcome
    begin: bytes = PREFACE + settings()


def priority(stream: int, on: int = 0, weight: int = 255, exclusive: bool = False) -> bytes:
    return frame(Kind.PRIORITY, 0, stream, dependency(on, weight, exclusive))


def dependency(on: int, weight: int = 255, exclusive: bool = False) -> bytes:
    return (on | (1 << 31 if exclusive else 0)).to_bytes(4, "big") + bytes((weight,))


def continuation(stream: int, fields: bytes, end: bool = True) -> bytes:
    return frame(Kind.CONTINUATION, END_HEADERS if end else 0, stream, fields)


def begins(fields: bytes = BLOCK, end: bool = True, stream: int = 1) -> bytes:
    """HEADERS whose block isn't complete."""
    return frame(Kind.HEADERS, END if end else 0, stream, fields)


def coded(fields: bytes) -> bytes:
    """A request with these bytes for its fields."""
    return frame(Kind.HEADERS, WHOLE, 1, fields)


def without(*names: bytes) -> bytes:
    return headers(1, [pair for pair in GET if pair[0] not in names], end=True)


def adding(*pairs: tuple[bytes, bytes]) -> bytes:
    return headers(1, (*GET, *pairs), end=True)


# What to wait for


def acknowledged(count: int) -> Condition:
    """So many of our SETTINGS."""

    def seen(client: H2Client) -> bool:
        found = [each for each in client.frames if each.kind == Kind.SETTINGS and each.raw[4] & 1]
        return len(found) >= count

    return seen


def over(client: H2Client) -> bool:
    return client.on(1).over


def received(count: int) -> Condition:
    """So many bytes on stream 1."""
    return lambda client: len(client.on(1).body) >= count


# What has to come of it


async def answered(test: TestCase, client: H2Client) -> None:
    response = await client.response(1)
    test.assertTrue(response.ended, (response, client.away))
    test.assertEqual(response.status, 200)


async def refused(test: TestCase, client: H2Client) -> None:
    """The request is answered with 400, and nothing else suffers."""
    test.assertEqual((await client.response(1)).status, 400)
    await pinged(test, client)


async def pinged(test: TestCase, client: H2Client) -> None:
    """A PING is answered, with its bytes, and once."""
    client.send(ping(b"are you?"))
    await client.until(lambda: client.closed or b"are you?" in client.kinds(Kind.PING))
    test.assertEqual((client.kinds(Kind.PING), client.away), ([b"are you?"], []))


async def answers_pings(test: TestCase, client: H2Client) -> None:
    await client.until(lambda: client.closed or client.kinds(Kind.PING))
    test.assertEqual((client.kinds(Kind.PING), client.away), ([b"12345678"], []))


async def takes_settings(test: TestCase, client: H2Client) -> None:
    await client.until(lambda: client.closed or acknowledged(2)(client))
    test.assertEqual(client.away, [])


def got(body: bytes) -> Outcome:
    """Exactly that of the body, and then nothing."""

    async def outcome(test: TestCase, client: H2Client) -> None:
        await client.until(lambda: client.closed or client.on(1).body)
        await pinged(test, client)
        test.assertEqual((client.on(1).body, client.on(1).over), (body, False))

    return outcome


def ends_stream(code: int, stream: int = 1) -> Outcome:
    """The stream is reset, and nothing else suffers."""

    async def outcome(test: TestCase, client: H2Client) -> None:
        response = await client.response(stream)
        test.assertEqual((response.reset, client.away), (code, []), response)
        client.send(headers(1001, GET, end=True))
        test.assertEqual((await client.response(1001)).body, CONTENT, client.away)

    return outcome


def refuses(stream: int) -> Outcome:
    """The stream isn't taken; those before it are served."""

    async def outcome(test: TestCase, client: H2Client) -> None:
        test.assertEqual((await client.response(stream)).reset, REFUSED)
        client.send(settings(initial_window_size=65535))
        for number in range(1, stream, 2):
            test.assertEqual((await client.response(number)).body, CONTENT, client.away)

    return outcome


def ends_all(code: int) -> Outcome:
    """GOAWAY, and the end of the connection."""

    async def outcome(test: TestCase, client: H2Client) -> None:
        await client.gone()
        test.assertEqual([each.code for each in client.away], [code])

    return outcome


def case(section: str, name: str, outcome: Outcome, *steps: bytes | Condition) -> Case:
    return Case(section, name, steps, outcome)
